/*
 * churn.c - owns sums by stack and by group of what two snapshots say of allocations and lifetimes,
 * and the order of rows. The life table and its ranges are stats/lifetimes.c's.
 */
#include "analyzer/churn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "sample_age.h"
#include "sample_math.h"

#define NS_PER_S    1e9
/* S C / (n B) beyond which the sizes of a stack count as mixed; two sizes, one four times the
 * other, reach 25/16. */
#define MIXED_SIZES 1.25

/* What the life tables of a group are made of. */
struct tables {
	struct lifetimes_input bytes, blocks;
};

static struct aggregate weigh(const struct churn *c, const struct snapshot *s, size_t i)
{
	struct estimate_sample sample = profile_sample(s, &s->samples[i]);
	struct aggregate one = { 0 };

	estimate_add_sample(&one, &sample, c->interval_bytes[1], s->info.variance_unit_log2);
	return one;
}

static void sum_live(struct churn *c, const struct profile_moment *moment, bool after)
{
	const struct snapshot *s = moment->snapshot;
	size_t i;

	for (i = 0; i < s->n_samples; i++) {
		struct churn_sums *sums = &c->stacks[moment->stack_of[s->samples[i].stack]];
		struct aggregate one = weigh(c, s, i);

		estimate_add(after ? &sums->after : &sums->before, &one);
	}
}

static void sum_counters(struct churn *c, const struct profile_moment *moment, bool after)
{
	const struct snapshot *s = moment->snapshot;
	size_t i;
	uint32_t k;

	for (i = 0; i < s->n_stacks; i++) {
		const struct snapshot_stack *stack = &s->stacks[i];
		struct churn_sums *sums = &c->stacks[moment->stack_of[i]];
		struct aggregate one = profile_allocated(s, stack);

		(after ? estimate_add : estimate_subtract)(&sums->allocated, &one);
		for (k = 0; k < stack->n_deaths; k++) {
			double n = (double)s->deaths[stack->first_death + k].n;

			sums->died += after ? n : -n;
		}
	}
}

/*
 * The fields that the counters do not have, from those that they have: sizes are the mean size, and
 * the variance of the count is that of equal blocks, raised by what they differ. Counters never
 * fall, but a hostile file may say so.
 */
static void complete(struct aggregate *sum)
{
	double spread;

	if (!(sum->samples > 0) || sum->size_bytes < 0 || sum->bytes < 0 || sum->variance < 0 ||
		sum->count < 0) {
		memset(sum, 0, sizeof(*sum));
		return;
	}
	spread = sum->size_bytes * sum->count / (sum->samples * sum->bytes);
	sum->size_min = sum->size_max = sum->size_bytes / sum->samples;
	if (!(spread <= MIXED_SIZES)) {
		sum->size_min = 0;
		sum->size_max = INFINITY;
		spread = MIXED_SIZES;
	}
	sum->count_variance =
		fmax(0, sum->count * (fmax(1, spread) * sum->count / sum->samples - 1));
}

static uint64_t grown(uint64_t before, uint64_t after)
{
	return after > before ? after - before : 0;
}

static void count_losses(
	struct churn *c, const struct heapspy_info *a, const struct heapspy_info *b)
{
	const uint64_t *was = a->losses, *is = b->losses;

	c->n_lost = grown(was[HEAPSPY_LOSS_STATE_FULL], is[HEAPSPY_LOSS_STATE_FULL]) +
		    grown(was[HEAPSPY_LOSS_NO_SCRATCH], is[HEAPSPY_LOSS_NO_SCRATCH]);
	c->n_lost_deaths = grown(was[HEAPSPY_LOSS_DEATHS], is[HEAPSPY_LOSS_DEATHS]);
	c->n_replaced = grown(was[HEAPSPY_LOSS_REPLACED], is[HEAPSPY_LOSS_REPLACED]);
}

static struct lifetimes_figure rate_of(const struct churn *c, double value, struct interval range)
{
	double seconds = c->window_ns / NS_PER_S;

	return (struct lifetimes_figure){ value / seconds,
		{ range.lo / seconds, range.hi / seconds } };
}

/* What the process allocates: counted, or where that missed something, from its samples. */
static void find_process_rate(struct churn *c, const struct profile *p,
	const struct heapspy_info *a, const struct heapspy_info *b)
{
	struct aggregate all = { 0 };
	double bytes;
	size_t i;

	c->is_total_exact = !((a->flags | b->flags) & HEAPSPY_INFO_BYTES_LOWER);
	if (c->is_total_exact) {
		bytes = (double)grown(a->bytes_seen, b->bytes_seen);
		c->process_rate = rate_of(c, bytes, (struct interval){ bytes, bytes });
		return;
	}
	for (i = 0; i < p->n_stacks; i++)
		estimate_add(&all, &c->stacks[i].allocated);
	c->process_rate =
		rate_of(c, all.bytes, interval_of_bytes(&all, c->interval_bytes[1], INTERVAL_Z95));
}

void churn_init(struct churn *c, const struct profile *p)
{
	const struct snapshot *a = p->moments[0].snapshot, *b = p->moments[1].snapshot;
	size_t i;

	memset(c, 0, sizeof(*c));
	c->stacks = alloc_array(p->n_stacks, sizeof(*c->stacks));
	c->interval_bytes[0] = profile_interval_bytes(a, a->level);
	c->interval_bytes[1] = profile_interval_bytes(b, a->level > b->level ? a->level : b->level);
	c->exact = c->interval_bytes[1] <= 1;
	c->window_ns = (double)grown(a->info.cut_ns, b->info.cut_ns);
	sum_live(c, &p->moments[0], false);
	sum_live(c, &p->moments[1], true);
	/* Added before they are subtracted: sizes of an empty rest are dropped (estimate.h). */
	sum_counters(c, &p->moments[1], true);
	sum_counters(c, &p->moments[0], false);
	for (i = 0; i < p->n_stacks; i++) {
		profile_unwrap(p->moments[1].snapshot, &c->stacks[i].allocated);
		complete(&c->stacks[i].allocated);
	}
	count_losses(c, &a->info, &b->info);
	find_process_rate(c, p, &a->info, &b->info);
}

/* Deaths and ages of a moment into the tables of the groups. */
static void fill_tables(const struct churn *c, const struct profile_moment *moment, bool after,
	const uint32_t *group_of, struct tables *tables)
{
	void (*const add)(struct lifetimes_input *, double, double) =
		after ? lifetimes_add_left : lifetimes_add_entered;
	const struct snapshot *s = moment->snapshot;
	double sign = after ? 1 : -1;
	size_t i, k;

	for (i = 0; i < s->n_samples; i++) {
		uint32_t group = group_of[moment->stack_of[s->samples[i].stack]];
		struct aggregate one = weigh(c, s, i);
		double age_ns;

		if (group == CHURN_NO_GROUP || !(one.samples > 0))
			continue;
		age_ns = (double)sample_age_ns(s->samples[i].birth_level, s->info.cut_ns);
		add(&tables[group].bytes, age_ns, one.bytes);
		add(&tables[group].blocks, age_ns, one.count);
	}
	for (i = 0; i < s->n_stacks; i++) {
		const struct snapshot_stack *stack = &s->stacks[i];
		uint32_t group = group_of[moment->stack_of[i]];

		if (group == CHURN_NO_GROUP)
			continue;
		for (k = 0; k < stack->n_deaths; k++) {
			const struct snapshot_death *death = &s->deaths[stack->first_death + k];

			tables[group].bytes.died[death->bucket] += sign * (double)death->B;
			tables[group].blocks.died[death->bucket] +=
				sign * (double)death->C / SAMPLE_COUNT_UNIT;
		}
	}
}

/* Everything of a measure but its share, from its rate. */
static void measure(const struct churn *c, struct churn_measure *m, const struct lifetimes *table,
	double n, double live)
{
	struct lifetimes_births births = { .rate = m->rate, .n = n, .window_ns = c->window_ns };

	m->median = lifetimes_median(table, n, c->window_ns, INTERVAL_Z95);
	m->young = lifetimes_dying(table, &births, 0, LIFETIMES_YOUNG_NS, INTERVAL_Z95);
	m->middle =
		lifetimes_dying(table, &births, LIFETIMES_MIDDLE_NS, c->window_ns, INTERVAL_Z95);
	m->turnover = live > 0 ? m->rate.value / live : NAN;
	m->mean_life_ns = live > 0 && m->rate.value > 0 ? live / m->rate.value * NS_PER_S : NAN;
}

/* How many cases a share rests on: blocks that are certain to be seen leave nothing to chance. */
static double cases(const struct churn *c, double n, double amount, double variance)
{
	if (c->exact)
		return INFINITY;
	return variance > 0 ? fmin(n, amount * amount / variance) : n;
}

static unsigned flags_of(const struct churn *c, const struct churn_row *row)
{
	double young = row->bytes.young.rate.range.lo, middle = row->bytes.middle.rate.range.lo;
	double hot = fmax(CHURN_HOT_SHARE * c->process_rate.value, CHURN_FLAG_RATE);
	double heavy = fmax(CHURN_HEAVY_SHARE * c->process_rate.value, CHURN_FLAG_RATE);

	return (young >= hot ? CHURN_HOT : 0) | (young >= heavy ? CHURN_HEAVY : 0) |
	       (middle >= hot ? CHURN_MID_LIFE : 0);
}

/* is_process: of a row that leaves nothing out, what was counted is known better. */
static void estimate_row(
	const struct churn *c, const struct tables *tables, bool is_process, struct churn_row *row)
{
	const struct churn_sums *sums = &row->sums;
	const struct aggregate *born = &sums->allocated;
	struct lifetimes of_blocks = lifetimes_estimate(&tables->blocks);

	row->table = lifetimes_estimate(&tables->bytes);
	row->bytes.rate = c->process_rate;
	if (!is_process)
		row->bytes.rate = rate_of(c, born->bytes,
			interval_of_bytes(born, c->interval_bytes[1], INTERVAL_Z95));
	row->blocks.rate = rate_of(
		c, born->count, interval_of_count(born, c->interval_bytes[1], INTERVAL_Z95));
	measure(c, &row->bytes, &row->table, cases(c, born->samples, born->bytes, born->variance),
		(sums->before.bytes + sums->after.bytes) / 2);
	measure(c, &row->blocks, &of_blocks,
		cases(c, born->samples, born->count, born->count_variance),
		(sums->before.count + sums->after.count) / 2);
	row->bytes.share =
		c->process_rate.value > 0 ? row->bytes.rate.value / c->process_rate.value : NAN;
	row->flags = flags_of(c, row);
}

static void add_sums(struct churn_sums *sum, const struct churn_sums *part)
{
	estimate_add(&sum->allocated, &part->allocated);
	estimate_add(&sum->before, &part->before);
	estimate_add(&sum->after, &part->after);
	sum->died += part->died;
}

static int compare_measures(const struct churn_measure *x, const struct churn_measure *y)
{
	double dx = x->young.rate.range.lo, dy = y->young.rate.range.lo;

	/* NAN in both or in none: the window is the same. */
	if (dx != dy && !isnan(dx) && !isnan(dy))
		return dx > dy ? -1 : 1;
	if (x->rate.range.lo != y->rate.range.lo)
		return x->rate.range.lo > y->rate.range.lo ? -1 : 1;
	if (x->rate.value != y->rate.value)
		return x->rate.value > y->rate.value ? -1 : 1;
	return 0;
}

static int compare_bytes(const void *a, const void *b)
{
	const struct churn_row *x = a, *y = b;
	int order = compare_measures(&x->bytes, &y->bytes);

	return order ? order : x->group < y->group ? -1 : x->group > y->group;
}

static int compare_blocks(const void *a, const void *b)
{
	const struct churn_row *x = a, *y = b;
	int order = compare_measures(&x->blocks, &y->blocks);

	return order ? order : x->group < y->group ? -1 : x->group > y->group;
}

void churn_group(struct churn *c, const struct profile *p, const uint32_t *group_of,
	size_t n_groups, bool by_blocks)
{
	struct tables *tables = alloc_array(n_groups, sizeof(*tables)), all = { 0 };
	struct churn_row *rows = alloc_array(n_groups, sizeof(*rows));
	bool is_process = true;
	double blocks;
	size_t i;

	free(c->rows);
	c->rows = rows;
	c->n_rows = 0;
	memset(&c->total, 0, sizeof(c->total));
	c->total.group = CHURN_NO_GROUP;
	fill_tables(c, &p->moments[1], true, group_of, tables);
	fill_tables(c, &p->moments[0], false, group_of, tables);
	for (i = 0; i < p->n_stacks; i++) {
		if (group_of[i] == CHURN_NO_GROUP) {
			is_process &= !(c->stacks[i].allocated.samples > 0);
			continue;
		}
		add_sums(&rows[group_of[i]].sums, &c->stacks[i]);
		tables[group_of[i]].bytes.births += c->stacks[i].allocated.bytes;
		tables[group_of[i]].blocks.births += c->stacks[i].allocated.count;
	}
	for (i = 0; i < n_groups; i++) {
		struct churn_row row = rows[i];

		add_sums(&c->total.sums, &row.sums);
		lifetimes_add(&all.bytes, &tables[i].bytes);
		lifetimes_add(&all.blocks, &tables[i].blocks);
		if (!(row.sums.allocated.samples > 0))
			continue;
		row.group = (uint32_t)i;
		estimate_row(c, &tables[i], false, &row);
		rows[c->n_rows++] = row;
	}
	estimate_row(c, &all, is_process, &c->total);
	blocks = c->total.blocks.rate.value;
	c->total.blocks.share = blocks > 0 ? 1 : NAN;
	for (i = 0; i < c->n_rows; i++)
		rows[i].blocks.share = rows[i].blocks.rate.value / blocks;
	qsort(rows, c->n_rows, sizeof(*rows), by_blocks ? compare_blocks : compare_bytes);
	free(tables);
}

void churn_deinit(struct churn *c)
{
	free(c->stacks);
	free(c->rows);
	memset(c, 0, sizeof(*c));
}
