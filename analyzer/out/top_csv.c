/* top_csv.c - owns the columns of `heapspy top --csv`. Additions come at the end. */
#include "analyzer/out/csv.h"
#include "analyzer/out/top.h"

#define FIGURES "bytes,bytes_lo,bytes_hi,blocks,blocks_lo,blocks_hi,samples,median_age_seconds"

void top_csv(const struct top_view *v, struct strbuf *out)
{
	struct csv csv = { .out = out };
	size_t i;

	csv_header(&csv, v->options->by_thread ? "thread," FIGURES : CSV_PLACE_HEADER "," FIGURES);
	for (i = 0; i < v->ranking->n_rows; i++) {
		const struct ranking_row *row = &v->ranking->rows[i];

		if (v->options->by_thread)
			csv_text(&csv, v->profile->threads[row->group]);
		else
			csv_place(&csv, &v->sites->sites[row->group]);
		csv_whole(&csv, row->sum.bytes);
		csv_interval(&csv, &row->bytes);
		csv_whole(&csv, row->sum.count);
		csv_interval(&csv, &row->blocks);
		csv_whole(&csv, row->sum.samples);
		csv_decimal(&csv, row->age_ns / 1e9, 3);
		csv_line_end(&csv);
	}
}
