/*
 * trend_evidence.c - owns the figures that verdicts are made of, site by site. The verdicts are
 * trend.c's, ranges and p-values growth.c's, the sums age_structure.c's.
 */
#include <math.h>
#include <string.h>

#include "analyzer/stats/trend_evidence.h"
#include "analyzer/stats/zigzag.h"

#define TURNED_SHARE      .5 /* of the mean aged bytes */
#define OTHERS_MIN        .1 /* of all bytes, for their rate to tell the load */
#define CONTAINER_GROWN   1.3
#define CONTAINER_P       .005 /* of that growth by chance */
#define CONTAINER_DEAD    .8
#define CONTAINER_LARGER  1.2
#define CONTAINER_OF_LAST .8
#define CONTAINER_STILL   1.15
#define CONTAINER_FALLS   1 /* old and new block together are seen at most once */
#define LEVEL_DEATHS_MIN  10
#define LEVEL_LOAD        1.25 /* what enters may not have become more */
#define LEVEL_SLOWS_Z     1.645
#define LEVEL_DEATHS_Z    1.645
#define SWING_OF_MAX      .3
#define SWING_SIGMAS      5
#define STEP_SPAN         .1 /* of the window */
#define LATE_SHARE        .5 /* of the rise */
#define LATE_BEGINS       .1

static double span_seconds(const struct trend_plan *plan, size_t from, size_t to)
{
	return plan->seconds[to] - plan->seconds[from];
}

/* What evidence is made of: a site by one settle age. */
struct view {
	const struct trend_run *run;
	const struct trend_age *age;
	const struct age_structure *site;
	const struct aged *aged;
};

/* Length of the second half. */
static double late_seconds(const struct view *v)
{
	const struct trend_plan *plan = &v->run->plan;

	return span_seconds(plan, trend_age_middle(v->age), trend_plan_last(plan));
}

/*
 * What enters in a half was born before it, and with uneven times not in as long a time: half 0 is
 * (S_a, middle], half 1 (middle, K].
 */
static double birth_seconds(const struct view *v, int half)
{
	const size_t *cut = &v->age->load_cut[half];
	double seconds = span_seconds(&v->run->plan, cut[0], cut[1]);

	return seconds > 0 ? seconds : late_seconds(v);
}

/* The largest block of those that are certain: what is sampled by chance does not come in steps. */
static double certain_step(const struct trend_run *run, const struct aggregate *sum)
{
	double interval_bytes = fmax(1, (double)run->interval_bytes);

	return fmax(0, fmin(sum->size_max, sum->bytes - sum->variance / interval_bytes));
}

static struct trend_flow flow_of(const struct trend_run *run, const struct aggregate *in,
	const struct aggregate *out, double in_seconds, double out_seconds)
{
	return (struct trend_flow){
		.in = *in,
		.out = *out,
		.in_seconds = in_seconds,
		.out_seconds = out_seconds,
		.in_step_bytes = certain_step(run, in),
		.out_step_bytes = certain_step(run, out),
	};
}

struct growth trend_evidence_rate(const struct trend_run *run, const struct trend_flow *flow)
{
	const struct aggregate *in = &flow->in, *out = &flow->out;
	struct interval born = interval_of_bytes(in, run->interval_bytes, INTERVAL_Z95);
	struct interval died = interval_of_bytes(out, run->interval_bytes, INTERVAL_Z95);
	double step = hypot(
		flow->in_step_bytes / flow->in_seconds, flow->out_step_bytes / flow->out_seconds);
	struct growth rate;

	rate.bytes = in->bytes / flow->in_seconds - out->bytes / flow->out_seconds;
	rate.range.lo =
		rate.bytes - hypot(step, hypot((in->bytes - born.lo) / flow->in_seconds,
						 (died.hi - out->bytes) / flow->out_seconds));
	rate.range.hi =
		rate.bytes + hypot(step, hypot((born.hi - in->bytes) / flow->in_seconds,
						 (out->bytes - died.lo) / flow->out_seconds));
	return rate;
}

static void set_rate(const struct trend_run *run, struct trend_result *r)
{
	struct growth rate = trend_evidence_rate(run, &r->rate_flow);

	r->rate = rate.bytes;
	r->rate_range = rate.range;
}

static struct trend_growth growth_of(
	const struct aggregate *born, const struct aggregate *died, uint64_t interval_bytes)
{
	struct growth_sides sides = {
		.born = *born,
		.died = *died,
		.born_interval_bytes = interval_bytes,
		.died_interval_bytes = interval_bytes,
	};

	return (struct trend_growth){
		.growth = growth_estimate(&sides, INTERVAL_Z95),
		.p = growth_p_value(&sides, 0),
	};
}

/*
 * What was live at a cut less what of it is live later. A sample that its thread published late
 * can be missing from one cut and be there at the next: less than nothing counts as nothing.
 */
static struct aggregate died_of(struct aggregate live, const struct aggregate *left)
{
	estimate_subtract(&live, left);
	if (!(live.samples > 0) || live.bytes < 0)
		memset(&live, 0, sizeof(live));
	return live;
}

static struct aggregate sum_of(const struct aggregate *a, const struct aggregate *b)
{
	struct aggregate sum = *a;

	estimate_add(&sum, b);
	return sum;
}

/* A ratio that is 0 for 0/0 and infinite for x/0. */
static double ratio(double above, double below)
{
	if (below > 0)
		return above / below;
	return above > 0 ? INFINITY : 0;
}

static void weigh_growth(const struct view *v, struct trend_result *r)
{
	const uint64_t interval_bytes = v->run->interval_bytes;
	const struct age_structure *site = v->site;
	const struct aged *aged = v->aged;
	struct aggregate aged_last = sum_of(&aged->last.old, &aged->last.early);
	struct aggregate aged_middle = sum_of(&aged->middle.old, &aged->middle.entered);
	struct aggregate whole_in = sum_of(&aged->last.early, &aged->last.late);
	struct aggregate whole_out = died_of(aged->settled, &aged->last.old);
	struct aggregate born, died = died_of(site->first, &site->last_of_first);

	r->late_in = aged->last.late;
	r->late_out = died_of(aged_middle, &aged_last);
	r->late = growth_of(&r->late_in, &r->late_out, interval_bytes);
	r->rate_flow =
		flow_of(v->run, &r->late_in, &r->late_out, birth_seconds(v, 1), late_seconds(v));
	set_rate(v->run, r);
	r->whole = growth_of(&whole_in, &whole_out, interval_bytes);
	r->whole_samples = whole_in.samples;
	r->tested = aged->had_any;

	born = died_of(site->last, &site->last_of_first);
	r->all = growth_of(&born, &died, interval_bytes);
	r->shrink = growth_of(&died, &born, interval_bytes);
	r->moved = born.samples > 0 || died.samples > 0;
}

static void follow_cohort(const struct view *v, struct trend_result *r)
{
	const struct aged *aged = v->aged;
	double left =
		aged->last.old.samples + aged->last.early.samples - v->site->last_of_first.samples;

	r->old_samples = aged->middle.old.samples + aged->middle.entered.samples -
			 aged->middle.first_samples;
	r->old_died = fmax(r->old_samples - left, 0);
	r->retire = (r->old_died + .5) / (r->old_samples + 1);
}

/*
 * The most that the aged bytes grew within the time of one bin. The bins themselves would not do:
 * one step of growth across the border of two is not spread over both.
 */
static double largest_growth(const struct view *v)
{
	const struct trend_plan *plan = &v->run->plan;
	size_t first = trend_age_settled(v->age);
	double span = span_seconds(plan, first, trend_plan_last(plan)) / TREND_PLAN_BINS;

	return zigzag_steepest(v->aged->bytes + first, plan->seconds + first, plan->n_cuts - first,
		span + plan->interval_seconds / 4)
		.rise;
}

/* The two largest rises of the aged bytes, each in a short time. */
static double two_steps(const struct view *v)
{
	const double *seconds = v->run->plan.seconds, *bytes = v->aged->bytes;
	double span = STEP_SPAN * v->run->plan.window_seconds;
	size_t first = trend_age_settled(v->age), n = v->run->plan.n_cuts;
	struct zigzag_rise step, before, after;

	step = zigzag_steepest(bytes + first, seconds + first, n - first, span);
	before = zigzag_steepest(bytes + first, seconds + first, step.from + 1, span);
	after = zigzag_steepest(
		bytes + first + step.to, seconds + first + step.to, n - first - step.to, span);
	return step.rise + fmax(before.rise, after.rise);
}

static void spread_over_bins(const struct view *v, struct trend_result *r)
{
	const size_t *bin = v->age->bin;
	double largest = largest_growth(v), positive = 0;
	double aged = v->aged->bytes[bin[0]];
	int j;

	for (j = 0; j < TREND_PLAN_BINS; j++) {
		double at_end = v->aged->bytes[bin[j + 1]];
		double net = at_end - v->aged->bytes[bin[j]];

		r->bin_bytes[j] = net;
		aged += at_end;
		if (net > 0) {
			r->bins_up++;
			positive += net;
			largest = fmax(largest, net);
		}
	}
	r->steps_share = fmin(1, ratio(two_steps(v), positive));
	/* Growth that is gone within the bin is not in the sum. */
	r->share = fmin(1, ratio(largest, positive));
	r->early_flow = v->aged->early;
	r->late_flow = v->aged->late;
	r->rho = ratio(r->late_flow.out_bytes, r->late_flow.in_bytes);
	r->died_bytes = r->early_flow.out_bytes + r->late_flow.out_bytes;
	r->turned = r->died_bytes > TURNED_SHARE * aged / (TREND_PLAN_BINS + 1);
}

/*
 * Rate of allocation of all other sites, late to early; 1 where there is too little of it. Older
 * settle ages make do with the times of the first.
 */
static double load_ratio(const struct view *v)
{
	const struct trend_run *run = v->run;
	const struct age_structure *site = v->site;
	struct view first = { run, &run->plan.ages[0], site, &site->ages[0] };
	double others[2], seen = run->seen_bytes[2] - run->seen_bytes[0];
	int i;

	for (i = 0; i < 2; i++)
		others[i] =
			fmax(0, run->seen_bytes[i + 1] - run->seen_bytes[i] -
					(site->allocated_bytes[i + 1] - site->allocated_bytes[i]));
	if (!(seen > 0) || others[0] + others[1] < OTHERS_MIN * seen)
		return 1;
	return ratio(others[1] / birth_seconds(&first, 1), others[0] / birth_seconds(&first, 0));
}

static void compare_halves(const struct view *v, struct trend_result *r)
{
	struct aggregate in = v->aged->middle.entered;
	struct aggregate out = died_of(v->aged->settled, &v->aged->middle.old);
	double as_long = birth_seconds(v, 1) / birth_seconds(v, 0);
	double deviation = sqrt(as_long * as_long * (in.variance + out.variance) +
				r->late_in.variance + r->late_out.variance);
	double expected;

	r->early_net_bytes = as_long * (in.bytes - out.bytes);
	r->late_net_bytes = r->late.growth.bytes;
	r->early_samples = in.samples + out.samples;
	r->late_samples = r->late_in.samples + r->late_out.samples;
	r->slowing_z = r->early_net_bytes > r->late_net_bytes
			       ? ratio(r->early_net_bytes - r->late_net_bytes, deviation)
			       : 0;
	r->load = load_ratio(v);
	expected = r->early_net_bytes * fmin(1, r->load);
	if (expected > r->late_net_bytes)
		r->slowed_by = fmin(1, 1 - r->late_net_bytes / expected);
}

/* Mean size of blocks. */
static double mean_size(const struct aggregate *sum)
{
	return ratio(sum->bytes, sum->count);
}

/*
 * Whether it has been growing on since the middle: the blocks of that time are still there, or
 * have made room for more bytes in larger ones.
 */
static bool still_contains(const struct age_structure *site)
{
	const struct aggregate *then = &site->base[1].live, *now = &site->last;

	return site->base[1].left.bytes >= CONTAINER_DEAD * then->bytes ||
	       (now->bytes >= CONTAINER_STILL * then->bytes &&
		       mean_size(now) >= CONTAINER_STILL * mean_size(then));
}

/* Bytes of the blocks at cut K that are clearly larger than a block of this size. */
static double larger_bytes(const struct age_structure *site, double size_bytes)
{
	double sum = 0;
	size_t k;

	for (k = 0; k < site->n_cells; k++) {
		const struct age_cell *cell = &site->cells[k];

		if (cell->size_bytes >= CONTAINER_LARGER * size_bytes * cell->samples)
			sum += cell->bytes;
	}
	return sum;
}

/* Growth of all blocks from base i to cut K. */
static struct trend_growth growth_since(const struct view *v, int i)
{
	const struct age_structure *site = v->site;
	struct aggregate born = died_of(site->last, &site->base[i].left);
	struct aggregate died = died_of(site->base[i].live, &site->base[i].left);

	return growth_of(&born, &died, v->run->interval_bytes);
}

static void look_for_container(const struct view *v, struct trend_result *r)
{
	const struct trend_plan *plan = &v->run->plan;
	const struct age_structure *site = v->site;
	double live_bytes = site->last.bytes;
	int i;

	if (r->falls > CONTAINER_FALLS || !still_contains(site))
		return;
	for (i = 0; i < 2 && !r->is_container; i++) {
		const struct aggregate *then = &site->base[i].live;
		struct trend_growth growth = growth_since(v, i);
		double replaced = 1 - ratio(site->base[i].left.bytes, then->bytes);

		/* What has not grown since the first has not since the middle, but by a dip there.
		 */
		if (live_bytes < CONTAINER_GROWN * then->bytes || growth.p > CONTAINER_P)
			return;
		if (!(then->bytes > 0) || replaced < CONTAINER_DEAD ||
			larger_bytes(site, then->size_max) < CONTAINER_OF_LAST * live_bytes)
			continue;
		r->is_container = true;
		r->container.growth = growth;
		r->container.cut = i ? trend_plan_middle(plan) : trend_plan_settled(plan);
		r->container.from_bytes = then->bytes;
		r->container.to_bytes = live_bytes;
		r->container.from_largest = then->size_max;
		r->container.to_largest = site->last.size_max;
		r->container.to_blocks = site->last.count;
		r->container.replaced = replaced;
	}
}

void trend_evidence_container_rate(
	const struct trend_run *run, const struct age_structure *site, struct trend_result *r)
{
	const struct trend_plan *plan = &run->plan;
	int i = r->container.cut != trend_plan_settled(plan);
	double seconds = span_seconds(plan, r->container.cut, trend_plan_last(plan));
	struct aggregate born = died_of(site->last, &site->base[i].left);
	struct aggregate died = died_of(site->base[i].live, &site->base[i].left);

	/* Both ends are known: it is no matter of chance how many blocks came in between. */
	r->rate_flow = flow_of(run, &born, &died, seconds, seconds);
	r->rate_flow.in_step_bytes = r->rate_flow.out_step_bytes = 0;
	set_rate(run, r);
}

/* How surely growth slows down from the middle third of the time to the last, in deviations. */
static double slows_down(const struct trend_result *r)
{
	const struct age_flow *early = &r->early_flow, *late = &r->late_flow;
	double bytes = early->in_bytes + early->out_bytes + late->in_bytes + late->out_bytes;
	double samples =
		early->in_samples + early->out_samples + late->in_samples + late->out_samples;
	double middle = r->bin_bytes[2] + r->bin_bytes[3];
	double last = r->bin_bytes[4] + r->bin_bytes[5];

	/* Two thirds of the bytes, each sample with the mean weight. */
	return middle > last ? ratio(middle - last, sqrt(bytes * ratio(bytes, samples) * 2 / 3))
			     : 0;
}

/*
 * How far the deaths of the second half fall short of those that the bytes there would have had at
 * the rate of the first, in deviations: a share of all deaths against one of the time lived.
 */
static double deaths_missing(const struct trend_result *r)
{
	double early = r->early_flow.byte_seconds, late = r->late_flow.byte_seconds;
	double share = ratio(late, early + late);
	double deaths = r->early_flow.out_samples + r->late_flow.out_samples;

	return (share * deaths - r->late_flow.out_samples) /
	       sqrt(fmax(share * (1 - share) * deaths, 1));
}

static void forecast_level(const struct view *v, struct trend_result *r)
{
	const struct age_flow *flow = &r->late_flow;
	struct aggregate young = v->site->last,
			 aged = sum_of(&v->aged->last.old, &v->aged->last.early);
	double deaths_per_second = ratio(flow->out_bytes, flow->byte_seconds), level, factor;
	double births = birth_seconds(v, 1), early_births = birth_seconds(v, 0);
	struct interval range;

	if (flow->in_bytes * early_births > LEVEL_LOAD * r->early_flow.in_bytes * births)
		return;
	if (flow->out_samples < LEVEL_DEATHS_MIN || !(flow->in_samples > 0) ||
		!(deaths_per_second > 0) || slows_down(r) < LEVEL_SLOWS_Z ||
		deaths_missing(r) > LEVEL_DEATHS_Z)
		return;
	estimate_add(&aged, &v->aged->last.late);
	young = died_of(young, &aged);
	range = interval_of_bytes(&young, v->run->interval_bytes, INTERVAL_Z95);
	level = flow->in_bytes / births / deaths_per_second;
	factor = exp(INTERVAL_Z95 * sqrt(1 / flow->out_samples + 1 / flow->in_samples));
	r->level_bytes = level + young.bytes;
	r->level_range.lo = r->level_bytes - hypot(level - level / factor, young.bytes - range.lo);
	r->level_range.hi = r->level_bytes + hypot(level * factor - level, range.hi - young.bytes);
	/* It grows still, so a level below has been passed. */
	r->has_level = r->level_range.hi > r->last_bytes;
}

/* Whether most of the rise came in the last third, and from when on it did. */
static void date_growth(const struct view *v, struct trend_result *r)
{
	const struct trend_plan *plan = &v->run->plan;
	double rise = r->last_bytes - r->first_bytes, late;
	size_t k = trend_plan_last(plan), third = k;

	while (plan->seconds[third] > plan->window_seconds * 2 / 3)
		third--;
	late = r->last_bytes - r->live_bytes[third];
	if (!(rise > 0) || late < LATE_SHARE * rise)
		return;
	while (k > third && r->live_bytes[k] > r->live_bytes[third] + LATE_BEGINS * late)
		k--;
	r->grew_late = true;
	r->late_cut = k;
}

static void describe_series(const struct view *v, struct trend_result *r)
{
	const struct trend_run *run = v->run;
	const struct age_structure *site = v->site;
	const struct trend_plan *plan = &run->plan;
	struct zigzag swings;
	struct zigzag_rise step;
	size_t i, last = trend_plan_last(plan);

	r->live_bytes = site->live_bytes;
	r->first_bytes = r->min_bytes = r->max_bytes = site->live_bytes[0];
	r->last_bytes = site->live_bytes[last];
	for (i = 1; i <= last; i++) {
		r->min_bytes = fmin(r->min_bytes, site->live_bytes[i]);
		r->max_bytes = fmax(r->max_bytes, site->live_bytes[i]);
	}
	r->aged_share = ratio(v->aged->bytes[last], r->last_bytes);
	r->swing_bytes = fmax(SWING_OF_MAX * r->max_bytes,
		SWING_SIGMAS * sqrt(2 * (double)run->interval_bytes * r->max_bytes));
	if (r->max_bytes > 0) {
		swings = zigzag_count(site->live_bytes, plan->n_cuts, r->swing_bytes);
		r->rises = swings.rises;
		r->falls = swings.falls;
	}
	step = zigzag_steepest(
		site->live_bytes, plan->seconds, plan->n_cuts, STEP_SPAN * plan->window_seconds);
	r->step_bytes = step.rise;
	r->step_from = step.from;
	r->step_to = step.to;
}

void trend_evidence(const struct trend_run *run, const struct age_structure *site, unsigned age,
	struct trend_result *result)
{
	struct view view = { run, &run->plan.ages[age], site, &site->ages[age] };

	memset(result, 0, sizeof(*result));
	result->age = age;
	result->last_variance = site->last.variance;
	result->samples = site->samples;
	weigh_growth(&view, result);
	follow_cohort(&view, result);
	spread_over_bins(&view, result);
	compare_halves(&view, result);
	describe_series(&view, result);
	date_growth(&view, result);
	look_for_container(&view, result);
	forecast_level(&view, result);
}
