/*
 * age_structure.c - owns the sums by age of one site. What they say is trend.c's; reading samples
 * and giving each its epoch is history.c's.
 */
#include <string.h>

#include "analyzer/stats/age_structure.h"

/* Aged bytes before S_a are asked for by nobody: their series begin there. */
static size_t length_of(const struct trend_plan *plan, size_t age)
{
	return plan->n_cuts - trend_age_settled(&plan->ages[age]);
}

size_t age_structure_series(const struct trend_plan *plan)
{
	size_t i, n = plan->n_cuts;

	for (i = 0; i < plan->n_ages; i++)
		n += length_of(plan, i);
	return n;
}

void age_structure_init(struct age_structure *s, const struct trend_plan *plan, double *series)
{
	double *next = series + plan->n_cuts;
	size_t i;

	memset(s, 0, sizeof(*s));
	s->live_bytes = series;
	for (i = 0; i < plan->n_ages; i++) {
		/* Not before `series`, as the live bytes lie there. */
		s->ages[i].bytes = next - trend_age_settled(&plan->ages[i]);
		next += length_of(plan, i);
	}
}

/* The cut at which base[i] stands. */
static size_t base_cut(const struct trend_plan *plan, int i)
{
	return i ? trend_plan_middle(plan) : trend_plan_settled(plan);
}

static void add_middle(
	struct aged *aged, const struct trend_age *age, size_t epoch, const struct aggregate *live)
{
	if (age->entry[epoch] <= trend_age_settled(age))
		estimate_add(&aged->middle.old, live);
	else
		estimate_add(&aged->middle.entered, live);
	if (epoch == 0)
		aged->middle.first_samples += live->samples;
}

static void add_last(
	struct aged *aged, const struct trend_age *age, size_t epoch, const struct aggregate *live)
{
	if (age->entry[epoch] <= trend_age_settled(age))
		estimate_add(&aged->last.old, live);
	else if (age->entry[epoch] <= trend_age_middle(age))
		estimate_add(&aged->last.early, live);
	else
		estimate_add(&aged->last.late, live);
}

/* Of blocks that are aged at the cut. */
static void add_aged(struct aged *aged, const struct trend_age *age, size_t cut, size_t last,
	size_t epoch, const struct aggregate *live)
{
	aged->now.bytes += live->bytes;
	aged->now.samples += live->samples;
	if (age->entry[epoch] == cut) {
		aged->now.entered_bytes += live->bytes;
		aged->now.entered_samples += live->samples;
	}
	if (cut == trend_age_settled(age))
		estimate_add(&aged->settled, live);
	if (cut == trend_age_middle(age))
		add_middle(aged, age, epoch, live);
	if (cut == last)
		add_last(aged, age, epoch, live);
}

void age_structure_add(struct age_structure *s, const struct trend_plan *plan, size_t cut,
	size_t epoch, const struct aggregate *live)
{
	size_t last = trend_plan_last(plan), k;
	int i;

	s->now_bytes += live->bytes;
	if (epoch == cut || cut == 0)
		s->samples += live->samples;
	/* What is too young for one settle age is for all older ones. */
	for (k = 0; k < plan->n_ages && plan->ages[k].entry[epoch] <= cut; k++)
		add_aged(&s->ages[k], &plan->ages[k], cut, last, epoch, live);
	if (cut == 0)
		estimate_add(&s->first, live);
	for (i = 0; i < 2; i++) {
		if (cut == base_cut(plan, i))
			estimate_add(&s->base[i].live, live);
		if (cut == last && epoch <= base_cut(plan, i))
			estimate_add(&s->base[i].left, live);
	}
	if (cut == last) {
		estimate_add(&s->last, live);
		if (epoch == 0)
			estimate_add(&s->last_of_first, live);
	}
}

/* What went on among aged blocks between the cut before and this one. */
static void add_flow(struct age_flow *flow, const struct aged *aged, double seconds)
{
	flow->in_samples += aged->now.entered_samples;
	flow->in_bytes += aged->now.entered_bytes;
	flow->out_samples += aged->before.samples + aged->now.entered_samples - aged->now.samples;
	flow->out_bytes += aged->before.bytes + aged->now.entered_bytes - aged->now.bytes;
	flow->byte_seconds += seconds * (aged->before.bytes + aged->now.bytes) / 2;
}

void age_structure_end_cut(struct age_structure *s, const struct trend_plan *plan, size_t cut)
{
	size_t k;

	s->live_bytes[cut] = s->now_bytes;
	s->now_bytes = 0;
	for (k = 0; k < plan->n_ages; k++) {
		const struct trend_age *age = &plan->ages[k];
		struct aged *aged = &s->ages[k];

		if (cut >= trend_age_settled(age)) {
			aged->bytes[cut] = aged->now.bytes;
			aged->had_any = aged->had_any || aged->now.samples > 0;
		}
		if (cut > trend_age_settled(age))
			add_flow(cut > trend_age_middle(age) ? &aged->late : &aged->early, aged,
				plan->seconds[cut] - plan->seconds[cut - 1]);
		aged->before = aged->now;
		memset(&aged->now, 0, sizeof(aged->now));
	}
}

static void merge_flow(struct age_flow *sum, const struct age_flow *part)
{
	sum->in_samples += part->in_samples;
	sum->in_bytes += part->in_bytes;
	sum->out_samples += part->out_samples;
	sum->out_bytes += part->out_bytes;
	sum->byte_seconds += part->byte_seconds;
}

static void merge_aged(struct aged *sum, const struct aged *part, size_t settled, size_t n_cuts)
{
	size_t i;

	for (i = settled; i < n_cuts; i++)
		sum->bytes[i] += part->bytes[i];
	sum->had_any = sum->had_any || part->had_any;
	merge_flow(&sum->early, &part->early);
	merge_flow(&sum->late, &part->late);
	estimate_add(&sum->settled, &part->settled);
	estimate_add(&sum->middle.old, &part->middle.old);
	estimate_add(&sum->middle.entered, &part->middle.entered);
	sum->middle.first_samples += part->middle.first_samples;
	estimate_add(&sum->last.old, &part->last.old);
	estimate_add(&sum->last.early, &part->last.early);
	estimate_add(&sum->last.late, &part->last.late);
}

void age_structure_merge(
	struct age_structure *sum, const struct age_structure *part, const struct trend_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_cuts; i++)
		sum->live_bytes[i] += part->live_bytes[i];
	sum->samples += part->samples;
	for (i = 0; i < TREND_PLAN_LOADS; i++)
		sum->allocated_bytes[i] += part->allocated_bytes[i];
	estimate_add(&sum->first, &part->first);
	estimate_add(&sum->last, &part->last);
	estimate_add(&sum->last_of_first, &part->last_of_first);
	for (i = 0; i < 2; i++) {
		estimate_add(&sum->base[i].live, &part->base[i].live);
		estimate_add(&sum->base[i].left, &part->base[i].left);
	}
	for (i = 0; i < plan->n_ages; i++)
		merge_aged(&sum->ages[i], &part->ages[i], trend_age_settled(&plan->ages[i]),
			plan->n_cuts);
}
