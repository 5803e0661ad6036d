/* churn_json.c - owns the schema heapspy.churn/1. Additions keep the number. */
#include "analyzer/out/churn.h"

#include <math.h>
#include <stdlib.h>

#include "analyzer/alloc.h"
#include "analyzer/out/moment_json.h"
#include "analyzer/out/where.h"

#define STACKS_DEFAULT 5
#define NS_PER_S       1e9
#define SHARE_DIGITS   4
#define TIME_DIGITS    9

static void add_range(struct json *j, const char *key, const struct interval *range, int digits)
{
	json_array_begin(j, key);
	json_decimal(j, NULL, range->lo, digits);
	json_decimal(j, NULL, range->hi, digits);
	json_array_end(j);
}

/* digits: of the rates. */
static void add_measure(struct json *j, const char *key, const struct churn_measure *m, int digits)
{
	struct interval median;

	json_object_begin(j, key);
	json_decimal(j, "per_second", m->rate.value, digits);
	add_range(j, "ci", &m->rate.range, digits);
	json_decimal(j, "share", m->share, SHARE_DIGITS);
	json_decimal(j, "temporary", m->young.share.value, SHARE_DIGITS);
	add_range(j, "temporary_ci", &m->young.share.range, SHARE_DIGITS);
	json_decimal(j, "median_life_seconds", m->median.ns / NS_PER_S, TIME_DIGITS);
	median.lo = m->median.range.lo / NS_PER_S;
	median.hi = m->median.range.hi / NS_PER_S;
	add_range(j, "median_life_ci", &median, TIME_DIGITS);
	json_decimal(j, "young_per_second", m->young.rate.value, digits);
	add_range(j, "young_ci", &m->young.rate.range, digits);
	json_decimal(j, "mid_life_per_second", m->middle.rate.value, digits);
	add_range(j, "mid_life_ci", &m->middle.rate.range, digits);
	json_decimal(j, "turnover_per_second", m->turnover, 6);
	json_decimal(j, "mean_life_seconds", m->mean_life_ns / NS_PER_S, TIME_DIGITS);
	json_object_end(j);
}

/* [age in seconds, share that reaches it], where the share changes, up to the window. */
static void add_survival(struct json *j, const struct churn *c, const struct lifetimes *table)
{
	int i;

	json_array_begin(j, "survival");
	for (i = 1; i <= LIFETIMES_BUCKETS && ldexp(1, i) <= c->window_ns; i++) {
		double next = i < LIFETIMES_BUCKETS ? table->survival[i + 1] : -1;

		if (table->survival[i] == table->survival[i - 1] && table->survival[i] == next)
			continue;
		json_array_begin(j, NULL);
		json_decimal(j, NULL, ldexp(1, i) / NS_PER_S, TIME_DIGITS);
		json_decimal(j, NULL, table->survival[i], SHARE_DIGITS);
		json_array_end(j);
	}
	json_array_end(j);
}

static void add_flags(struct json *j, unsigned flags)
{
	json_array_begin(j, "flags");
	if (flags & CHURN_HOT)
		json_text(j, NULL, "hot");
	if (flags & CHURN_HEAVY)
		json_text(j, NULL, "heavy");
	if (flags & CHURN_MID_LIFE)
		json_text(j, NULL, "mid-life");
	json_array_end(j);
}

static void add_figures(struct json *j, const struct churn *c, const struct churn_row *row)
{
	json_whole(j, "samples", row->sums.allocated.samples);
	json_whole(j, "samples_died", row->sums.died);
	add_measure(j, "bytes", &row->bytes, 0);
	add_measure(j, "blocks", &row->blocks, 3);
	json_whole(j, "live_before", row->sums.before.bytes);
	json_whole(j, "live", row->sums.after.bytes);
	json_whole(j, "live_blocks_before", row->sums.before.count);
	json_whole(j, "live_blocks", row->sums.after.count);
	add_survival(j, c, &row->table);
}

static void add_stacks(struct json *j, const struct churn_view *v, uint32_t group)
{
	size_t max = v->options->has_stacks ? v->options->n_stacks : STACKS_DEFAULT;
	double seconds = v->churn->window_ns / NS_PER_S;
	uint32_t *stacks;
	size_t i, n, n_all;

	if (max > v->sites->n_stacks)
		max = v->sites->n_stacks;
	stacks = alloc_array(max, sizeof(*stacks));
	n = churn_best_stacks(v, group, stacks, max, &n_all);
	json_unsigned(j, "n_stacks", n_all);
	json_array_begin(j, "stacks");
	for (i = 0; i < n; i++) {
		const struct aggregate *born = &v->churn->stacks[stacks[i]].allocated;

		json_object_begin(j, NULL);
		json_whole(j, "bytes_per_second", born->bytes / seconds);
		json_whole(j, "samples", born->samples);
		where_add_stack_json(j, "frames", v->sites->frames, stacks[i]);
		json_object_end(j);
	}
	json_array_end(j);
	free(stacks);
}

void churn_json(const struct churn_view *v, struct strbuf *out)
{
	const struct churn *c = v->churn;
	struct json j = { .out = out };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.churn/1");
	moment_add_json(&j, "a", v->a);
	moment_add_json(&j, "b", v->b);
	json_text(&j, "metric", v->options->metric == METRIC_OBJECTS ? "objects" : "allocated");
	json_bool(&j, "exact", c->exact);
	json_decimal(&j, "confidence", .95, 2);
	json_unsigned(&j, "interval_bytes", c->interval_bytes[1]);
	json_decimal(&j, "window_seconds", c->window_ns / NS_PER_S, 3);
	json_decimal(&j, "young_seconds", LIFETIMES_YOUNG_NS / NS_PER_S, TIME_DIGITS);
	json_decimal(&j, "mid_life_seconds", LIFETIMES_MIDDLE_NS / NS_PER_S, TIME_DIGITS);
	json_unsigned(&j, "lost_samples", c->n_lost);
	json_unsigned(&j, "lost_deaths", c->n_lost_deaths);
	json_unsigned(&j, "replaced_samples", c->n_replaced);
	json_object_begin(&j, "process");
	json_whole(&j, "bytes_per_second", c->process_rate.value);
	json_interval(&j, "ci", &c->process_rate.range);
	json_bool(&j, "exact", c->is_total_exact);
	json_object_end(&j);
	json_object_begin(&j, "total");
	add_figures(&j, c, &c->total);
	json_object_end(&j);
	json_array_begin(&j, "rows");
	for (i = 0; i < c->n_rows; i++) {
		json_object_begin(&j, NULL);
		where_add_json(&j, "where", &v->sites->sites[c->rows[i].group]);
		add_flags(&j, c->rows[i].flags);
		add_figures(&j, c, &c->rows[i]);
		add_stacks(&j, v, c->rows[i].group);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
}
