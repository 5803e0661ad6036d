/* diff_json.c - owns the schema heapspy.diff/1. Additions keep the number. */
#include "analyzer/out/diff.h"

#include <stdlib.h>

#include "analyzer/alloc.h"
#include "analyzer/out/moment_json.h"
#include "analyzer/out/where.h"

#define STACKS_DEFAULT 5

static const char *verdict_text(enum compare_verdict verdict)
{
	return verdict == COMPARE_GREW ? "grew" : verdict == COMPARE_SHRANK ? "shrank" : "noise";
}

static void add_figures(struct json *j, const struct comparison *c, const struct compare_row *row)
{
	struct interval before = compare_range(c, &row->sums, false);
	struct interval after = compare_range(c, &row->sums, true);

	json_whole(j, "bytes", row->growth.bytes);
	json_interval(j, "ci", &row->growth.range);
	json_text(j, "verdict", verdict_text(row->verdict));
	json_whole(j, "before", row->sums.before.bytes);
	json_interval(j, "before_ci", &before);
	json_whole(j, "after", row->sums.after.bytes);
	json_interval(j, "after_ci", &after);
	json_whole(j, "samples", row->sums.born.samples + row->sums.died.samples);
	json_whole(j, "samples_born", row->sums.born.samples);
	json_whole(j, "samples_died", row->sums.died.samples);
}

static void add_stacks(struct json *j, const struct diff_view *v, uint32_t group)
{
	size_t max = v->options->has_stacks ? v->options->n_stacks : STACKS_DEFAULT;
	uint32_t *stacks;
	size_t i, n, n_all;

	if (max > v->sites->n_stacks)
		max = v->sites->n_stacks;
	stacks = alloc_array(max, sizeof(*stacks));
	n = diff_best_stacks(v, group, stacks, max, &n_all);
	json_unsigned(j, "n_stacks", n_all);
	json_array_begin(j, "stacks");
	for (i = 0; i < n; i++) {
		const struct compare_sums *sums = &v->comparison->stacks[stacks[i]];
		struct growth growth = compare_growth(v->comparison, sums);

		json_object_begin(j, NULL);
		json_whole(j, "bytes", growth.bytes);
		json_interval(j, "ci", &growth.range);
		json_whole(j, "samples", sums->born.samples + sums->died.samples);
		where_add_stack_json(j, "frames", v->sites->frames, stacks[i]);
		json_object_end(j);
	}
	json_array_end(j);
	free(stacks);
}

void diff_json(const struct diff_view *v, struct strbuf *out)
{
	static const char *const metrics[] = {
		[METRIC_LIVE] = "live", [METRIC_ALLOCATED] = "allocated"
	};
	const struct comparison *c = v->comparison;
	struct json j = { .out = out };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.diff/1");
	moment_add_json(&j, "a", v->a);
	moment_add_json(&j, "b", v->b);
	if (v->third)
		moment_add_json(&j, "third", v->third);
	json_text(&j, "metric", metrics[v->options->metric]);
	json_bool(&j, "same_process", c->same_process);
	json_bool(&j, "exact", c->exact);
	json_decimal(&j, "confidence", .95, 2);
	json_unsigned(&j, "interval_bytes", c->interval_bytes[1]);
	json_whole(&j, "resolution_bytes",
		growth_resolution_bytes(c->interval_bytes[1], INTERVAL_Z95));
	json_unsigned(&j, "n_grew", c->n_grew);
	json_unsigned(&j, "n_shrank", c->n_shrank);
	json_unsigned(&j, "n_noise", c->n_noise);
	json_object_begin(&j, "total");
	add_figures(&j, c, &c->total);
	json_object_end(&j);
	json_object_begin(&j, "noise");
	add_figures(&j, c, &c->noise);
	json_object_end(&j);
	json_array_begin(&j, "rows");
	for (i = 0; i < c->n_rows; i++) {
		json_object_begin(&j, NULL);
		where_add_json(&j, "where", &v->sites->sites[c->rows[i].group]);
		add_figures(&j, c, &c->rows[i]);
		add_stacks(&j, v, c->rows[i].group);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
}
