/*
 * growth.h - how much a site grew between two snapshots, and whether it did at all.
 *
 * Growth is born - died: the blocks that are live only in the later snapshot, minus those live only
 * in the earlier one. Survivors are in neither, so what they weigh and how uncertain they are has
 * cancelled before. For snapshots of two processes everything live is "born" or "died".
 *
 * The range joins the two byte intervals by MOVER (Donner and Zou, Stat Methods Med Res 21:347,
 * 2012): with D = B_born - B_died,
 *
 *	lo = D - sqrt((B_born - lo_born)^2 + (hi_died - B_died)^2)
 *	hi = D + sqrt((hi_born - B_born)^2 + (B_died - lo_died)^2)
 *
 * Pure functions without I/O; safe in any thread.
 */
#ifndef HEAPSPY_STATS_GROWTH_H
#define HEAPSPY_STATS_GROWTH_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/stats/interval.h"

/* The two sides, each with the largest interval (bytes) at which one of its samples counts; for an
 * empty side, the interval that was in force. */
struct growth_sides {
	struct aggregate born, died;
	uint64_t born_interval_bytes, died_interval_bytes;
};

struct growth {
	double bytes; /* D */
	struct interval range;
};

/* Growth in bytes with its range at z (see interval.h). */
struct growth growth_estimate(const struct growth_sides *sides, double z);

/*
 * One-sided p-value of "the true growth is at most `threshold_bytes`": 1 - Phi(z) for the largest z
 * in 0..38 whose lower limit still exceeds the threshold. 1 where D itself does not, at most .5
 * else. Never NaN.
 */
double growth_p_value(const struct growth_sides *sides, double threshold_bytes);

/*
 * Many sites at once: the step-up rule of Benjamini and Hochberg (J R Stat Soc B 57:289, 1995).
 * Sorts the n p-values in place and returns the largest one that is rejected at false discovery
 * rate q (0..1): all p-values up to it are discoveries. Returns -1 if there are none.
 * `p_values` holds no NaN; n counts the sites that were tested, so leave out those without samples.
 */
double growth_discovery_limit(double *p_values, size_t n, double q);

/*
 * "No change seen" means a change of at most this many bytes either way: 3.668 R at INTERVAL_Z95,
 * as neither a birth nor a death was sampled. 0 for R <= 1.
 */
double growth_resolution_bytes(uint64_t interval_bytes, double z);

#endif
