/*
 * interval.h - confidence intervals of an aggregate: how far its estimates may be off.
 *
 * Bytes: "shifted Poisson". B is split into what is practically certain and a Poisson count m of
 * steps of R, the effective number of samples whose weight was left to chance:
 *
 *	m = V / R^2		0..n, a real number; n for blocks far below R, 0 far above it
 *	base = B - V / R
 *	[ max(S, base + R lo(m)), base + R hi(m) ]
 *
 * lo and hi are the limits of a Poisson mean with m events seen, in Byar's closed form (Breslow and
 * Day, Statistical Methods in Cancer Research II, 1987) of the exact limits of Garwood (Biometrika
 * 28:437, 1936). The bytes that were seen, S, are certain and bound the range from below.
 *
 * z is the two-sided normal quantile of the level, 0..38; INTERVAL_Z95 for 95 %.
 * Pure functions without allocation or I/O; safe in any thread.
 */
#ifndef HEAPSPY_STATS_INTERVAL_H
#define HEAPSPY_STATS_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/stats/estimate.h"

#define INTERVAL_Z95 1.959964

struct interval {
	double lo, hi;
};

/* Limits of a Poisson mean after k events, k >= 0 real (negative is taken as 0). */
double interval_poisson_lo(double k, double z);
double interval_poisson_hi(double k, double z);

/*
 * Range of the true bytes. `largest_interval_bytes` is the largest R at which a sample of the
 * aggregate counts; for an empty one, the R that was in force: P(no sample) = exp(-T/R) for T bytes
 * of any sizes, so that the range is [0, 3.668 R] at 95 %. R <= 1 is an exact count: lo = hi = B.
 */
struct interval interval_of_bytes(
	const struct aggregate *sum, uint64_t largest_interval_bytes, double z);

/*
 * Range of the true number of blocks, by lo and hi in units of the mean uncertain weight
 * w = Vc/C. hi is INFINITY where the samples cannot bound the number from above: none at all, or
 * interval_count_is_rough(). R <= 1 is an exact count: lo = hi = C. Not for sums that carry no Vc.
 */
struct interval interval_of_count(
	const struct aggregate *sum, uint64_t largest_interval_bytes, double z);

/*
 * Whether the sampled sizes differ so much (more than four times) that small blocks may well have
 * gone unseen: an upper limit of the count would be wrong in 13..31 of 100 cases below 40 samples.
 */
bool interval_count_is_rough(const struct aggregate *sum);

#endif
