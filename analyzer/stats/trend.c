/*
 * trend.c - owns the verdicts: the rules, their thresholds, and the tests of many sites at once.
 * What the rules are put to is trend_evidence.c's.
 */
#include <math.h>
#include <stdlib.h>

#include "analyzer/alloc.h"
#include "analyzer/stats/trend_evidence.h"

#define LEAK_SAMPLES_MIN   5
#define SPREAD_SHARE       .6
#define SPREAD_SHARE_WHOLE .7
#define KEPT_MAX           .25 /* of the old cohort, or of what enters, that may die */
#define OLDER_COHORT_MIN   10
#define STEPS_SHARE        .9 /* what was loaded twice is no leak */
#define OLDER_DISCOVERY    .2 /* of the discovery rate */
#define WHOLE_P_LATE       .15
#define WHOLE_LATE_SHARE   .25
#define SLOWING_Z          2
#define SLOWING_RATIO      .7
#define SWINGS_MIN         3
#define GROWN_SHARE        .2 /* of the bytes at the start */
#define YOUNG_SHARE        .5
#define CACHE_AGED_SHARE   .2
#define STEP_SHARE         .8
#define TURNED_INTERVALS   2
#define FEW_SAMPLES        5
#define CERTAIN_VARIANCE   20 /* V at most a 20th of B^2 makes even one block no accident */
#define VISIBLE_SAMPLES    16

const char *trend_verdict_name(enum trend_verdict verdict)
{
	static const char *const names[TREND_N_VERDICTS] = {
		[TREND_LEAK] = "leak-like",
		[TREND_LEAK_SLOWING] = "leak-like, slowing",
		[TREND_CONTAINER] = "growing container",
		[TREND_TURNING_OVER] = "growing, blocks turn over",
		[TREND_SAWTOOTH] = "sawtooth/cache",
		[TREND_LOAD_FOLLOWING] = "load-following",
		[TREND_ONE_OFF] = "one-off step",
		[TREND_WARM_UP] = "steady after warm-up",
		[TREND_STEADY] = "steady",
		[TREND_SHRINKING] = "shrinking",
		[TREND_TOO_FEW] = "too few samples",
	};

	return names[verdict];
}

/* The last third of the window: what grew once and stands still is no leak. */
static bool grows_to_the_end(const struct trend_result *r)
{
	return r->bin_bytes[TREND_PLAN_BINS - 2] + r->bin_bytes[TREND_PLAN_BINS - 1] > 0;
}

static bool is_spread(const struct trend_result *r)
{
	int j, up = 0;

	for (j = TREND_PLAN_BINS - 3; j < TREND_PLAN_BINS; j++)
		up += r->bin_bytes[j] > 0;
	return r->share <= SPREAD_SHARE && r->steps_share <= STEPS_SHARE && up >= 2 &&
	       grows_to_the_end(r);
}

static bool is_kept(const struct trend_result *r)
{
	return r->old_samples > 0 ? r->retire <= KEPT_MAX : r->rho <= KEPT_MAX;
}

/* By the second half alone. */
static bool leaks_late(const struct trend_result *r)
{
	return r->late.significant && is_spread(r) && is_kept(r) &&
	       r->late_in.samples >= LEAK_SAMPLES_MIN;
}

/* By the whole window, where the second half alone is too short to tell. */
static bool leaks_whole(const struct trend_result *r)
{
	double net = r->early_net_bytes + r->late_net_bytes;

	return r->whole.significant && r->late.p <= WHOLE_P_LATE &&
	       r->share <= SPREAD_SHARE_WHOLE && r->steps_share <= STEPS_SHARE && is_kept(r) &&
	       r->rho <= KEPT_MAX && grows_to_the_end(r) &&
	       r->late_net_bytes >= WHOLE_LATE_SHARE * net && r->whole_samples >= LEAK_SAMPLES_MIN;
}

static bool is_slowing(const struct trend_result *r)
{
	return r->slowing_z > SLOWING_Z &&
	       r->late_net_bytes < SLOWING_RATIO * r->early_net_bytes * fmin(1, r->load);
}

/* A significant growth of more than a fifth, of what kind? */
static enum trend_verdict kind_of_growth(const struct trend_result *r)
{
	if (r->aged_share < YOUNG_SHARE)
		return r->turned && r->aged_share >= CACHE_AGED_SHARE ? TREND_SAWTOOTH
								      : TREND_LOAD_FOLLOWING;
	if (r->turned)
		return TREND_SAWTOOTH;
	if (r->step_bytes >= STEP_SHARE * (r->last_bytes - r->first_bytes))
		return TREND_ONE_OFF;
	return TREND_WARM_UP;
}

/* Verdicts of growth that is over. */
static bool may_have_begun(enum trend_verdict verdict)
{
	return verdict == TREND_WARM_UP || verdict == TREND_ONE_OFF ||
	       verdict == TREND_LOAD_FOLLOWING;
}

/* The first rule that fits. */
static enum trend_verdict judge(const struct trend_run *run, const struct trend_result *r)
{
	double grown_min = GROWN_SHARE * r->first_bytes;

	if (leaks_late(r) || leaks_whole(r))
		return is_slowing(r) ? TREND_LEAK_SLOWING : TREND_LEAK;
	if (r->is_container && (r->late.significant || r->all.significant))
		return TREND_CONTAINER;
	if (r->rises >= SWINGS_MIN && r->falls >= SWINGS_MIN)
		return TREND_SAWTOOTH;
	if (r->late.significant && grows_to_the_end(r) && r->rho > KEPT_MAX)
		return TREND_TURNING_OVER;
	if (r->all.significant && r->all.growth.bytes > grown_min)
		return kind_of_growth(r);
	if (r->shrink.significant && r->shrink.growth.bytes > grown_min)
		return TREND_SHRINKING;
	if (r->turned && r->died_bytes > TURNED_INTERVALS * (double)run->interval_bytes)
		return TREND_SAWTOOTH;
	if (r->samples < FEW_SAMPLES &&
		!(r->last_bytes > 0 &&
			r->last_variance * CERTAIN_VARIANCE <= r->last_bytes * r->last_bytes))
		return TREND_TOO_FEW;
	return TREND_STEADY;
}

/* One test of a result, and whether the site takes part in it. */
static struct trend_growth *test_of(struct trend_result *r, int test, bool *takes_partp)
{
	struct trend_growth *const tests[] = { &r->late, &r->whole, &r->all, &r->shrink };

	*takes_partp = test < 2 ? r->tested : r->moved;
	return tests[test];
}

#define N_TESTS 4

static void discover(struct trend_result *results, size_t n, double q)
{
	double *p = alloc_array(n, sizeof(*p)), limit;
	struct trend_growth *growth;
	bool takes_part;
	size_t i, n_p;
	int test;

	for (test = 0; test < N_TESTS; test++) {
		n_p = 0;
		for (i = 0; i < n; i++) {
			growth = test_of(&results[i], test, &takes_part);
			if (takes_part)
				p[n_p++] = growth->p;
		}
		limit = growth_discovery_limit(p, n_p, q);
		for (i = 0; i < n; i++) {
			growth = test_of(&results[i], test, &takes_part);
			growth->significant = takes_part && growth->p <= limit;
		}
	}
	free(p);
}

static bool is_leak(const struct trend_result *r)
{
	return leaks_late(r) || leaks_whole(r);
}

/*
 * Blocks that live longer than the settle age, and die, hide those that never do. By an older one
 * the former are gone: what enters late and the old cohort then stay where it leaks.
 */
static void ask_again(const struct trend_run *run, const struct age_structure *sites, size_t n,
	double q, unsigned age, struct trend_result *results)
{
	struct trend_result *older = alloc_array(n, sizeof(*older));
	size_t *site_of = alloc_array(n, sizeof(*site_of)), i, n_older = 0;
	double *p = alloc_array(n, sizeof(*p)), limit;

	for (i = 0; i < n; i++) {
		const struct trend_result *r = &results[i];

		/* What only seems to slow down may be a pool that is full by an older age. */
		if (r->age ? !is_slowing(r) : is_leak(r) || is_kept(r))
			continue;
		if (!sites[i].ages[age].had_any)
			continue;
		trend_evidence(run, &sites[i], age, &older[n_older]);
		p[n_older] = older[n_older].late.p;
		site_of[n_older++] = i;
	}
	limit = growth_discovery_limit(p, n_older, OLDER_DISCOVERY * q);
	for (i = 0; i < n_older; i++) {
		struct trend_result *r = &results[site_of[i]];

		older[i].late.significant = older[i].late.p <= limit;
		if (!leaks_late(&older[i]) || older[i].old_samples < OLDER_COHORT_MIN)
			continue;
		if (is_slowing(&older[i]))
			continue;
		older[i].all.significant = r->all.significant;
		older[i].shrink.significant = r->shrink.significant;
		*r = older[i];
	}
	free(older);
	free(site_of);
	free(p);
}

void trend_judge(const struct trend_run *run, const struct age_structure *sites, size_t n,
	const struct trend_judging *judging, struct trend_result *results)
{
	double q = judging->discovery_rate;
	unsigned age;
	size_t i;

	if (judging->look)
		q /= (double)judging->look * ((double)judging->look + 1);
	for (i = 0; i < n; i++)
		trend_evidence(run, &sites[i], 0, &results[i]);
	discover(results, n, q);
	for (age = 1; age < run->plan.n_ages; age++)
		ask_again(run, sites, n, q, age, results);
	for (i = 0; i < n; i++) {
		struct trend_result *r = &results[i];

		r->strong = leaks_late(r);
		r->verdict = judge(run, r);
		if (r->verdict == TREND_CONTAINER)
			trend_evidence_container_rate(run, &sites[i], r);
		r->grew_late = r->grew_late && may_have_begun(r->verdict);
	}
}

/* Rates over the same times add to one; those over others are put together by their limits. */
struct total {
	struct trend_flow flows[TREND_PLAN_AGES + 2];
	size_t n_flows;
};

static void add_flow(struct total *total, const struct trend_flow *flow)
{
	struct trend_flow *sum = total->flows;

	while (sum < total->flows + total->n_flows &&
		(sum->in_seconds != flow->in_seconds || sum->out_seconds != flow->out_seconds))
		sum++;
	if (sum == total->flows + total->n_flows) {
		total->n_flows++;
		*sum = *flow;
		return;
	}
	estimate_add(&sum->in, &flow->in);
	estimate_add(&sum->out, &flow->out);
	sum->in_step_bytes = hypot(sum->in_step_bytes, flow->in_step_bytes);
	sum->out_step_bytes = hypot(sum->out_step_bytes, flow->out_step_bytes);
}

struct growth trend_total_rate(const struct trend_run *run, const struct trend_result *results,
	size_t n, unsigned verdicts, size_t *n_sitesp)
{
	struct total total = { .n_flows = 0 };
	struct growth sum = { 0 };
	double below = 0, above = 0;
	size_t i, n_sites = 0;

	for (i = 0; i < n; i++) {
		if (!(verdicts >> results[i].verdict & 1))
			continue;
		n_sites++;
		add_flow(&total, &results[i].rate_flow);
	}
	for (i = 0; i < total.n_flows; i++) {
		struct growth rate = trend_evidence_rate(run, &total.flows[i]);

		sum.bytes += rate.bytes;
		below = hypot(below, rate.bytes - rate.range.lo);
		above = hypot(above, rate.range.hi - rate.bytes);
	}
	sum.range.lo = sum.bytes - below;
	sum.range.hi = sum.bytes + above;
	if (n_sitesp)
		*n_sitesp = n_sites;
	return sum;
}

double trend_smallest_rate(const struct trend_run *run)
{
	if (run->interval_bytes <= 1)
		return 0;
	return VISIBLE_SAMPLES * (double)run->interval_bytes / run->plan.window_seconds;
}

int trend_compare(const struct trend_result *a, const struct trend_result *b)
{
	if (a->verdict != b->verdict)
		return a->verdict < b->verdict ? -1 : 1;
	if (a->rate_range.lo != b->rate_range.lo)
		return a->rate_range.lo > b->rate_range.lo ? -1 : 1;
	if (a->last_bytes != b->last_bytes)
		return a->last_bytes > b->last_bytes ? -1 : 1;
	return 0;
}
