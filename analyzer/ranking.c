/*
 * ranking.c - owns sums by group at one moment, their ages and their order.
 * Weights and ranges are stats/'s.
 */
#include "analyzer/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "sample_age.h"

static struct aggregate weigh(const struct ranking *r, const struct snapshot *s, size_t i)
{
	struct estimate_sample sample = profile_sample(s, &s->samples[i]);
	struct aggregate one = { 0 };

	estimate_add_sample(&one, &sample, r->interval_bytes, s->info.variance_unit_log2);
	return one;
}

void ranking_init(struct ranking *r, const struct profile *p, bool allocated)
{
	const struct profile_moment *moment = &p->moments[0];
	const struct snapshot *s = moment->snapshot;
	struct aggregate one;
	size_t i;

	memset(r, 0, sizeof(*r));
	r->allocated = allocated;
	r->interval_bytes = profile_interval_bytes(s, s->level);
	r->exact = r->interval_bytes <= 1;
	r->stacks = alloc_array(p->n_stacks, sizeof(*r->stacks));
	if (allocated) {
		for (i = 0; i < s->n_stacks; i++) {
			one = profile_allocated(s, &s->stacks[i]);
			estimate_add(&r->stacks[moment->stack_of[i]], &one);
		}
		return;
	}
	for (i = 0; i < s->n_samples; i++) {
		one = weigh(r, s, i);
		estimate_add(&r->stacks[moment->stack_of[s->samples[i].stack]], &one);
	}
}

static void estimate_row(const struct ranking *r, struct ranking_row *row)
{
	row->bytes = interval_of_bytes(&row->sum, r->interval_bytes, INTERVAL_Z95);
	row->blocks = interval_of_count(&row->sum, r->interval_bytes, INTERVAL_Z95);
	/* Cumulative counters keep no variance of the count: only what was seen is certain. */
	if (r->allocated && !r->exact)
		row->blocks = (struct interval){ row->sum.samples, INFINITY };
}

/* A live sample's age and weight, for medians by group. */
struct aged {
	uint32_t group;
	double age_ns, bytes;
};

static int compare_aged(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return x->age_ns < y->age_ns ? 1 : x->age_ns > y->age_ns ? -1 : 0;
}

/* Sets the ages of rows, which are still by group; aged holds n samples. */
static void set_ages(struct ranking_row *rows, struct aged *aged, size_t n)
{
	size_t first, last, i;

	qsort(aged, n, sizeof(*aged), compare_aged);
	for (first = 0; first < n; first = last) {
		double total = 0, older = 0;

		for (last = first; last < n && aged[last].group == aged[first].group; last++)
			total += aged[last].bytes;
		for (i = first; i + 1 < last; i++) {
			older += aged[i].bytes;
			if (older >= total / 2)
				break;
		}
		rows[aged[first].group].age_ns = aged[i].age_ns;
	}
}

/* Live samples into rows by group of stack or by thread. */
static void sum_samples(const struct ranking *r, const struct profile *p, const uint32_t *group_of,
	bool by_thread, struct ranking_row *rows)
{
	const struct profile_moment *moment = &p->moments[0];
	const struct snapshot *s = moment->snapshot;
	struct aged *aged = alloc_array(s->n_samples, sizeof(*aged));
	size_t i, n = 0;

	for (i = 0; i < s->n_samples; i++) {
		const struct heapspy_sample *sample = &s->samples[i];
		uint32_t group = group_of[moment->stack_of[sample->stack]];
		uint32_t thread = HEAPSPY_SAMPLE_THREAD(sample);
		struct aggregate one;

		if (group == RANKING_NO_GROUP)
			continue;
		if (by_thread)
			group = thread < s->n_threads ? moment->thread_of[thread]
						      : PROFILE_NO_THREAD;
		one = weigh(r, s, i);
		if (!(one.samples > 0))
			continue;
		estimate_add(&rows[group].sum, &one);
		aged[n].group = group;
		aged[n].age_ns = (double)sample_age_ns(sample->birth_level, s->info.cut_ns);
		aged[n++].bytes = one.bytes;
	}
	set_ages(rows, aged, n);
	free(aged);
}

static int compare_lower(double x_lo, double y_lo, double x, double y, uint32_t gx, uint32_t gy)
{
	if (x_lo != y_lo)
		return x_lo > y_lo ? -1 : 1;
	if (x != y)
		return x > y ? -1 : 1;
	return gx < gy ? -1 : gx > gy;
}

static int compare_bytes(const void *a, const void *b)
{
	const struct ranking_row *x = a, *y = b;

	return compare_lower(
		x->bytes.lo, y->bytes.lo, x->sum.bytes, y->sum.bytes, x->group, y->group);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct ranking_row *x = a, *y = b;

	return compare_lower(
		x->blocks.lo, y->blocks.lo, x->sum.count, y->sum.count, x->group, y->group);
}

void ranking_group(struct ranking *r, const struct profile *p, const uint32_t *group_of,
	size_t n_groups, bool by_thread, enum ranking_order order)
{
	bool live = p->moments[0].snapshot->n_samples > 0;
	struct ranking_row *rows;
	size_t i;

	if (by_thread)
		n_groups = p->n_threads;
	rows = alloc_array(n_groups, sizeof(*rows));
	free(r->rows);
	r->rows = rows;
	r->n_rows = 0;
	memset(&r->total, 0, sizeof(r->total));
	r->total.group = RANKING_NO_GROUP;
	for (i = 0; i < n_groups; i++)
		rows[i].age_ns = NAN;
	if (live)
		sum_samples(r, p, group_of, by_thread, rows);
	if (!by_thread) {
		/* The sums by stack are what counts: of allocations there are no samples. */
		for (i = 0; i < n_groups; i++)
			memset(&rows[i].sum, 0, sizeof(rows[i].sum));
		for (i = 0; i < p->n_stacks; i++)
			if (group_of[i] != RANKING_NO_GROUP)
				estimate_add(&rows[group_of[i]].sum, &r->stacks[i]);
	}
	for (i = 0; i < n_groups; i++) {
		struct ranking_row row = rows[i];

		if (!(row.sum.samples > 0))
			continue;
		row.group = (uint32_t)i;
		estimate_row(r, &row);
		estimate_add(&r->total.sum, &row.sum);
		rows[r->n_rows++] = row;
	}
	r->total.age_ns = NAN;
	estimate_row(r, &r->total);
	qsort(rows, r->n_rows, sizeof(*rows),
		order == RANKING_BY_BLOCKS ? compare_blocks : compare_bytes);
}

struct interval ranking_stack_range(const struct ranking *r, uint32_t stack)
{
	return interval_of_bytes(&r->stacks[stack], r->interval_bytes, INTERVAL_Z95);
}

struct ranking_row ranking_rest(const struct ranking *r, size_t first)
{
	struct ranking_row rest = { .group = RANKING_NO_GROUP, .age_ns = NAN };
	size_t i;

	for (i = first; i < r->n_rows; i++)
		estimate_add(&rest.sum, &r->rows[i].sum);
	estimate_row(r, &rest);
	return rest;
}

void ranking_deinit(struct ranking *r)
{
	free(r->stacks);
	free(r->rows);
	memset(r, 0, sizeof(*r));
}
