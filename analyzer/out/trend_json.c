/* trend_json.c - owns the schema heapspy.trend/1. Additions keep the number. */
#include "analyzer/out/trend_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/moment_json.h"
#include "analyzer/out/where.h"

#define STACKS_DEFAULT 5
#define ONE_LINE_DEPTH 16

static void add_rate(struct json *j, double rate, const struct interval *range)
{
	struct interval per_minute = { range->lo * 60, range->hi * 60 };

	json_whole(j, "bytes_per_minute", rate * 60);
	json_interval(j, "ci", &per_minute);
}

static void add_cut(struct json *j, const char *key, const struct run_entry *entry)
{
	json_object_begin(j, key);
	json_unsigned(j, "number", entry->number);
	json_decimal(j, "time_seconds", (double)entry->info.cut_ns / 1e9, 3);
	json_time(j, "wall_time", entry->info.cut_wall_ns);
	json_unsigned(j, "rss_bytes", entry->info.rss_bytes);
	json_object_end(j);
}

/* What the run is, with or without verdicts. */
static void add_run(struct json *j, const struct trend_view *v)
{
	const struct history *h = v->history;
	size_t i;

	json_text(j, "schema", "heapspy.trend/1");
	if (v->look)
		json_unsigned(j, "look", v->look);
	else if (v->in_watch)
		json_text(j, "look", NULL);
	moment_add_json(j, "last", v->last);
	json_bool(j, "has_verdicts", !h->is_short);
	json_unsigned(j, "n_intervals", h->n_cuts - 1);
	json_unsigned(j, "n_intervals_needed", TREND_PLAN_INTERVALS_MIN);
	json_decimal(j, "interval_seconds", h->run.plan.interval_seconds, 3);
	json_decimal(j, "window_seconds", h->run.plan.window_seconds, 3);
	json_unsigned(j, "n_gaps", h->run.plan.n_gaps);
	json_decimal(j, "largest_gap_seconds", h->run.plan.largest_gap_seconds, 3);
	json_object_begin(j, "left_out");
	json_unsigned(j, "other_processes", h->n_of_others);
	json_unsigned(j, "outside", h->n_outside);
	json_unsigned(j, "between", h->n_between);
	json_unsigned(j, "dense", h->n_dense);
	json_unsigned(j, "thinned_from", h->n_thinned);
	json_unsigned(j, "unreadable", h->n_unreadable);
	json_bool(j, "exit", h->exit_left_out);
	json_object_end(j);
	json_array_begin(j, "cuts");
	for (i = 0; i < h->n_cuts; i++)
		add_cut(j, NULL, h->cuts[i]);
	json_array_end(j);
}

static void add_end(struct json *j, const struct trend_end *end)
{
	if (end->has_time) {
		json_decimal(j, "reached_in_seconds", end->seconds, 0);
		json_interval(j, "ci", &end->range);
	} else {
		json_text(j, "reached_in_seconds", NULL);
	}
}

static void add_forecast(struct json *j, const struct trend_view *v)
{
	struct trend_forecast forecast;

	trend_forecast(&forecast, v);
	if (!forecast.limit_bytes) {
		json_text(j, "limit", NULL);
		return;
	}
	json_object_begin(j, "limit");
	json_unsigned(j, "bytes", forecast.limit_bytes);
	json_whole(j, "used_bytes", forecast.used_bytes);
	json_text(j, "kind", forecast.kind);
	json_decimal(j, "time_seconds", (double)forecast.from_ns / 1e9, 3);
	add_end(j, &forecast.leaks);
	json_object_begin(j, "all_growth");
	add_rate(j, forecast.all.rate.bytes, &forecast.all.rate.range);
	json_object_end(j);
	json_object_begin(j, "with_all_growth");
	add_end(j, &forecast.all);
	json_object_end(j);
	json_object_end(j);
}

static void add_totals(struct json *j, const struct trend_view *v)
{
	struct trend_totals totals;
	struct growth rate;
	unsigned verdict;
	size_t n;

	trend_sum(&totals, v);
	rate = trend_total_rate(&v->history->run, v->results, v->n_rows, TREND_LEAKS, &n);
	json_object_begin(j, "leaks");
	json_unsigned(j, "n_sites", n);
	json_unsigned(j, "n_inside", totals.n_hidden);
	add_rate(j, rate.bytes, &rate.range);
	json_object_end(j);
	json_object_begin(j, "n_sites");
	for (verdict = 0; verdict < TREND_N_VERDICTS; verdict++)
		json_unsigned(j, trend_verdict_name(verdict), totals.n[verdict]);
	json_object_end(j);
	json_object_begin(j, "live");
	json_whole(j, "first", totals.first_bytes);
	json_whole(j, "last", totals.last_bytes);
	json_object_end(j);
}

static void add_growth(struct json *j, const char *key, const struct trend_growth *g)
{
	json_object_begin(j, key);
	json_whole(j, "bytes", g->growth.bytes);
	json_interval(j, "ci", &g->growth.range);
	json_decimal(j, "p", g->p, 8);
	json_bool(j, "significant", g->significant);
	json_object_end(j);
}

static void add_container(struct json *j, const struct trend_view *v, const struct trend_result *r)
{
	if (!r->is_container) {
		json_text(j, "container", NULL);
		return;
	}
	json_object_begin(j, "container");
	json_unsigned(j, "from_number", v->history->cuts[r->container.cut]->number);
	json_whole(j, "from_bytes", r->container.from_bytes);
	json_whole(j, "to_bytes", r->container.to_bytes);
	json_whole(j, "from_largest", r->container.from_largest);
	json_whole(j, "to_largest", r->container.to_largest);
	json_decimal(j, "to_blocks", r->container.to_blocks, 1);
	json_decimal(j, "replaced", r->container.replaced, 3);
	json_object_end(j);
}

static void add_evidence(struct json *j, const struct trend_view *v, const struct trend_result *r)
{
	struct interval level_range;
	double level;
	unsigned bin;

	json_object_begin(j, "evidence");
	json_bool(j, "strong", r->strong);
	json_whole(j, "samples", r->samples);
	json_whole(j, "old_samples", r->old_samples);
	json_whole(j, "old_died", r->old_died);
	json_decimal(j, "retire", r->retire, 4);
	json_whole(j, "aged_in_samples", r->late_flow.in_samples);
	json_whole(j, "aged_out_samples", r->late_flow.out_samples);
	json_whole(j, "aged_in_bytes", r->late_flow.in_bytes);
	json_whole(j, "aged_out_bytes", r->late_flow.out_bytes);
	json_decimal(j, "rho", r->rho, 4);
	json_whole(j, "died_bytes", r->died_bytes);
	json_bool(j, "turned", r->turned);
	json_bool(j, "grew_late", r->grew_late);
	if (r->grew_late)
		json_unsigned(j, "late_from_number", v->history->cuts[r->late_cut]->number);
	json_decimal(j, "aged_share", r->aged_share, 4);
	json_array_begin(j, "bins");
	for (bin = 0; bin < TREND_PLAN_BINS; bin++)
		json_whole(j, NULL, r->bin_bytes[bin]);
	json_array_end(j);
	json_unsigned(j, "bins_up", r->bins_up);
	json_decimal(j, "share", r->share, 4);
	json_bool(j, "tested", r->tested);
	add_growth(j, "late", &r->late);
	add_growth(j, "whole", &r->whole);
	add_growth(j, "all", &r->all);
	add_growth(j, "shrink", &r->shrink);
	json_whole(j, "early_net_bytes", r->early_net_bytes);
	json_whole(j, "late_net_bytes", r->late_net_bytes);
	json_decimal(j, "slowing_z", r->slowing_z, 3);
	json_decimal(j, "slowed_by", r->slowed_by, 4);
	json_decimal(j, "load", r->load, 4);
	add_container(j, v, r);
	if (trend_level(r, &level, &level_range)) {
		json_whole(j, "level_bytes", level);
		json_interval(j, "level_ci", &level_range);
	} else {
		json_text(j, "level_bytes", NULL);
	}
	json_unsigned(j, "rises", r->rises);
	json_unsigned(j, "falls", r->falls);
	json_whole(j, "swing_bytes", r->swing_bytes);
	json_whole(j, "step_bytes", r->step_bytes);
	json_unsigned(j, "step_from_number", v->history->cuts[r->step_from]->number);
	json_unsigned(j, "step_to_number", v->history->cuts[r->step_to]->number);
	json_object_end(j);
}

static void add_stacks(struct json *j, const struct trend_view *v, const struct trend_row *row)
{
	size_t max = v->options->has_stacks ? v->options->n_stacks : STACKS_DEFAULT;
	uint32_t *stacks;
	size_t i, n, n_all;

	if (max > v->sites->n_stacks)
		max = v->sites->n_stacks;
	stacks = alloc_array(max, sizeof(*stacks));
	n = trend_best_stacks(v, row, stacks, max, &n_all);
	json_unsigned(j, "n_stacks", n_all);
	json_array_begin(j, "stacks");
	for (i = 0; i < n; i++) {
		const struct trend_result *r = v->stacks[stacks[i]];

		json_object_begin(j, NULL);
		add_rate(j, r->rate, &r->rate_range);
		json_whole(j, "last", r->last_bytes);
		json_whole(j, "samples", r->samples);
		where_add_stack_json(j, "frames", v->sites->frames, stacks[i]);
		json_object_end(j);
	}
	json_array_end(j);
	free(stacks);
}

/* All of a row but what it hides. */
static void add_site(struct json *j, const struct trend_view *v, const struct trend_row *row)
{
	const struct trend_result *r = row->result;
	struct strbuf why = { 0 };
	size_t i;

	where_add_json(j, "where", row->site);
	json_text(j, "verdict", trend_verdict_name(r->verdict));
	add_rate(j, r->rate, &r->rate_range);
	trend_add_why(&why, v, r);
	json_text(j, "why", why.data);
	json_whole(j, "first", r->first_bytes);
	json_whole(j, "last", r->last_bytes);
	json_whole(j, "min", r->min_bytes);
	json_whole(j, "max", r->max_bytes);
	add_evidence(j, v, r);
	json_array_begin(j, "series");
	for (i = 0; i < v->history->n_cuts; i++)
		json_whole(j, NULL, r->live_bytes[i]);
	json_array_end(j);
	add_stacks(j, v, row);
	strbuf_deinit(&why);
}

/* The leaks that a row hides. */
static void add_inside(struct json *j, const struct trend_view *v, const struct trend_row *row)
{
	static const char *const kinds[] = {
		[TREND_HIDDEN_FUNCTION] = "function",
		[TREND_HIDDEN_LINE] = "line",
		[TREND_HIDDEN_CALL] = "call",
	};
	struct strbuf callers = { 0 };
	size_t i;

	json_array_begin(j, "inside");
	for (i = 0; i < v->n_rows; i++) {
		const struct trend_row *inner = &v->rows[i];

		if (!inner->hidden || inner->group != row->group)
			continue;
		json_object_begin(j, NULL);
		json_text(j, "kind", kinds[inner->hidden->kind]);
		strbuf_clear(&callers);
		trend_hidden_add_callers(&callers, v->sites->frames, inner->hidden, true);
		json_text(j, "called_from", callers.bytes ? callers.data : NULL);
		add_site(j, v, inner);
		json_object_end(j);
	}
	json_array_end(j);
	strbuf_deinit(&callers);
}

static void add_row(struct json *j, const struct trend_view *v, const struct trend_row *row)
{
	json_object_begin(j, NULL);
	add_site(j, v, row);
	add_inside(j, v, row);
	json_object_end(j);
}

/* In a watch each object has a line of its own. */
static struct json json_of(const struct trend_view *v, struct strbuf *out)
{
	return (struct json){ .out = out, .depth = v->in_watch ? ONE_LINE_DEPTH : 0 };
}

static void end_line(const struct trend_view *v, struct strbuf *out)
{
	if (v->in_watch)
		strbuf_add_char(out, '\n');
}

void trend_json(const struct trend_view *v, struct strbuf *out)
{
	const struct history *h = v->history;
	struct json j = json_of(v, out);
	size_t i;

	json_object_begin(&j, NULL);
	add_run(&j, v);
	json_bool(&j, "exact", h->run.interval_bytes <= 1);
	json_decimal(&j, "confidence", .95, 2);
	json_unsigned(&j, "interval_bytes", h->run.interval_bytes);
	json_whole(&j, "smallest_bytes_per_minute", trend_smallest_rate(&h->run) * 60);
	json_decimal(&j, "alike_from_seconds", h->run.plan.window_seconds / 2, 3);
	json_unsigned(&j, "unknown_samples", h->unknown_samples);
	add_totals(&j, v);
	add_forecast(&j, v);
	json_array_begin(&j, "rows");
	for (i = 0; i < v->n_rows; i++)
		if (!v->rows[i].hidden)
			add_row(&j, v, &v->rows[i]);
	json_array_end(&j);
	json_object_end(&j);
	end_line(v, out);
}

void trend_json_short(const struct trend_view *v, const char *diff, struct strbuf *out)
{
	struct json j = json_of(v, out);
	size_t bytes = diff ? strlen(diff) : 0;

	json_object_begin(&j, NULL);
	add_run(&j, v);
	json_array_begin(&j, "rows");
	json_array_end(&j);
	if (diff) {
		while (bytes && diff[bytes - 1] == '\n')
			bytes--;
		strbuf_add_text(out, ",\n \"diff\":");
		strbuf_add(out, diff, bytes);
	}
	json_object_end(&j);
	end_line(v, out);
}
