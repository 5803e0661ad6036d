/*
 * site_stats.h - the cumulative counters of an interned stack: what it has
 * allocated, after what lifetimes its blocks died, what thinning took. Sums of
 * integer weights (sample_math.h), so they are exact and order-free.
 * All functions are lock-free and signal-safe.
 *
 * And the sum of all live samples, in two halves. Its maximum is no estimate of the peak: the
 * moment at which noise is highest is picked together with it. So each half is only asked what it
 * was at the moment that the other one picked (docs/sampling.md). A sample of weight b, of which c
 * bytes were left to chance, gives (b - c) / 2 to both halves, since that much is as good as
 * certain, and c to the one that the lowest bit of its u chooses. Whether thinning keeps a sample
 * depends on that bit in no more than one of 2^31 cases: the halves stay strangers at every level.
 * A maximum is a new one if it is more than R/2 above the old: of the moments with as many samples
 * in one half, what all of them give to both would pick the one at which the other is high.
 *
 * A pair that is kept (half_peak) was there: both halves change in one step, and the pair is put in
 * place in one. Beside what lives it is off by the samples that are on their way into or out of the
 * sums, at most one a thread.
 */
#ifndef HEAPSPY_SITE_STATS_H
#define HEAPSPY_SITE_STATS_H

#include <stdint.h>
#include "sample_math.h"
#include "state.h"

/*
 * What the inline functions below are made of: weights travel in registers, and the parts that no
 * sum needs are not computed.
 */
void site_stats_allocated_bytes(struct state_header *state, uint32_t stack, uint64_t size,
	uint64_t bytes, uint64_t variance, uint64_t count_1024);
void site_stats_joined_bytes(struct state_header *state, uint32_t u, uint64_t bytes,
	uint64_t chance_bytes, uint64_t now_ns);
void site_stats_left_bytes(
	struct state_header *state, uint32_t u, uint64_t bytes, uint64_t chance_bytes);
void site_stats_died_bytes(struct state_header *state, uint32_t stack, uint64_t lifetime_ns,
	uint64_t bytes, uint64_t count_1024);

/* A sample of size bytes was taken with this weight. */
static inline void site_stats_allocated(
	struct state_header *state, uint32_t stack, uint64_t size, struct sample_weight weight)
{
	site_stats_allocated_bytes(
		state, stack, size, weight.bytes, weight.variance, weight.count_1024);
}

/*
 * A sample with these random bits and this weight is live (now_ns: CLOCK_MONOTONIC, kept with a new
 * peak); is no more; counts at a higher level.
 */
static inline void site_stats_joined(
	struct state_header *state, uint32_t u, struct sample_weight weight, uint64_t now_ns)
{
	site_stats_joined_bytes(state, u, weight.bytes, weight.chance, now_ns);
}

static inline void site_stats_left(
	struct state_header *state, uint32_t u, struct sample_weight weight)
{
	site_stats_left_bytes(state, u, weight.bytes, weight.chance);
}

void site_stats_reweighed(struct state_header *state, uint32_t u, struct sample_weight before,
	struct sample_weight after);

/*
 * The level is about to be raised from this one: its peak by halves is kept if it is the largest so
 * far, and both maxima begin anew from what is live. Before the new level is
 * in force: what is more during the walk then counts at the level that is less certain. Two threads
 * at once do no harm.
 */
void site_stats_end_level(struct state_header *state, uint32_t level);

/* A sample died lifetime_ns after its birth. */
static inline void site_stats_died(struct state_header *state, uint32_t stack, uint64_t lifetime_ns,
	struct sample_weight weight)
{
	site_stats_died_bytes(state, stack, lifetime_ns, weight.bytes, weight.count_1024);
}

/*
 * Thinning removed the sample (kept NULL), or re-weighed it from weight to *kept:
 * the difference may be negative and wraps.
 */
void site_stats_thinned(struct state_header *state, uint32_t stack, uint64_t size,
	struct sample_weight weight, const struct sample_weight *kept);

#endif
