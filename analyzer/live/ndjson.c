/* ndjson.c - owns the schema heapspy.live/1. Additions keep the number. */
#include "analyzer/live/ndjson.h"

#include <math.h>
#include <stdlib.h>

#include "analyzer/alloc.h"
#include "analyzer/input.h"
#include "analyzer/out/json.h"
#include "analyzer/out/where.h"

/* From here on json.c puts everything on one line, and none behind the end. */
#define ONE_LINE_DEPTH 4

static const char *const verdicts[] = {
	[COMPARE_GREW] = "grew", [COMPARE_NOISE] = "noise", [COMPARE_SHRANK] = "shrank"
};

static void add_live(struct json *j, const struct aggregate *sum, const struct interval *range)
{
	json_object_begin(j, "live");
	json_whole(j, "bytes", sum->bytes);
	json_interval(j, "ci", range);
	json_whole(j, "samples", sum->samples);
	json_object_end(j);
}

/* The change of a row in bytes times factor, null where there is no earlier moment. */
static void add_change(
	struct json *j, const char *key, const struct figures_change *change, double factor)
{
	struct interval range = { change->growth.range.lo * factor,
		change->growth.range.hi * factor };

	if (isnan(factor)) {
		json_text(j, key, NULL);
		return;
	}
	json_object_begin(j, key);
	json_whole(j, "bytes", change->growth.bytes * factor);
	json_interval(j, "ci", &range);
	json_text(j, "verdict", verdicts[change->verdict]);
	json_bool(j, "moved", !change->is_still);
	json_object_end(j);
}

static void add_allocated(struct json *j, const struct figures *fig, const struct figures_row *row)
{
	struct interval range = { row->allocated_range.lo / fig->recent_s,
		row->allocated_range.hi / fig->recent_s };

	if (isnan(fig->recent_s)) {
		json_text(j, "allocated_per_second", NULL);
		return;
	}
	json_object_begin(j, "allocated_per_second");
	json_whole(j, "bytes", row->allocated.bytes / fig->recent_s);
	json_interval(j, "ci", &range);
	json_object_end(j);
}

static void add_process(struct json *j, const struct figures *fig)
{
	const struct snapshot *s = fig->now->snapshot;
	const struct figures_reading *reading = &fig->series[fig->n_series - 1];
	uint64_t n_lost;

	json_text(j, "program", input_comm(s));
	json_unsigned(j, "pid", s->info.pid);
	json_decimal(j, "time_seconds", (double)s->info.cut_ns / 1e9, 3);
	json_time(j, "wall_time", s->info.cut_wall_ns);
	json_bool(j, "ended", fig->ended);
	json_bool(j, "stopped", fig->stopped);
	json_text(j, "source", fig->from_files ? "files" : "process");
	json_bool(j, "exact", fig->ranking.exact);
	json_decimal(j, "confidence", .95, 2);
	json_unsigned(j, "interval_bytes", fig->ranking.interval_bytes);
	json_bool(j, "lower_bound", input_is_lower_bound(s, &n_lost));
	json_unsigned(j, "lost_samples", n_lost);
	json_decimal(j, "profiler_cpu", fig->profiler_cpu, 6);
	json_unsigned(j, "rss_bytes", s->info.rss_bytes);
	json_unsigned(j, "rss_peak_bytes", s->info.rss_peak_bytes);
	json_unsigned(j, "bytes_seen", s->info.bytes_seen);
	json_whole(j, "bytes_per_second", reading->allocated_per_s);
}

static void add_changes(struct json *j, const struct figures *fig,
	const struct figures_change *recent, const struct figures_change *since_mark)
{
	add_change(j, "growth_per_minute", recent, 60 / fig->recent_s);
	add_change(j, "growth_since_mark", since_mark, isnan(fig->mark_s) ? NAN : 1);
}

static struct figures_change total_of(const struct comparison *c)
{
	return (struct figures_change){ c->total.growth, c->total.verdict,
		compare_is_still(&c->total.sums) };
}

void ndjson_add(struct strbuf *out, const struct figures *fig)
{
	struct figures_change recent = total_of(&fig->recent_comparison);
	struct figures_change since_mark = total_of(&fig->mark_comparison);
	struct json j = { .out = out, .depth = ONE_LINE_DEPTH };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.live/1");
	add_process(&j, fig);
	json_decimal(&j, "growth_seconds", fig->recent_s, 3);
	json_decimal(&j, "mark_seconds", fig->mark_s, 3);
	json_object_begin(&j, "total");
	add_live(&j, &fig->total.sum, &fig->total.bytes);
	if (fig->has_sites)
		add_changes(&j, fig, &recent, &since_mark);
	json_object_end(&j);
	json_array_begin(&j, "rows");
	for (i = 0; i < fig->n_rows; i++) {
		const struct figures_row *row = &fig->rows[i];

		json_object_begin(&j, NULL);
		where_add_json(&j, "where", &fig->sites.sites[row->group]);
		add_live(&j, &row->live, &row->live_range);
		add_changes(&j, fig, &row->recent, &row->since_mark);
		add_allocated(&j, fig, row);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	strbuf_add_char(out, '\n');
}
