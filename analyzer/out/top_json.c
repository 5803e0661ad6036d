/* top_json.c - owns the schema heapspy.top/1. Additions keep the number. */
#include "analyzer/out/top.h"

#include <stdlib.h>

#include "analyzer/alloc.h"
#include "analyzer/out/moment_json.h"
#include "analyzer/out/peak_text.h"
#include "analyzer/out/where.h"

#define STACKS_DEFAULT 5

static void add_figures(struct json *j, const struct ranking_row *row)
{
	json_whole(j, "bytes", row->sum.bytes);
	json_interval(j, "ci", &row->bytes);
	json_whole(j, "blocks", row->sum.count);
	json_interval(j, "blocks_ci", &row->blocks);
	json_whole(j, "samples", row->sum.samples);
	json_decimal(j, "median_age_seconds", row->age_ns / 1e9, 3);
}

static void add_stacks(struct json *j, const struct top_view *v, uint32_t group)
{
	size_t n_all = v->sites->first_member[group + 1] - v->sites->first_member[group];
	size_t max = v->options->has_stacks ? v->options->n_stacks : STACKS_DEFAULT;
	uint32_t *stacks;
	size_t i, n;

	if (max > n_all)
		max = n_all;
	stacks = alloc_array(max, sizeof(*stacks));
	n = top_best_stacks(v, group, stacks, max);
	json_unsigned(j, "n_stacks", n_all);
	json_array_begin(j, "stacks");
	for (i = 0; i < n; i++) {
		struct interval range = ranking_stack_range(v->ranking, stacks[i]);

		json_object_begin(j, NULL);
		json_whole(j, "bytes", v->ranking->stacks[stacks[i]].bytes);
		json_interval(j, "ci", &range);
		json_whole(j, "samples", v->ranking->stacks[stacks[i]].samples);
		where_add_stack_json(j, "frames", v->sites->frames, stacks[i]);
		json_object_end(j);
	}
	json_array_end(j);
	free(stacks);
}

void top_json(const struct top_view *v, struct strbuf *out)
{
	static const char *const metrics[] = { "live", "allocated", "objects" };
	const struct ranking *r = v->ranking;
	struct json j = { .out = out };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.top/1");
	moment_add_json(&j, "moment", v->input);
	json_text(&j, "metric", metrics[v->options->metric]);
	if (v->input->moment.is_at_peak)
		json_decimal(&j, "total_overstated_by_up_to",
			peak_text_of_snapshot(v->input->snapshot).overstated, 4);
	json_bool(&j, "exact", r->exact);
	json_decimal(&j, "confidence", .95, 2);
	json_unsigned(&j, "interval_bytes", r->interval_bytes);
	json_object_begin(&j, "total");
	add_figures(&j, &r->total);
	json_object_end(&j);
	json_array_begin(&j, "rows");
	for (i = 0; i < r->n_rows; i++) {
		const struct ranking_row *row = &r->rows[i];

		json_object_begin(&j, NULL);
		if (v->options->by_thread)
			json_text(&j, "thread",
				v->profile->threads[row->group][0] ? v->profile->threads[row->group]
								   : NULL);
		else
			where_add_json(&j, "where", &v->sites->sites[row->group]);
		add_figures(&j, row);
		if (!v->options->by_thread)
			add_stacks(&j, v, row->group);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
}
