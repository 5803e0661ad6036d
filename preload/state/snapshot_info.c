/*
 * snapshot_info.c - owns what INFO takes from the header of a state: settings, counters and the
 * peak. The state may change under the reading; pairs of words that belong together are read as
 * one. Where its strings lie is the writer's business (snapshot_writer.c).
 */
#include <string.h>
#include "preload/atomics.h"
#include "preload/state/snapshot_info.h"

#define PAIR_TRIES 3

static uint64_t at_most(uint64_t n, uint64_t max)
{
	return n < max ? n : max;
}

static uint64_t bytes_seen(
	const struct state_header *s, const struct snapshot_facts *facts, struct heapspy_info *info)
{
	uint64_t seen = 0;

	if (!facts->bytes_seen(s, facts->bytes_seen_context, &seen))
		info->flags |= HEAPSPY_INFO_BYTES_LOWER;
	return seen;
}

void snapshot_info_begin(
	const struct state_header *s, const struct snapshot_facts *facts, struct heapspy_info *info)
{
	unsigned i;

	info->flags = hs_load_relaxed(&s->flags) | facts->extra_flags;
	info->reason = facts->reason;
	info->number = facts->number;
	info->pid = s->pid;
	info->start_id = s->start_id;
	info->start_ticks = s->start_ticks;
	memcpy(info->boot_id, s->boot_id, sizeof(info->boot_id));
	info->start_wall_ns = s->start_wall_ns;
	info->start_ns = s->start_ns;
	info->cut_wall_ns = facts->wall_ns;
	info->cut_ns = facts->now_ns - s->start_ns;
	info->interval_bytes = s->interval_bytes;
	info->level = hs_load_acquire(&s->level);
	/* The time of a level comes right after it, and may not be there yet: 0. */
	for (i = 1; i <= info->level && i <= HEAPSPY_LEVEL_MAX; i++)
		info->level_ns[i] = at_most(hs_load_relaxed(&s->level_ns[i]), info->cut_ns);
	info->cpu_max_ppm = s->cpu_max_ppm;
	info->state_errno = s->state_errno;
	info->grow_errno = hs_load_relaxed(&s->grow_errno);
	info->helper_errno = hs_load_relaxed(&s->helper_errno);
	info->snapshot_errno = hs_load_relaxed(&s->snapshot_errno);
	info->near_limit_ppm = s->near_limit_ppm;
	info->keep_bytes = s->keep_bytes;
	info->n_pruned = hs_load_relaxed(&s->n_pruned);
	if (info->n_pruned < facts->n_pruned)
		info->n_pruned = facts->n_pruned;
	info->own_bytes = hs_load_relaxed(&s->committed_bytes) + hs_load_relaxed(&s->work_bytes);
	info->variance_unit_log2 = s->variance_unit_log2;
	info->state_max_bytes = s->max_bytes;
	info->rss_bytes = facts->rss_bytes;
	info->rss_peak_bytes = facts->rss_peak_bytes;
	info->limit_kind = facts->limit.kind;
	info->limit_bytes = facts->limit.limit_bytes;
	info->limit_used_bytes = facts->limit.used_bytes;
	info->bytes_seen = bytes_seen(s, facts, info);
}

/*
 * A pair of words, both of one moment: should the first change while the second is read, once more.
 * (Of a copy of the state both are what they were when it was made.)
 */
static void read_pair(const void *pair, uint64_t *ap, uint64_t *bp)
{
	const uint64_t *word = pair;
	unsigned tries;

	for (tries = 0; tries < PAIR_TRIES; tries++) {
		*ap = hs_load_acquire(&word[0]);
		*bp = hs_load_acquire(&word[1]);
		if (hs_load_relaxed(&word[0]) == *ap)
			return;
	}
}

static uint64_t not_negative(uint64_t bytes)
{
	return (int64_t)bytes > 0 ? bytes : 0;
}

/* In the state a sum may be below 0 for a moment. */
static void read_peak(const struct state_header *s, struct heapspy_info *info)
{
	uint64_t peak_ns;
	unsigned i;

	read_pair(&s->half, &info->half_bytes[0], &info->half_bytes[1]);
	info->live_bytes = not_negative(info->half_bytes[0] + info->half_bytes[1]);
	for (i = 0; i < 2; i++) {
		read_pair(&s->half_peak[i], &info->half_peak_bytes[i], &info->half_other_bytes[i]);
		info->half_bytes[i] = not_negative(info->half_bytes[i]);
		info->half_peak_bytes[i] = not_negative(info->half_peak_bytes[i]);
		info->half_other_bytes[i] = not_negative(info->half_other_bytes[i]);
	}
	read_pair(&s->peak_live, &info->peak_live_bytes, &peak_ns);
	info->peak_ns = info->peak_live_bytes ? peak_ns - s->start_ns : 0;
	info->older_peak_bytes = hs_load_relaxed(&s->older_peak_bytes);
	info->older_peak_level =
		(uint32_t)at_most(hs_load_relaxed(&s->older_peak_level), HEAPSPY_LEVEL_MAX);
}

void snapshot_info_end(
	const struct state_header *s, const struct snapshot_facts *facts, struct heapspy_info *info)
{
	unsigned i;

	info->bytes_seen_end = bytes_seen(s, facts, info);
	if (info->level != hs_load_acquire(&s->level) ||
		hs_load_acquire(&s->walked_level) < info->level)
		info->flags |= HEAPSPY_INFO_THINNING;
	info->samples = hs_load_relaxed(&s->samples);
	info->deaths = hs_load_relaxed(&s->deaths);
	info->self_ns = hs_load_relaxed(&s->self_ns);
	read_peak(s, info);
	info->state_bytes = hs_load_acquire(&s->committed_bytes);
	for (i = 0; i < HEAPSPY_N_LOSSES; i++)
		info->losses[i] = hs_load_relaxed(&s->losses[i]);
	if (info->losses[HEAPSPY_LOSS_STATE_FULL] || info->losses[HEAPSPY_LOSS_NO_SCRATCH])
		info->flags |= HEAPSPY_INFO_LOWER_BOUND;
}
