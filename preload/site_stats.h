/*
 * site_stats.h - the cumulative counters of an interned stack: what it has
 * allocated, after what lifetimes its blocks died, what thinning took. Sums of
 * integer weights (sample_math.h), so they are exact and order-free.
 * All functions are lock-free and signal-safe.
 */
#ifndef HEAPSPY_SITE_STATS_H
#define HEAPSPY_SITE_STATS_H

#include <stdint.h>
#include "sample_math.h"
#include "state.h"

/* A sample of size bytes was taken with this weight. */
void site_stats_allocated(
	struct state_header *state, uint32_t stack, uint64_t size, struct sample_weight weight);

/*
 * The total of the weights of all live samples: a sample of these bytes has
 * joined (now_ns: CLOCK_MONOTONIC, kept with a new peak), or has left.
 */
void site_stats_joined(struct state_header *state, uint64_t weight_bytes, uint64_t now_ns);
void site_stats_left(struct state_header *state, uint64_t weight_bytes);

/* A sample died lifetime_ns after its birth. */
void site_stats_died(struct state_header *state, uint32_t stack, uint64_t lifetime_ns,
	struct sample_weight weight);

/*
 * Thinning removed the sample (kept NULL), or re-weighed it from weight to *kept:
 * the difference may be negative and wraps.
 */
void site_stats_thinned(struct state_header *state, uint32_t stack, uint64_t size,
	struct sample_weight weight, const struct sample_weight *kept);

#endif
