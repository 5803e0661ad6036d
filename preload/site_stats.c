/*
 * site_stats.c - owns the counters in and behind a stack record. Relaxed adds
 * throughout: each sum stands alone, readers accept any mixture of moments.
 */
#include <stddef.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"

HS_SAMPLED void site_stats_allocated(
	struct state_header *state, uint32_t stack, uint64_t size, struct sample_weight weight)
{
	struct state_stack *s = stack_table_record(state, stack);

	hs_add_relaxed(&s->n, 1);
	hs_add_relaxed(&s->S, size);
	hs_add_relaxed(&s->B, weight.bytes);
	hs_add_relaxed(&s->V, weight.variance);
	hs_add_relaxed(&s->C, weight.count_1024);
}

HS_SAMPLED void site_stats_joined(
	struct state_header *state, uint64_t weight_bytes, uint64_t now_ns)
{
	uint64_t live_bytes = hs_add_relaxed(&state->live_bytes, weight_bytes) + weight_bytes;
	uint64_t peak_bytes = hs_load_relaxed(&state->peak_live_bytes);

	hs_add_relaxed(&state->live_samples, 1);
	/* Signed: the samples of one block may leave before they have joined. */
	while ((int64_t)live_bytes > (int64_t)peak_bytes)
		if (hs_cas_relaxed(&state->peak_live_bytes, &peak_bytes, live_bytes)) {
			hs_store_relaxed(&state->peak_ns, now_ns);
			break;
		}
}

HS_SAMPLED void site_stats_left(struct state_header *state, uint64_t weight_bytes)
{
	hs_sub_relaxed(&state->live_bytes, weight_bytes);
	hs_sub_relaxed(&state->live_samples, 1);
}

/*
 * The extra record of a group, made at first need. Two threads may make two of
 * a group; readers add them up. NULL: no room.
 */
static struct state_extra *extra_of(struct state_header *state, uint32_t stack, uint32_t group)
{
	struct state_stack *s = stack_table_record(state, stack);
	uint32_t first = hs_load_acquire(&s->extras), id;
	struct state_extra *extra;
	uint64_t offset;

	for (id = first; id; id = extra->next) {
		extra = state_at(state, (uint64_t)id * STATE_ALIGN);
		if (extra->group == group)
			return extra;
	}
	offset = state_map_alloc(state, sizeof(struct state_extra), 0);
	if (!offset || offset / STATE_ALIGN > UINT32_MAX) {
		state_count_loss(state, HEAPSPY_LOSS_DEATHS);
		return NULL;
	}
	extra = state_at(state, offset);
	extra->group = group;
	do
		extra->next = first;
	/* Releases the record to the acquire above and to readers outside. */
	while (!hs_cas_acq_rel(&s->extras, &first, (uint32_t)(offset / STATE_ALIGN)));
	return extra;
}

HS_SAMPLED void site_stats_died(struct state_header *state, uint32_t stack, uint64_t lifetime_ns,
	struct sample_weight weight)
{
	unsigned bucket = 63u - (unsigned)__builtin_clzll(lifetime_ns | 1);
	struct state_extra *extra;

	if (bucket >= HEAPSPY_LIFETIME_BUCKETS)
		bucket = HEAPSPY_LIFETIME_BUCKETS - 1;
	extra = extra_of(state, stack, bucket / STATE_EXTRA_BUCKETS);
	if (!extra)
		return;
	bucket %= STATE_EXTRA_BUCKETS;
	hs_add_relaxed(&extra->died[bucket].n, 1);
	hs_add_relaxed(&extra->died[bucket].B, weight.bytes);
	hs_add_relaxed(&extra->died[bucket].C, weight.count_1024);
}

void site_stats_thinned(struct state_header *state, uint32_t stack, uint64_t size,
	struct sample_weight weight, const struct sample_weight *kept)
{
	struct state_extra *extra = extra_of(state, stack, STATE_EXTRA_THINNED);
	struct sample_weight after = kept ? *kept : (struct sample_weight){ 0, 0, 0 };

	if (!extra)
		return;
	if (!kept) {
		hs_add_relaxed(&extra->thinned.n, 1);
		hs_add_relaxed(&extra->thinned.S, size);
	}
	hs_add_relaxed(&extra->thinned.B, weight.bytes - after.bytes);
	hs_add_relaxed(&extra->thinned.V, weight.variance - after.variance);
	hs_add_relaxed(&extra->thinned.C, weight.count_1024 - after.count_1024);
}
