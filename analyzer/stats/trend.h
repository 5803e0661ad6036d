/*
 * trend.h - leak or not: a verdict for each site of a run of snapshots, with its evidence.
 *
 * What grows is no leak yet. A leak brings blocks that stay, all the time, while its old blocks
 * stay too: so the question is put to the aged blocks (trend_plan.h) alone - how many enter, how
 * many die, how this is spread over the window, and what became of an older cohort. Thresholds
 * were found by simulation; what they find and what they cannot is in docs/sampling.md.
 *
 * Limit that no method removes: a bounded site whose natural time (fill time, period, lifetime) is
 * longer than the window looks like a leak.
 *
 * Pure functions but for scratch memory in trend_judge(); safe in any thread.
 */
#ifndef HEAPSPY_STATS_TREND_H
#define HEAPSPY_STATS_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/stats/age_structure.h"
#include "analyzer/stats/growth.h"
#include "analyzer/stats/trend_plan.h"

#define TREND_DISCOVERY_RATE .05

/* In the order in which rows are listed. */
enum trend_verdict {
	TREND_LEAK,           /* leak-like */
	TREND_LEAK_SLOWING,   /* leak-like, slowing: a cache still filling, or a leak with fewer
				 triggers */
	TREND_CONTAINER,      /* growing container: every old block was replaced by larger ones */
	TREND_TURNING_OVER,   /* growing, blocks turn over */
	TREND_SAWTOOTH,       /* sawtooth/cache */
	TREND_LOAD_FOLLOWING, /* more young blocks than at the start */
	TREND_ONE_OFF,        /* one-off step */
	TREND_WARM_UP,        /* steady after warm-up */
	TREND_STEADY,
	TREND_SHRINKING,
	TREND_TOO_FEW, /* too few samples */
	TREND_N_VERDICTS,
};

/* "leak-like, slowing": the words above; constant. */
const char *trend_verdict_name(enum trend_verdict verdict);

/* The run that all sites share. */
struct trend_run {
	struct trend_plan plan;  /* neither short nor lopsided */
	uint64_t interval_bytes; /* R: every sample was lifted to it; <= 1: an exact run */
	/* All bytes allocated since the start, at plan.load_cut; all 0: unknown. */
	double seen_bytes[TREND_PLAN_LOADS];
};

/* A rate: what was born and what of it or before died, and in what time either came about. */
struct trend_flow {
	struct aggregate in, out;
	double in_seconds, out_seconds;
	/*
	 * Of blocks that are counted for certain a time holds one more or less by where it begins:
	 * the largest of these, bytes; of several sites the root of the sum of squares.
	 */
	double in_step_bytes, out_step_bytes;
};

/* A test of growth: born - died, with the chance of so much where there is none. */
struct trend_growth {
	struct growth growth; /* bytes and their 95 % range */
	double p;             /* one-sided; 1 where nothing was born */
	bool significant;     /* a discovery among all sites (Benjamini-Hochberg) */
};

struct trend_result {
	enum trend_verdict verdict;
	bool strong; /* leak-like by the second half of the window alone: the surer kind */

	/*
	 * The settle age by which the figures below count blocks as aged, plan.ages[age]: above 0
	 * where it is leak-like and only shows so once the blocks that do not last have died.
	 */
	unsigned age;

	/*
	 * Aged blocks that entered and stay, less aged ones that died, over the second half:
	 * bytes per second, and its 95 % range. Of a growing container that would tell nothing:
	 * there it is the growth of all blocks from container.cut to K. rate_flow is behind it.
	 */
	double rate;
	struct interval rate_range;
	struct trend_flow rate_flow;
	struct trend_growth late;  /* (middle, K] */
	struct trend_growth whole; /* (S_a, K] */
	struct aggregate late_in, late_out;
	double whole_samples; /* that entered after S_a and are live at K */
	bool tested;          /* had an aged sample: stands among the tests of late and whole */

	/* All blocks, cut 0 to cut K. */
	struct trend_growth all;
	struct trend_growth shrink; /* died - born, so positive where it shrank */
	bool moved;                 /* any was born or died: stands among the tests of these */

	/* The old cohort: born after cut 0, aged and live at the middle cut. */
	double old_samples, old_died; /* n_old, and how many of them are dead at K */
	double retire;                /* (old_died + .5) / (old_samples + 1) */

	/* Aged blocks over the second half. */
	struct age_flow late_flow;
	struct age_flow early_flow; /* and over the first */
	double rho;                 /* late out / in; INFINITY: only out */
	double died_bytes;          /* all aged deaths over (S_a, K] */
	bool turned;                /* that is more than half of the mean aged bytes */

	double bin_bytes[TREND_PLAN_BINS]; /* net growth of aged bytes in each bin */
	unsigned bins_up;                  /* of these above 0 */
	double share; /* the most that it grew in the time of one bin, to the sum of those; 0..1 */

	double steps_share; /* of that sum: what the two largest steps make up; 0..1 */

	/* Slowing: net growth of aged bytes by halves (early as if it were as long as late). */
	double early_net_bytes, late_net_bytes;
	double early_samples, late_samples; /* behind them: in and out together */
	double slowing_z;
	/* Allocation rate of all other sites, late / early; 1 unknown, INFINITY only late. */
	double load;
	double slowed_by; /* 1 - late / (early x min(1, load)), 0..1; 0 where nothing slowed */

	/* Container: from cut `base` (S_a or the middle) to cut K. Valid where is_container. */
	bool is_container;
	struct {
		size_t cut;
		double from_bytes, to_bytes;     /* live then and at K */
		double from_largest, to_largest; /* largest sampled block, bytes */
		double to_blocks;                /* estimated number of blocks at K */
		double replaced;            /* share of the bytes at `cut` that are dead at K */
		struct trend_growth growth; /* of all blocks, cut `cut` to cut K; not in BH */
	} container;

	/*
	 * Where growing blocks turn over: the live bytes at which deaths balance entries, what is
	 * too young to be aged among them, and its 95 % range. Only where growth slows down and
	 * deaths keep up with what is there; a queue that is emptied too slowly has no level.
	 */
	bool has_level;
	double level_bytes;
	struct interval level_range;

	/* Live bytes of the site over the cuts. */
	const double *live_bytes; /* n_cuts, of the age structure */
	double first_bytes, last_bytes, min_bytes, max_bytes;
	double last_variance;  /* of last_bytes */
	double aged_share;     /* of last_bytes */
	unsigned rises, falls; /* swings of at least swing_bytes */
	double swing_bytes;
	/* The steepest rise within a tenth of the window. */
	double step_bytes;
	size_t step_from, step_to; /* cuts */

	/*
	 * Most of what it grew by came in the last third of the window: for verdicts that tell of
	 * growth that is over. Until cut late_cut hardly any of that was there.
	 */
	bool grew_late;
	size_t late_cut;

	double samples; /* distinct ones seen */
};

struct trend_judging {
	double discovery_rate; /* q of each of the four tests, TREND_DISCOVERY_RATE by default */
	/*
	 * 0: this is the only look at the run. j = 1, 2, ..: the j-th look of a watch; q is then
	 * divided by j(j+1), so that all looks together keep it.
	 */
	unsigned look;
};

/*
 * Judges n sites of one run; results[i] is that of sites[i], whose memory it refers to. Four
 * tests by Benjamini-Hochberg: late and whole over the sites that had an aged sample, growth and
 * shrinking of all blocks each over the sites where any was born or died. Besides, one test for
 * each older settle age, over the sites that were not leak-like because old blocks died.
 *
 * Sites count for one another in these tests alone. So that a choice of rows changes no verdict,
 * judge all sites of the run and choose afterwards.
 */
void trend_judge(const struct trend_run *run, const struct age_structure *sites, size_t n,
	const struct trend_judging *judging, struct trend_result *results);

/*
 * The rate of all sites with a verdict in `verdicts` (bit v: enum trend_verdict v) together: bytes
 * per second with its 95 % range, 0 with 0..0 where there is none. *n_sitesp: how many, NULL: not
 * asked.
 */
struct growth trend_total_rate(const struct trend_run *run, const struct trend_result *results,
	size_t n, unsigned verdicts, size_t *n_sitesp);

/* Bytes per second; a leak below this would not be seen for certain: 16 R / W. */
double trend_smallest_rate(const struct trend_run *run);

/* Order of rows for qsort(): by verdict, then by the lower limit of the rate, largest first. */
int trend_compare(const struct trend_result *a, const struct trend_result *b);

#endif
