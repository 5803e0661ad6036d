/*
 * peak.h - how much a process held when it held most.
 *
 * The largest of many noisy sums is too high: of a flat heap of 256 MiB that is renewed 100 times,
 * sampled every 512 KiB, by 15 %. So the samples are in two halves, each of which is worth half of
 * what is live, and which are wrong independently of each other (preload/site_stats.h). When one
 * half is at its most, noise has picked the moment, but not what the other half was then:
 *
 *	peak = HB(at max HA) + HA(at max HB) + R
 *
 * or what is live now, should that be more. R, because of a rise to the peak the last few samples
 * are missed: those of one half that came after the last one of the other, 2 R on average; of a
 * plateau none are.
 *
 * Cross-fitting as in sample splitting (Cox, Biometrika 62:441, 1975). What remains is a little too
 * low where the true peak is short, as noise picks moments beside it: "at least about". The range
 * is that of a Poisson count of peak/R steps (interval.h) with z widened by PEAK_Z_FACTOR: two
 * halves at two moments vary more than one sum at one. Large blocks vary less; it is too wide then.
 *
 * Pure functions without allocation or I/O; safe in any thread.
 */
#ifndef HEAPSPY_STATS_PEAK_H
#define HEAPSPY_STATS_PEAK_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/stats/interval.h"
#include "heapspy/snapshot.h"

#define PEAK_Z_FACTOR 1.25

/* What the library keeps of a peak, bytes. */
struct peak_record {
	double other_bytes[2];         /* what each half was when the other one was at its most */
	uint64_t interval_bytes;       /* R in force since before that */
	double older_bytes;            /* the largest such sum while R was smaller; 0 none */
	uint64_t older_interval_bytes; /* and its R */
	double most_bytes;             /* largest sum of both halves */
	double live_bytes;             /* that sum now: one moment, which no noise has picked */
	bool has_halves;               /* false: of files that know the latter alone */
};

struct peak {
	double bytes;
	struct interval range; /* both NAN: not known */
	bool is_exact;         /* a count: R <= 1 */
	double overstated; /* share by which most_bytes is above bytes, .07 is 7 %; not negative */
};

/*
 * The peak with its range at z (see interval.h). certain_bytes have been seen at some moment:
 * neither the peak nor its range goes below them. R <= 1 counts exactly: lo = hi.
 */
struct peak peak_estimate(const struct peak_record *record, double certain_bytes, double z);

/* The same of a snapshot's INFO, up to its cut. */
struct peak peak_of_info(const struct heapspy_info *info, double certain_bytes, double z);

#endif
