/* trend_csv.c - owns the columns of `heapspy trend --csv`. Additions come at the end. */
#include "analyzer/out/csv.h"
#include "analyzer/out/trend_parts.h"

/* Of a leak that a row hides: that row, and who calls. Bytes of such a line are in both. */
static void add_inside(struct csv *csv, const struct trend_view *v, const struct trend_row *row)
{
	const struct site *site = &v->sites->sites[row->group];
	struct strbuf callers = { 0 };

	if (!row->hidden) {
		csv_text(csv, NULL);
		csv_text(csv, NULL);
		return;
	}
	csv_text(csv, site->function[0] ? site->function : site->module);
	trend_hidden_add_callers(&callers, v->sites->frames, row->hidden, true);
	csv_text(csv, callers.data);
	strbuf_deinit(&callers);
}

void trend_csv(const struct trend_view *v, struct strbuf *out)
{
	struct csv csv = { .out = out };
	struct strbuf why = { 0 };
	size_t i;

	csv_header(&csv,
		CSV_PLACE_HEADER ",verdict,bytes_per_minute,bytes_per_minute_lo,bytes_per_"
				 "minute_hi,first,last,min,max,"
				 "samples,old_samples,old_died,bins_up,why,inside,called_from");
	for (i = 0; i < v->n_rows; i++) {
		const struct trend_result *r = v->rows[i].result;
		struct interval range = { r->rate_range.lo * 60, r->rate_range.hi * 60 };

		csv_place(&csv, v->rows[i].site);
		csv_text(&csv, trend_verdict_name(r->verdict));
		csv_whole(&csv, r->rate * 60);
		csv_interval(&csv, &range);
		csv_whole(&csv, r->first_bytes);
		csv_whole(&csv, r->last_bytes);
		csv_whole(&csv, r->min_bytes);
		csv_whole(&csv, r->max_bytes);
		csv_whole(&csv, r->samples);
		csv_whole(&csv, r->old_samples);
		csv_whole(&csv, r->old_died);
		csv_whole(&csv, r->bins_up);
		strbuf_clear(&why);
		trend_add_why(&why, v, r);
		csv_text(&csv, why.data);
		add_inside(&csv, v, &v->rows[i]);
		csv_line_end(&csv);
	}
	strbuf_deinit(&why);
}
