/*
 * lifetimes.h - how long the blocks of a site live, from two snapshots of one process.
 *
 * A life table (Kaplan and Meier, J Am Stat Assoc 53:457, 1958) over ages in powers of two
 * nanoseconds, as deaths are counted. Blocks come under watch in two ways: born in the window, at
 * age 0, or live at its beginning, at the age they have then (delayed entry). They leave it by
 *death, or live at its end. With at = all births before the first age, for j = 0, 1, ..
 *
 *	r_j = at + sum over entries in j of the part of j that is left to them
 *	         - sum over those live at the end in j of the part that they have not seen
 *	S(2^(j+1) ns) = S(2^j ns) (1 - min(1, died_j / r_j))
 *	at += entered_j - died_j - left_j
 *
 * With ages known to the middle of a bucket only, the parts are halves. S does not lean on the
 * blocks that have died: where a third is never freed, S stays at a third.
 *
 * The unit of all amounts is the caller's: estimated bytes, or estimated blocks. Each may come from
 * samples of another interval, as each is unbiased by itself; what is live at both ends must be of
 * one interval there, so that survivors cancel.
 *
 * Pure functions without allocation or I/O; safe in any thread.
 */
#ifndef HEAPSPY_STATS_LIFETIMES_H
#define HEAPSPY_STATS_LIFETIMES_H

#include <stdbool.h>

#include "analyzer/stats/interval.h"

/* As many as a snapshot counts: bucket j is [2^j, 2^(j+1)) ns, j = 0 begins at 0, the last is open.
 */
#define LIFETIMES_BUCKETS 48

/* Who dies younger would have died in the nursery of a generational collector: 134 ms. */
#define LIFETIMES_YOUNG_NS  134217728.0
/* Who gets older would have been promoted out of it: 1.07 s. */
#define LIFETIMES_MIDDLE_NS 1073741824.0

/* All zero: nothing was under watch. Equal fields add up (lifetimes_add()). */
struct lifetimes_input {
	double births;
	double died[LIFETIMES_BUCKETS];
	double net[LIFETIMES_BUCKETS];      /* entered - left */
	double exposure[LIFETIMES_BUCKETS]; /* the parts in r_j */
};

/* Blocks of this age that were live at the beginning, or at the end, of the window. */
void lifetimes_add_entered(struct lifetimes_input *in, double age_ns, double amount);
void lifetimes_add_left(struct lifetimes_input *in, double age_ns, double amount);

/* sum += part. */
void lifetimes_add(struct lifetimes_input *sum, const struct lifetimes_input *part);

/* Share of the blocks that reach each age; survival[j] is at 2^j ns, survival[0] is 1. */
struct lifetimes {
	double survival[LIFETIMES_BUCKETS + 1];
};

struct lifetimes lifetimes_estimate(const struct lifetimes_input *in);

/* Share that reaches age_ns; inside a bucket, by a constant rate of death. */
double lifetimes_survival(const struct lifetimes *table, double age_ns);

/* The age that half of the blocks reach. */
struct lifetimes_median {
	double ns; /* INFINITY: beyond the limit */
	/*
	 * By the ends of buckets, and by the error of the share that reaches an age; lo is at most
	 * the limit, hi INFINITY where it is beyond.
	 */
	struct interval range;
	bool is_one_bucket; /* nearly all die between two powers of two: ns is a guess */
};

/*
 * Within its bucket the median is interpolated in the logarithms of age and survival: ages are
 * known to a factor of two, and the middle of that is off by at most a factor of 1.42. n (real):
 * cases behind the table, so that the share alive has an error of z / (2 sqrt(n)); INFINITY: none.
 */
struct lifetimes_median lifetimes_median(
	const struct lifetimes *table, double n, double limit_ns, double z);

/*
 * Range of a share found in n (real, >= 0) cases, by Wilson (J Am Stat Assoc 22:209, 1927).
 * n = 0 gives [0, 1].
 */
struct interval lifetimes_share_range(double share, double n, double z);

/* A figure and its range. */
struct lifetimes_figure {
	double value;
	struct interval range;
};

/* What a site makes in a unit of time, and how sure its lifetimes are. */
struct lifetimes_births {
	struct lifetimes_figure rate;
	double n;         /* cases behind a share: samples, but no more than B^2/V */
	double window_ns; /* lifetimes beyond it are not known */
};

/*
 * The part of the rate that dies from one age to another, as a share and as a rate. The range of
 * the rate joins those of its two factors, to first order, as growth.h joins two sides (Zou and
 * Donner, Stat Med 27:1693, 2008); its upper end is INFINITY where that of the rate is. All NAN
 * where to_ns is beyond the window, or from_ns is not before to_ns.
 */
struct lifetimes_part {
	struct lifetimes_figure share, rate;
};

struct lifetimes_part lifetimes_dying(const struct lifetimes *table,
	const struct lifetimes_births *births, double from_ns, double to_ns, double z);

#endif
