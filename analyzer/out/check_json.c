/* check_json.c - owns the schema heapspy.check/1. Additions keep the number. */
#include "analyzer/out/check.h"

#include <math.h>

#include "analyzer/out/json.h"
#include "analyzer/out/where.h"

#define CHANGE_DIGITS 6

static const char *verdict_text(enum check_verdict verdict)
{
	return verdict == CHECK_PASS ? "pass" : verdict == CHECK_FAIL ? "fail" : "skip";
}

static const char *metric_text(enum check_metric metric)
{
	static const char *const words[] = { [CHECK_TOTAL] = "total",
		[CHECK_PEAK] = "peak",
		[CHECK_GROWTH] = "growth",
		[CHECK_LEAKS] = "leaks",
		[CHECK_SITE] = "site" };

	return words[metric];
}

static void add_side(struct json *j, const char *key, const struct check_side *side)
{
	size_t i;

	json_object_begin(j, key);
	json_text(j, "path", side->path);
	json_array_begin(j, "runs");
	for (i = 0; i < side->n_runs; i++) {
		const struct check_run *run = &side->runs[i];

		json_object_begin(j, NULL);
		json_text(j, "path", run->path);
		json_text(j, "program", input_comm(run->input.snapshot));
		json_unsigned(j, "pid", run->last.pid);
		json_decimal(j, "seconds", (double)run->last.cut_ns / 1e9, 3);
		json_time(j, "wall_time", run->last.cut_wall_ns);
		json_unsigned(j, "interval_bytes", run_interval_bytes(run));
		json_unsigned(j, "bytes_seen", run->last.bytes_seen);
		json_text(j, "snapshot", run->input.snapshot->path);
		json_object_end(j);
	}
	json_array_end(j);
	json_object_end(j);
}

/* [lo, hi] of relative changes. */
static void add_change_range(struct json *j, const struct interval *range)
{
	json_array_begin(j, "change_ci");
	json_decimal(j, NULL, range->lo, CHANGE_DIGITS);
	json_decimal(j, NULL, range->hi, CHANGE_DIGITS);
	json_array_end(j);
}

static void add_limit(struct json *j, const struct check_row *row)
{
	json_object_begin(j, "limit");
	if (row->has_relative_limit)
		json_decimal(j, "change", row->limit_relative, CHANGE_DIGITS);
	if (row->limit_bytes > 0 || !row->has_relative_limit)
		json_decimal(j, row->metric == CHECK_GROWTH ? "bytes_per_second" : "bytes",
			row->limit_bytes, row->metric == CHECK_GROWTH ? 3 : 0);
	json_object_end(j);
}

static void add_row(struct json *j, const struct check_row *row)
{
	bool is_rate = row->metric == CHECK_GROWTH || row->metric == CHECK_LEAKS;

	json_object_begin(j, NULL);
	json_text(j, "metric", metric_text(row->metric));
	json_text(j, "verdict", verdict_text(row->verdict));
	if (row->name) {
		json_text(j, "name", row->name);
		where_add_json(j, "where", &row->place);
	}
	if (row->has_from) {
		json_whole(j, "from", row->from_bytes);
		json_whole(j, "to", row->to_bytes);
		json_decimal(j, "change", row->change, CHANGE_DIGITS);
		add_change_range(j, &row->change_range);
		json_decimal(j, "p", row->p_value, 9);
		json_decimal(j, "detectable", row->detectable, CHANGE_DIGITS);
	} else if (is_rate) {
		json_decimal(j, "bytes_per_second", row->to_bytes, 3);
		json_interval(j, "ci", &row->to_range);
	} else {
		json_whole(j, "bytes", row->to_bytes);
		json_interval(j, "ci", &row->to_range);
	}
	if (row->has_limit)
		add_limit(j, row);
	if (row->budget_line)
		json_unsigned(j, "budget_line", row->budget_line);
	json_text(j, "note", row->note);
	json_object_end(j);
}

void check_json(const struct check_view *v, struct strbuf *out)
{
	const struct check_report *r = v->report;
	struct json j = { .out = out };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.check/1");
	json_text(&j, "verdict", report_count(r, CHECK_FAIL) ? "fail" : "pass");
	json_text(&j, "form", v->base ? "baseline" : "run");
	if (v->base)
		add_side(&j, "baseline", v->base);
	add_side(&j, v->base ? "candidate" : "run", v->candidate);
	json_text(&j, "budget", v->budget_path);
	json_text(&j, "sites_of",
		v->options->metric == METRIC_ALLOCATED ? "allocated bytes" : "live bytes");
	json_decimal(&j, "confidence", .95, 2);
	json_unsigned(&j, "n_failed", report_count(r, CHECK_FAIL));
	json_unsigned(&j, "n_skipped", report_count(r, CHECK_SKIP));
	json_unsigned(&j, "n_passed", report_count(r, CHECK_PASS));
	json_unsigned(&j, "n_too_small", r->n_small);
	json_unsigned(&j, "n_ignored", r->n_ignored);
	json_array_begin(&j, "checks");
	for (i = 0; i < r->n_rows; i++)
		add_row(&j, &r->rows[i]);
	json_array_end(&j);
	json_text(&j, "reproduce", v->reproduce);
	json_object_end(&j);
}
