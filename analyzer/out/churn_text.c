/* churn_text.c - owns the words and columns of `heapspy churn`. */
#include "analyzer/out/churn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/where.h"
#include "analyzer/site_names.h"
#include "analyzer/units.h"

#define STACKS_MAX           64
#define COLUMNS_FOR_OTHER    140 /* the rate in the other measure */
#define COLUMNS_FOR_TURNOVER 160
#define RANGE_OF_SHARE_MAX   .1 /* a share that is less sure than this is shown as its range */
#define FEW_SAMPLES          30

static bool by_objects(const struct churn_view *v)
{
	return v->options->metric == METRIC_OBJECTS;
}

static const struct churn_measure *measure_of(
	const struct churn_view *v, const struct churn_row *row)
{
	return by_objects(v) ? &row->blocks : &row->bytes;
}

static bool has_columns(const struct churn_view *v, int columns)
{
	return v->style.full_names || v->style.columns >= columns;
}

static bool is_filtered(const struct churn_view *v)
{
	const struct sites_filter *filter = &v->options->filter;

	return filter->focus || filter->ignore || filter->module;
}

/* Numbers of blocks have three digits and a unit: "12", "4.1 k", "1.23 M". */
static unsigned unit_of(double value)
{
	unsigned unit = 0;

	for (; value >= 999.5 && unit < 4; unit++)
		value /= 1000;
	return unit;
}

static void add_number_in(struct strbuf *out, double value, unsigned unit)
{
	value /= pow(1000, unit);
	strbuf_addf(out, "%.*f",
		value >= 99.95 || value == floor(value) ? 0
		: value >= 9.995                        ? 1
							: 2,
		value);
}

static void add_number(struct strbuf *out, double value)
{
	static const char *const units[] = { "", " k", " M", " G", " T" };
	unsigned unit = unit_of(value);

	add_number_in(out, value, unit);
	strbuf_add_text(out, units[unit]);
}

/* "41 %", "99.8 %", "0.3 %". */
static void add_percent(struct strbuf *out, double share)
{
	double percent = 100 * share;
	bool near_end = (percent > .05 && percent < .95) || (percent > 99.05 && percent < 99.95);

	strbuf_addf(out, "%.*f %%", near_end ? 1 : 0, percent);
}

/* Where the figure itself would promise too much, its range. */
static void add_share(struct strbuf *out, const struct lifetimes_figure *share)
{
	if (isnan(share->value))
		strbuf_add_char(out, '-');
	else if (share->range.hi - share->range.lo <= RANGE_OF_SHARE_MAX)
		add_percent(out, share->value);
	else
		strbuf_addf(out, "%.0f..%.0f %%", 100 * share->range.lo, 100 * share->range.hi);
}

static void add_rate(struct strbuf *out, const struct churn_view *v, double value)
{
	if (by_objects(v))
		add_number(out, value);
	else
		units_add_bytes(out, value);
}

static void add_range(
	struct strbuf *out, const struct churn_view *v, const struct lifetimes_figure *rate)
{
	if (v->churn->exact) {
		strbuf_add_text(out, "exact");
	} else if (by_objects(v)) {
		add_number_in(out, rate->range.lo, unit_of(rate->value));
		strbuf_add_text(out, "..");
		if (!isinf(rate->range.hi))
			add_number_in(out, rate->range.hi, unit_of(rate->value));
	} else {
		units_add_range(out, rate->range.lo, rate->range.hi, rate->value);
	}
}

/* "12 MiB/s WORD (9..16)", or "12 MiB/s WORD (exact)". */
static void add_bytes_rate(struct strbuf *out, const struct churn_view *v,
	const struct lifetimes_figure *rate, const char *word, bool exact)
{
	units_add_bytes(out, rate->value);
	strbuf_addf(out, "/s %s (", word);
	if (exact || v->churn->exact)
		strbuf_add_text(out, "exact");
	else
		units_add_range(out, rate->range.lo, rate->range.hi, rate->value);
	strbuf_add_char(out, ')');
}

static void add_time(struct strbuf *out, const struct snapshot *s)
{
	const char *label = snapshot_string(s, s->info.label);

	units_add_clock(out, s->info.cut_ns);
	if (s->info.reason == HEAPSPY_REASON_EXIT)
		strbuf_add_text(out, " (exit)");
	if (!label[0])
		return;
	strbuf_add_text(out, " (");
	strbuf_add_escaped(out, label, strlen(label));
	strbuf_add_char(out, ')');
}

static void add_title(struct strbuf *out, const struct churn_view *v)
{
	const struct churn *c = v->churn;
	const struct snapshot *b = v->b->snapshot;
	const struct lifetimes_figure *young = &c->total.bytes.young.share;
	const char *comm = input_comm(b);

	strbuf_add_escaped(out, comm, strlen(comm));
	strbuf_addf(out, " (pid %u)  ", b->info.pid);
	add_time(out, v->a->snapshot);
	strbuf_add_text(out, " -> ");
	add_time(out, b);
	strbuf_add_text(out, "   ");
	add_bytes_rate(out, v, &c->process_rate, "allocated", c->is_total_exact);
	if (is_filtered(v)) {
		strbuf_add_text(out, ", ");
		add_bytes_rate(out, v, &c->total.bytes.rate, "of it by what matches", false);
	}
	if (c->window_ns < LIFETIMES_YOUNG_NS) {
		strbuf_add_text(out, "; ");
		units_add_duration(out, c->window_ns);
		strbuf_add_text(out, " are too short to tell what dies within 134 ms.\n");
		return;
	}
	if (c->total.sums.allocated.samples > 0) {
		strbuf_add_text(out, "; ");
		add_share(out, young);
		strbuf_add_text(out, " of the bytes die within 134 ms");
	}
	strbuf_add_text(out, ".\n");
}

/* The second line: what a collector of garbage would have to do, and what the figures rest on. */
static void add_collector(struct strbuf *out, const struct churn_view *v)
{
	const struct churn *c = v->churn;
	const struct lifetimes_part *young = &c->total.bytes.young,
				    *middle = &c->total.bytes.middle;

	if (c->total.sums.allocated.samples > 0 && !isnan(young->rate.value)) {
		strbuf_add_text(out, "To a garbage collector: ");
		add_bytes_rate(out, v, &young->rate, "die young", false);
		if (!isnan(middle->rate.value)) {
			strbuf_add_text(out, ", ");
			add_bytes_rate(out, v, &middle->rate, "in mid-life, after 1 s", false);
		}
		strbuf_add_text(out, ".   ");
	}
	input_add_interval(out, c->interval_bytes[0]);
	if (c->interval_bytes[0] != c->interval_bytes[1]) {
		strbuf_add_text(out, " at A, ");
		units_add_bytes(out, (double)c->interval_bytes[1]);
		strbuf_add_text(out, " at B");
	}
	strbuf_add_text(out, ", ");
	units_add_rounded(out, c->total.sums.allocated.samples);
	strbuf_addf(out, " sample%s\n", c->total.sums.allocated.samples == 1 ? "" : "s");
}

static void add_notes(struct strbuf *out, const struct churn_view *v)
{
	static const char *const names[] = { "A", "B" };
	const struct input *inputs[] = { v->a, v->b };
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (!inputs[i]->moment.note[0])
			continue;
		strbuf_addf(out, "%s: ", names[i]);
		strbuf_add_escaped(out, inputs[i]->moment.note, strlen(inputs[i]->moment.note));
		strbuf_add_char(out, '\n');
	}
}

/* Ages are known to a factor of two: a third digit would promise too much. */
static double two_digits(double value)
{
	double unit = value > 0 ? pow(10, floor(log10(value)) - 1) : 1;

	return rint(value / unit) * unit;
}

/* "67..130 ms": the ends of a bucket. */
static void add_ends(struct strbuf *out, const struct interval *range)
{
	struct strbuf lo = { 0 }, hi = { 0 };
	const char *unit;

	units_add_duration(&lo, two_digits(range->lo));
	units_add_duration(&hi, two_digits(range->hi));
	unit = strchr(lo.data, ' ');
	if (!strcmp(unit, strchr(hi.data, ' ')))
		strbuf_add(out, lo.data, (size_t)(unit - lo.data));
	else
		strbuf_add_text(out, lo.data);
	strbuf_addf(out, "..%s", hi.data);
	strbuf_deinit(&lo);
	strbuf_deinit(&hi);
}

static void add_median(
	struct strbuf *out, const struct churn_view *v, const struct lifetimes_median *median)
{
	if (isinf(median->ns)) {
		strbuf_add_text(out, ">= ");
		units_add_duration(out, v->churn->window_ns);
	} else if (median->is_one_bucket && isfinite(median->range.hi)) {
		add_ends(out, &median->range);
	} else {
		strbuf_add_char(out, '~');
		units_add_duration(out, two_digits(median->ns));
	}
}

static void add_allocations(struct strbuf *out, const struct churn_row *row)
{
	if (isinf(row->blocks.rate.range.hi))
		strbuf_add_char(out, '~');
	add_number(out, row->blocks.rate.value);
}

static void add_header(struct table *t, const struct churn_view *v, bool has_flags)
{
	table_add(t, by_objects(v) ? "blocks/s" : "allocated/s");
	table_add(t, v->churn->exact ? "range" : "95 % range");
	table_add(t, "share");
	if (has_columns(v, COLUMNS_FOR_OTHER))
		table_add(t, by_objects(v) ? "allocated/s" : "blocks/s");
	table_add(t, "temporary");
	table_add(t, "median life");
	if (has_columns(v, COLUMNS_FOR_TURNOVER))
		table_add(t, "turnover/s");
	table_add(t, "live");
	if (has_flags)
		table_add(t, "flag");
	table_add(t, "where");
}

static void add_row_cells(
	struct table *t, const struct churn_view *v, const struct churn_row *row, bool has_flags)
{
	const struct churn_measure *m = measure_of(v, row);
	struct strbuf text = { 0 };

	if (by_objects(v))
		add_allocations(&text, row);
	else
		units_add_bytes(&text, m->rate.value);
	table_add_buffer(t, &text);
	add_range(&text, v, &m->rate);
	table_add_buffer(t, &text);
	/* A site that makes all of it may seem to make a little more. */
	add_percent(&text, fmin(1, m->share));
	table_add_buffer(t, &text);
	if (has_columns(v, COLUMNS_FOR_OTHER)) {
		if (by_objects(v))
			units_add_bytes(&text, row->bytes.rate.value);
		else
			add_allocations(&text, row);
		table_add_buffer(t, &text);
	}
	add_share(&text, &m->young.share);
	table_add_buffer(t, &text);
	add_median(&text, v, &m->median);
	table_add_buffer(t, &text);
	if (has_columns(v, COLUMNS_FOR_TURNOVER)) {
		if (isnan(m->turnover))
			strbuf_add_char(&text, '-');
		else
			add_number(&text, m->turnover);
		table_add_buffer(t, &text);
	}
	if (by_objects(v))
		add_number(&text, row->sums.after.count);
	else
		units_add_bytes(&text, row->sums.after.bytes);
	table_add_buffer(t, &text);
	if (has_flags) {
		churn_add_flags(&text, row->flags, "+");
		table_add_buffer(t, &text);
	}
	strbuf_deinit(&text);
}

static void add_row_stacks(
	struct strbuf *out, const struct churn_view *v, const struct churn_row *row, size_t max)
{
	double seconds = v->churn->window_ns / 1e9;
	uint32_t stacks[STACKS_MAX];
	size_t i, n, n_all;

	n = churn_best_stacks(v, row->group, stacks, max < STACKS_MAX ? max : STACKS_MAX, &n_all);
	for (i = 0; i < n; i++) {
		const struct aggregate *born = &v->churn->stacks[stacks[i]].allocated;

		strbuf_add_text(out, "    ");
		add_rate(out, v, (by_objects(v) ? born->count : born->bytes) / seconds);
		strbuf_addf(
			out, "/s, %.0f sample%s\n", born->samples, born->samples > 1 ? "s" : "");
		where_add_stack(out, &v->style, v->sites->frames, stacks[i], 6);
	}
	if (n_all > n && n) {
		strbuf_add_text(out, "    (");
		units_add_count(out, n_all - n);
		strbuf_addf(out, " more stack%s)\n", n_all - n == 1 ? "" : "s");
	}
}

static bool any_flags(const struct churn_view *v, const bool *shown)
{
	size_t i;

	for (i = 0; i < v->churn->n_rows; i++)
		if (shown[i] && v->churn->rows[i].flags)
			return true;
	return false;
}

static void add_table(struct strbuf *out, const struct churn_view *v, const bool *shown)
{
	const struct churn *c = v->churn;
	/* By site a row is a stack, so it shows one. */
	size_t max = v->options->has_stacks ? v->options->n_stacks
					    : (v->options->by == SITES_BY_SITE ? 1 : 0);
	uint32_t *groups = alloc_array(c->n_rows, sizeof(*groups));
	bool has_flags = any_flags(v, shown);
	struct strbuf text = { 0 }, align = { 0 };
	struct where_layout layout;
	struct table t;
	size_t i, n = 0, row = 1;

	strbuf_pad(&align, 'r',
		6 + has_columns(v, COLUMNS_FOR_OTHER) + has_columns(v, COLUMNS_FOR_TURNOVER));
	strbuf_add_text(&align, has_flags ? "ll" : "l");
	table_init(&t, align.data);
	add_header(&t, v, has_flags);
	for (i = 0; i < c->n_rows; i++)
		if (shown[i]) {
			add_row_cells(&t, v, &c->rows[i], has_flags);
			table_add(&t, "");
			groups[n++] = c->rows[i].group;
		}
	where_layout_init(&layout, &v->style, v->sites, groups, n, table_left_columns(&t, 2));
	if (n)
		table_render(&t, 0, 2, &v->style, TABLE_PLAIN, out);
	for (i = 0; i < c->n_rows; i++) {
		if (!shown[i])
			continue;
		where_add_text(&text, &layout, &v->sites->sites[c->rows[i].group]);
		table_set_last(&t, row, &text);
		table_render(&t, row++, 2, &v->style, TABLE_PLAIN, out);
		if (max)
			add_row_stacks(out, v, &c->rows[i], max);
	}
	table_deinit(&t);
	strbuf_deinit(&text);
	strbuf_deinit(&align);
	free(groups);
}

static void add_sites(struct strbuf *out, size_t n)
{
	units_add_count(out, n);
	strbuf_addf(out, " site%s", n == 1 ? "" : "s");
}

/* What the table holds of all, and what it leaves out. */
static void add_closing(struct strbuf *out, const struct churn_view *v, const bool *shown)
{
	const struct churn *c = v->churn;
	double share = 0, rest = 0, largest = 0;
	size_t i, n = 0;

	for (i = 0; i < c->n_rows; i++) {
		const struct churn_measure *m = measure_of(v, &c->rows[i]);

		if (shown[i]) {
			share += m->share;
			n++;
		} else {
			rest += m->share;
			largest = fmax(largest, m->share);
		}
	}
	/* All is counted, rows are estimates: what is left is the better part of the two. */
	if (c->is_total_exact && !is_filtered(v) && !by_objects(v))
		rest = fmax(0, 1 - share);
	add_sites(out, n);
	strbuf_addf(out, n == 1 ? " allocates " : " allocate ");
	add_percent(out, fmin(1, share));
	strbuf_addf(out, " of all %s.", by_objects(v) ? "blocks" : "bytes");
	if (n < c->n_rows) {
		/* Those below 1 % are the usual rest; -n and --min may have left out larger ones.
		 */
		strbuf_add_text(out, largest < .01 ? " Below 1 %: " : " Not shown: ");
		add_sites(out, c->n_rows - n);
		strbuf_add_text(out, ", together ");
		add_percent(out, fmin(1, rest));
		strbuf_add_text(out, v->options->min_bytes ? " (-n 0 --min 0)." : " (-n 0).");
	}
	strbuf_add_char(out, '\n');
}

static void add_hints(struct strbuf *out, const struct churn_view *v)
{
	const struct site *first = &v->sites->sites[v->churn->rows[0].group];

	if (v->options->quiet)
		return;
	if (v->churn->total.sums.allocated.samples < FEW_SAMPLES && !v->churn->exact)
		strbuf_add_text(out, "\nFew samples: take moments further apart, or run with a "
				     "smaller HEAPSPY_SAMPLE, say 64KiB.\n");
	if (v->options->by != SITES_BY_SITE && first->function[0]) {
		strbuf_add_text(out, "\nStacks of one site: heapspy churn ");
		strbuf_add_escaped(out, v->arguments, strlen(v->arguments));
		strbuf_add_text(out, " --by site --focus ");
		where_add_focus(out, v->sites, first);
		strbuf_add_char(out, '\n');
	}
}

void churn_text(const struct churn_view *v, const bool *shown, struct strbuf *out)
{
	add_title(out, v);
	add_collector(out, v);
	add_notes(out, v);
	if (!v->churn->n_rows) {
		strbuf_add_text(out, v->churn->exact ? "Nothing was allocated.\n"
						     : "No allocation was sampled.\n");
		return;
	}
	strbuf_add_char(out, '\n');
	add_table(out, v, shown);
	add_closing(out, v, shown);
	add_hints(out, v);
}
