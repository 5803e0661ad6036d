/* churn_csv.c - owns the columns of `heapspy churn --csv`. Additions come at the end. */
#include "analyzer/out/churn.h"
#include "analyzer/out/csv.h"

#define NS_PER_S 1e9

/* Three cells. */
static void add_figure(struct csv *csv, const struct lifetimes_figure *figure, int digits)
{
	csv_decimal(csv, figure->value, digits);
	csv_decimal(csv, figure->range.lo, digits);
	csv_decimal(csv, figure->range.hi, digits);
}

static void add_row(struct csv *csv, const struct churn_row *row)
{
	const struct churn_measure *m = &row->bytes;
	struct strbuf flags = { 0 };

	add_figure(csv, &m->rate, 0);
	csv_decimal(csv, m->share, 4);
	add_figure(csv, &m->young.share, 4);
	csv_decimal(csv, m->median.ns / NS_PER_S, 9);
	add_figure(csv, &m->young.rate, 0);
	add_figure(csv, &m->middle.rate, 0);
	csv_decimal(csv, m->turnover, 6);
	csv_decimal(csv, m->mean_life_ns / NS_PER_S, 9);
	csv_whole(csv, row->sums.before.bytes);
	csv_whole(csv, row->sums.after.bytes);
	add_figure(csv, &row->blocks.rate, 3);
	csv_whole(csv, row->sums.allocated.samples);
	churn_add_flags(&flags, row->flags, "+");
	csv_text(csv, flags.data);
	csv_line_end(csv);
	strbuf_deinit(&flags);
}

void churn_csv(const struct churn_view *v, struct strbuf *out)
{
	struct csv csv = { .out = out };
	size_t i;

	csv_header(&csv, CSV_PLACE_HEADER
		",bytes_per_second,bytes_per_second_lo,bytes_per_second_hi,share,temporary,"
		"temporary_lo,temporary_hi,median_life_seconds,young_per_second,young_per_second_"
		"lo,"
		"young_per_second_hi,mid_life_per_second,mid_life_per_second_lo,"
		"mid_life_per_second_hi,turnover_per_second,mean_life_seconds,live_before,live,"
		"blocks_per_second,blocks_per_second_lo,blocks_per_second_hi,samples,flags");
	for (i = 0; i < v->churn->n_rows; i++) {
		const struct churn_row *row = &v->churn->rows[i];

		csv_place(&csv, &v->sites->sites[row->group]);
		add_row(&csv, row);
	}
}
