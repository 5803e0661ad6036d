/* diff_csv.c - owns the columns of `heapspy diff --csv`. Additions come at the end. */
#include "analyzer/out/csv.h"
#include "analyzer/out/diff.h"

void diff_csv(const struct diff_view *v, struct strbuf *out)
{
	static const char *const verdicts[] = {
		[COMPARE_GREW] = "grew", [COMPARE_NOISE] = "noise", [COMPARE_SHRANK] = "shrank"
	};
	struct csv csv = { .out = out };
	size_t i;

	csv_header(&csv, CSV_PLACE_HEADER
		",bytes,bytes_lo,bytes_hi,verdict,before,after,samples_born,samples_died,"
		"before_lo,before_hi,after_lo,after_hi");
	for (i = 0; i < v->comparison->n_rows; i++) {
		const struct compare_row *row = &v->comparison->rows[i];
		struct interval before = compare_range(v->comparison, &row->sums, false);
		struct interval after = compare_range(v->comparison, &row->sums, true);

		csv_place(&csv, &v->sites->sites[row->group]);
		csv_whole(&csv, row->growth.bytes);
		csv_interval(&csv, &row->growth.range);
		csv_text(&csv, verdicts[row->verdict]);
		csv_whole(&csv, row->sums.before.bytes);
		csv_whole(&csv, row->sums.after.bytes);
		csv_whole(&csv, row->sums.born.samples);
		csv_whole(&csv, row->sums.died.samples);
		csv_interval(&csv, &before);
		csv_interval(&csv, &after);
		csv_line_end(&csv);
	}
}
