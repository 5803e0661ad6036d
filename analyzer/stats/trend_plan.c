/*
 * trend_plan.c - owns what the times of the cuts decide. Which snapshots are cuts is history.c's,
 * what is summed between them age_structure.c's.
 */
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/stats/trend_plan.h"

#define NS_PER_S         1e9
#define SETTLE_INTERVALS 2
#define SETTLE_OF_WINDOW 12 /* or a twelfth of the window, if that is more */

/*
 * Of the window. By the first, blocks that live for a tenth of it have died; by the second most of
 * those that live for a quarter.
 */
static const double older_share[TREND_PLAN_AGES - 1] = { 1. / 4, 1. / 2 };

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Median distance of neighbours; the lower one of an even number. */
static double median_interval(const struct trend_plan *plan)
{
	size_t i, n = plan->n_cuts - 1;
	double *intervals, median;

	if (n == 0)
		return 0;
	intervals = alloc_array(n, sizeof(*intervals));
	for (i = 0; i < n; i++)
		intervals[i] = plan->seconds[i + 1] - plan->seconds[i];
	qsort(intervals, n, sizeof(*intervals), compare_doubles);
	median = intervals[(n - 1) / 2];
	free(intervals);
	return median;
}

/* The first cut from `from` on that shows blocks of this birth as aged; n_cuts: none. */
static size_t first_aged(const struct trend_plan *plan, const struct trend_age *age, size_t from,
	double birth_seconds)
{
	double aged = birth_seconds + age->settle_seconds - plan->interval_seconds / 2;

	while (from < plan->n_cuts && plan->seconds[from] < aged)
		from++;
	return from;
}

static size_t nearest_cut(const struct trend_plan *plan, size_t from, double seconds)
{
	size_t k, best = from;

	for (k = from; k < plan->n_cuts; k++) {
		double to_best = plan->seconds[best] - seconds, to = plan->seconds[k] - seconds;

		if (to * to < to_best * to_best)
			best = k;
	}
	return best;
}

static void find_gaps(struct trend_plan *plan)
{
	size_t i;

	for (i = 1; i < plan->n_cuts; i++) {
		double seconds = plan->seconds[i] - plan->seconds[i - 1];

		if (seconds <= TREND_PLAN_GAP_INTERVALS * plan->interval_seconds)
			continue;
		plan->n_gaps++;
		if (seconds > plan->largest_gap_seconds)
			plan->largest_gap_seconds = seconds;
	}
}

static void init_age(const struct trend_plan *plan, struct trend_age *age, double settle_seconds)
{
	size_t e, j, k, n_cuts = plan->n_cuts, last = n_cuts - 1;
	double begin, length;

	memset(age, 0, sizeof(*age));
	age->settle_seconds = settle_seconds;
	age->entry = alloc_array(n_cuts, sizeof(*age->entry));
	for (e = 1, k = 0; e < n_cuts; e++) {
		k = first_aged(plan, age, k > e ? k : e, plan->seconds[e]);
		age->entry[e] = (uint32_t)k;
	}
	k = first_aged(plan, age, 0, 0);
	age->bin[0] = k < n_cuts ? k : last;
	begin = plan->seconds[age->bin[0]];
	length = plan->window_seconds - begin;
	for (j = 1; j <= TREND_PLAN_BINS; j++)
		age->bin[j] = nearest_cut(
			plan, age->bin[j - 1], begin + length * (double)j / TREND_PLAN_BINS);
	for (e = 1; e < n_cuts; e++) {
		if (age->entry[e] <= trend_age_middle(age))
			age->load_cut[1] = e;
		if (age->entry[e] <= last)
			age->load_cut[2] = e;
	}
}

/* Older settle ages, those that the cuts tell from the one before. */
static void add_older(struct trend_plan *plan)
{
	size_t i;

	for (i = 0; i < sizeof(older_share) / sizeof(older_share[0]); i++) {
		struct trend_age *age = &plan->ages[plan->n_ages];
		double seconds = older_share[i] * plan->window_seconds;

		if (seconds < age[-1].settle_seconds + plan->interval_seconds)
			continue;
		init_age(plan, age, seconds);
		if (trend_age_has_halves(age, plan->n_cuts))
			plan->n_ages++;
		else
			free(age->entry);
	}
}

void trend_plan_init(struct trend_plan *plan, const uint64_t *cut_ns, size_t n_cuts)
{
	size_t k, last = n_cuts - 1;
	double settle_seconds;

	memset(plan, 0, sizeof(*plan));
	plan->n_cuts = n_cuts;
	plan->seconds = alloc_array(n_cuts, sizeof(*plan->seconds));
	for (k = 0; k < n_cuts; k++)
		plan->seconds[k] = (double)(cut_ns[k] - cut_ns[0]) / NS_PER_S;
	plan->window_seconds = plan->seconds[last];
	plan->interval_seconds = median_interval(plan);
	settle_seconds = SETTLE_INTERVALS * plan->interval_seconds;
	if (settle_seconds < plan->window_seconds / SETTLE_OF_WINDOW)
		settle_seconds = plan->window_seconds / SETTLE_OF_WINDOW;
	find_gaps(plan);
	init_age(plan, &plan->ages[0], settle_seconds);
	plan->n_ages = 1;
	add_older(plan);
}

void trend_plan_deinit(struct trend_plan *plan)
{
	size_t i;

	free(plan->seconds);
	for (i = 0; i < plan->n_ages; i++)
		free(plan->ages[i].entry);
	memset(plan, 0, sizeof(*plan));
}

size_t trend_plan_epoch(const uint64_t *cut_ns, size_t n_cuts, uint64_t birth_ns)
{
	size_t low = 0, high = n_cuts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cut_ns[middle] < birth_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
