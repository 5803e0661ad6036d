/*
 * trend_plan.h - the times of a run of snapshots and what follows from them alone: when a block
 * counts as aged, and which snapshots ("cuts") bound the bins, the halves and the window.
 *
 * Cuts are numbered 0..K. A block belongs to the epoch e of its birth: the first cut at or after
 * it, 0 for all that is born by cut 0. It is aged once it has lived the settle age
 * a = max(2 intervals, W/12), W being the window from cut 0 to cut K: the blocks of epoch e > 0
 * enter at the first cut that comes a after cut e, those of epoch 0 are aged from the start.
 *
 * Where blocks commonly live longer than that, what stays among them shows only once the others
 * have died. So everything is summed for older settle ages too, which differ in nothing else.
 *
 * Times need not be even. "After" allows for half a median interval, so that neither jitter of the
 * cut times nor an a between two cuts shifts an entry: for even times it is cut e + a, with a
 * rounded to whole intervals. Bins end at the cuts nearest to six equal parts of the time from the
 * first cut that shows aged births (S_a) to cut K; after a gap two bins may end at one cut, and
 * the later of them is empty.
 *
 * trend_plan_init() allocates; everything else is pure and safe in any thread.
 */
#ifndef HEAPSPY_STATS_TREND_PLAN_H
#define HEAPSPY_STATS_TREND_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With fewer intervals there is no age structure to speak of: such a run can only be compared. */
#define TREND_PLAN_INTERVALS_MIN 8
#define TREND_PLAN_BINS          6

/* A distance of two cuts is a gap above so many median ones. */
#define TREND_PLAN_GAP_INTERVALS 3

/* Settle ages at most: a, a quarter of the window, a half. */
#define TREND_PLAN_AGES 3

/* The cuts at which the bytes allocated so far must be known; see trend_age.load_cut. */
#define TREND_PLAN_LOADS 3

/* What follows from a settle age. */
struct trend_age {
	double settle_seconds; /* a */
	/* By epoch: the cut at which its blocks are aged; n_cuts: after the window. entry[0] is 0.
	 */
	uint32_t *entry;
	/*
	 * bin[0] is S_a, where the observation begins, and bin[6] is K; bin j = 1..6 is
	 * (bin[j - 1], bin[j]]. The middle cut is trend_age_middle().
	 */
	size_t bin[TREND_PLAN_BINS + 1];
	/*
	 * Cut 0, the last epoch that has entered by the middle cut, the last that has by cut K:
	 * what enters early is born between the first two, what enters late between the last two.
	 */
	size_t load_cut[TREND_PLAN_LOADS];
};

struct trend_plan {
	size_t n_cuts;   /* K + 1 */
	double *seconds; /* by cut: time since cut 0; ascending, no two equal */
	/* ages[0] is that of a; then those older, ascending, as far as the cuts allow them. */
	struct trend_age ages[TREND_PLAN_AGES];
	size_t n_ages;              /* 1..TREND_PLAN_AGES */
	double window_seconds;      /* W */
	double interval_seconds;    /* median distance of two cuts */
	size_t n_gaps;              /* distances above three times that */
	double largest_gap_seconds; /* the largest of these; 0: none */
};

/*
 * The plan of n_cuts >= 1 cuts at these times (ns, any zero point, strictly ascending).
 * trend_plan_deinit() frees what is in *plan. Below TREND_PLAN_INTERVALS_MIN intervals the plan is
 * sound but serves for nothing but series: see trend_plan_is_short() and _is_lopsided().
 */
void trend_plan_init(struct trend_plan *plan, const uint64_t *cut_ns, size_t n_cuts);
void trend_plan_deinit(struct trend_plan *plan);

/* The epoch of a birth at birth_ns; cut_ns and n_cuts as above. n_cuts: after the last cut. */
size_t trend_plan_epoch(const uint64_t *cut_ns, size_t n_cuts, uint64_t birth_ns);

static inline size_t trend_age_settled(const struct trend_age *age)
{
	return age->bin[0];
}

static inline size_t trend_age_middle(const struct trend_age *age)
{
	return age->bin[TREND_PLAN_BINS / 2];
}

/* Whether each half has a cut of its own. */
static inline bool trend_age_has_halves(const struct trend_age *age, size_t n_cuts)
{
	return trend_age_settled(age) < trend_age_middle(age) && trend_age_middle(age) < n_cuts - 1;
}

static inline bool trend_plan_is_short(const struct trend_plan *plan)
{
	return plan->n_cuts < TREND_PLAN_INTERVALS_MIN + 1;
}

/*
 * One gap takes more than half of the window, or a half has no cut of its own: what went on there
 * cannot be told, and nothing stands for it.
 */
static inline bool trend_plan_is_lopsided(const struct trend_plan *plan)
{
	return plan->largest_gap_seconds > plan->window_seconds / 2 ||
	       !trend_age_has_halves(&plan->ages[0], plan->n_cuts);
}

static inline size_t trend_plan_last(const struct trend_plan *plan)
{
	return plan->n_cuts - 1;
}

/* Those of the first settle age. */
static inline size_t trend_plan_settled(const struct trend_plan *plan)
{
	return trend_age_settled(&plan->ages[0]);
}

static inline size_t trend_plan_middle(const struct trend_plan *plan)
{
	return trend_age_middle(&plan->ages[0]);
}

#endif
