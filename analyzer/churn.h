/*
 * churn.h - what each site allocates between two moments of one process, how fast, and how long it
 * lives: who makes the garbage.
 *
 * Allocations and deaths are differences of cumulative counters, in which each sample stands at the
 * weights of its time; what is live at A and at B is weighed at B's interval. All are unbiased, so
 * they may be mixed where sampling was thinned in between: what thinning removed is made up for by
 * the larger weights of what it kept. Survivors are the same samples with the same weights on both
 * sides, and cancel.
 */
#ifndef HEAPSPY_ANALYZER_CHURN_H
#define HEAPSPY_ANALYZER_CHURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/profile.h"
#include "analyzer/stats/lifetimes.h"

/* A group that is in no row, as sites.h has it. */
#define CHURN_NO_GROUP UINT32_MAX

/* For certain (the lower limit) at least 1 MiB/s and this share of what the process allocates. */
#define CHURN_HOT_SHARE   .01
#define CHURN_HEAVY_SHARE .1
#define CHURN_FLAG_RATE   (1024.0 * 1024)

enum churn_flag {
	CHURN_HOT = 1 << 0,      /* dies young, from 1 % on */
	CHURN_HEAVY = 1 << 1,    /* dies young, from 10 % on; hot as well */
	CHURN_MID_LIFE = 1 << 2, /* outlives 1.07 s and dies in the window, from 1 % on */
};

/* The stack's counters keep neither the variance of the count nor the sizes: see churn_init(). */
struct churn_sums {
	struct aggregate allocated;     /* in (A, B] */
	struct aggregate before, after; /* live at A and at B */
	double died;                    /* samples of it, in (A, B] */
};

/* In bytes, or in blocks; rates are those of a second. */
struct churn_measure {
	struct lifetimes_figure rate;   /* range.hi of blocks is INFINITY where sizes are mixed */
	double share;                   /* of what the process allocates; NAN if that is nothing */
	struct lifetimes_median median; /* in the window */
	struct lifetimes_part young;    /* NAN where the window is too short */
	struct lifetimes_part middle;
	double turnover;     /* how often a second the live ones are replaced; NAN: none live */
	double mean_life_ns; /* by Little (Oper Res 9:383, 1961); NAN: none live */
};

struct churn_row {
	uint32_t group;
	unsigned flags; /* CHURN_* */
	struct churn_sums sums;
	struct churn_measure bytes, blocks;
	struct lifetimes table; /* of bytes */
};

struct churn {
	bool exact;                 /* every block was sampled: ranges are the figure itself */
	uint64_t interval_bytes[2]; /* in force at A and at B */
	double window_ns;
	bool is_total_exact; /* process_rate was counted, not estimated from samples */
	struct lifetimes_figure process_rate;       /* bytes a second, of all stacks */
	uint64_t n_lost, n_lost_deaths, n_replaced; /* samples, between A and B */
	struct churn_sums *stacks;                  /* by stack index of the profile */
	struct churn_row *rows;                     /* groups that allocated */
	size_t n_rows;
	struct churn_row total; /* of all groups; group is CHURN_NO_GROUP */
};

/*
 * Sums moments 0 and 1 of p, of one process and in order of time, by stack. Of the cumulative sums
 * of a stack, S C / (n B) is 1 where its blocks have one size, and larger the more they differ:
 * that tells whether the number of blocks can be bounded from above.
 */
void churn_init(struct churn *c, const struct profile *p);

/*
 * Makes the rows and the total: group_of[i] is the group of stack i of the profile, below
 * n_groups, or CHURN_NO_GROUP. Rows are by the lower limit of what dies young, in blocks if
 * by_blocks; where the window is too short for that, by the lower limit of the rate.
 */
void churn_group(struct churn *c, const struct profile *p, const uint32_t *group_of,
	size_t n_groups, bool by_blocks);

void churn_deinit(struct churn *c);

#endif
