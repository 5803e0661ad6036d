/*
 * site_stats.c - owns the counters in and behind a stack record, and the sums of what is live. The
 * counters of a stack are added to, relaxed: each sum stands alone, readers accept any mixture of
 * moments. The two halves of what is live change together, and so does what is kept of a maximum.
 */
#include <stddef.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"

#define EXTRAS_MAX 64 /* of a stack; as many as readers look at */

HS_SAMPLED void site_stats_allocated_bytes(struct state_header *state, uint32_t stack,
	uint64_t size, uint64_t bytes, uint64_t variance, uint64_t count_1024)
{
	struct state_stack *s = stack_table_record(state, stack);

	if (!s)
		return;
	hs_add_relaxed(&s->n, 1);
	hs_add_relaxed(&s->S, size);
	hs_add_relaxed(&s->B, bytes);
	hs_add_relaxed(&s->V, variance);
	hs_add_relaxed(&s->C, count_1024);
}

/* What a sample adds to its own half; the other gets the rest of its bytes. */
static inline uint64_t own_share(uint64_t bytes, uint64_t chance_bytes)
{
	return bytes - (bytes - chance_bytes) / 2;
}

/* Adds to both halves at once, and returns what they are then. */
static inline struct state_halves add_halves(
	struct state_header *state, uint64_t first_bytes, uint64_t second_bytes)
{
	struct state_halves *half = &state->half, after;
	uint64_t first = hs_load_relaxed(&half->bytes[0]);
	uint64_t second = hs_load_relaxed(&half->bytes[1]);

	/* The two loads need not fit together: the first attempt fails then. */
	do {
		after.bytes[0] = first + first_bytes;
		after.bytes[1] = second + second_bytes;
	} while (!hs_cas_pair(half, &first, &second, after.bytes[0], after.bytes[1]));
	return after;
}

/*
 * Puts (bytes, beside) into a pair of words of which the first is a maximum, if it is more than
 * step_bytes above that. Signed, see state.h.
 */
static inline void raise_pair(void *pair, uint64_t bytes, uint64_t beside, uint64_t step_bytes)
{
	const uint64_t *word = pair;
	uint64_t old_bytes = hs_load_relaxed(&word[0]), old_beside;

	if (HS_LIKELY((int64_t)(bytes - old_bytes) <= (int64_t)step_bytes))
		return;
	old_beside = hs_load_relaxed(&word[1]);
	while (!hs_cas_pair(pair, &old_bytes, &old_beside, bytes, beside) &&
		(int64_t)(bytes - old_bytes) > (int64_t)step_bytes)
		;
}

HS_SAMPLED void site_stats_joined_bytes(struct state_header *state, uint32_t u, uint64_t bytes,
	uint64_t chance_bytes, uint64_t now_ns)
{
	uint64_t own = own_share(bytes, chance_bytes), other = bytes - own;
	struct state_halves now =
		u & 1 ? add_halves(state, other, own) : add_halves(state, own, other);
	uint64_t step_bytes = state_interval_bytes(state) / 2;

	hs_add_relaxed(&state->live_samples, 1);
	raise_pair(&state->half_peak[0], now.bytes[0], now.bytes[1], step_bytes);
	raise_pair(&state->half_peak[1], now.bytes[1], now.bytes[0], step_bytes);
	raise_pair(&state->peak_live, now.bytes[0] + now.bytes[1], now_ns, 0);
}

HS_SAMPLED void site_stats_left_bytes(
	struct state_header *state, uint32_t u, uint64_t bytes, uint64_t chance_bytes)
{
	uint64_t own = own_share(bytes, chance_bytes), other = bytes - own;

	if (u & 1)
		add_halves(state, -other, -own);
	else
		add_halves(state, -own, -other);
	hs_sub_relaxed(&state->live_samples, 1);
}

void site_stats_reweighed(struct state_header *state, uint32_t u, struct sample_weight before,
	struct sample_weight after)
{
	uint64_t own =
		own_share(after.bytes, after.chance) - own_share(before.bytes, before.chance);
	uint64_t other = after.bytes - before.bytes - own;

	if (u & 1)
		add_halves(state, other, own);
	else
		add_halves(state, own, other);
}

void site_stats_end_level(struct state_header *state, uint32_t level)
{
	uint64_t peak_bytes = hs_load_relaxed(&state->half_peak[0].other_bytes) +
			      hs_load_relaxed(&state->half_peak[1].other_bytes);
	struct state_halves now = add_halves(state, 0, 0);
	unsigned i;

	/* The level first: a reader in between takes the smaller peak for the less certain one. */
	if ((int64_t)peak_bytes > (int64_t)hs_load_relaxed(&state->older_peak_bytes)) {
		hs_store_relaxed(&state->older_peak_level, level);
		hs_store_relaxed(&state->older_peak_bytes, peak_bytes);
	}
	for (i = 0; i < 2; i++) {
		struct state_half_peak *peak = &state->half_peak[i];
		uint64_t bytes = hs_load_relaxed(&peak->bytes);
		uint64_t other_bytes = hs_load_relaxed(&peak->other_bytes);

		while (!hs_cas_pair(peak, &bytes, &other_bytes, now.bytes[i], now.bytes[!i]))
			;
	}
}

/*
 * The extra record of a group, made at first need. Two threads may make two of
 * a group; readers add them up. NULL: no room.
 */
static struct state_extra *extra_of(struct state_header *state, uint32_t stack, uint32_t group)
{
	struct state_stack *s = stack_table_record(state, stack);
	uint32_t first, id, steps = 0;
	struct state_extra *extra;
	uint64_t offset;

	if (!s)
		return NULL;
	first = hs_load_acquire(&s->extras);
	/* A list has no end if the program has written into the state. */
	for (id = first; id && steps < EXTRAS_MAX; id = extra->next, steps++) {
		offset = (uint64_t)id * STATE_ALIGN;
		if (!state_has_record(state, offset, sizeof(*extra)))
			return NULL;
		extra = state_at(state, offset);
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

HS_SAMPLED void site_stats_died_bytes(struct state_header *state, uint32_t stack,
	uint64_t lifetime_ns, uint64_t bytes, uint64_t count_1024)
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
	hs_add_relaxed(&extra->died[bucket].B, bytes);
	hs_add_relaxed(&extra->died[bucket].C, count_1024);
}

void site_stats_thinned(struct state_header *state, uint32_t stack, uint64_t size,
	struct sample_weight weight, const struct sample_weight *kept)
{
	struct state_extra *extra = extra_of(state, stack, STATE_EXTRA_THINNED);
	struct sample_weight after = kept ? *kept : (struct sample_weight){ 0 };

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
