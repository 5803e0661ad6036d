/* check_text.c - owns the words and columns of `heapspy check`. */
#include "analyzer/out/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/source_frames.h"
#include "analyzer/units.h"

#define NAME_COLUMNS_MAX 48
#define PER_HOUR         3600

/* "+0.7", "-12", "+113"; the sign only where asked. */
static void add_percent(struct strbuf *out, double change, bool is_signed)
{
	double percent = 100 * change;
	int digits = fabs(percent) < 9.95 ? 1 : 0;

	if (!isfinite(change))
		strbuf_add_text(out, "any");
	else
		strbuf_addf(out, is_signed ? "%+.*f" : "%.*f", digits, percent + 0.0);
}

static void add_figure(struct strbuf *out, const struct check_row *row, double bytes)
{
	if (row->metric == CHECK_GROWTH || row->metric == CHECK_LEAKS) {
		units_add_bytes(out, bytes * PER_HOUR);
		strbuf_add_text(out, "/h");
	} else {
		units_add_bytes(out, bytes);
	}
}

void check_add_figures(struct strbuf *out, const struct check_row *row)
{
	double scale = row->metric == CHECK_GROWTH || row->metric == CHECK_LEAKS ? PER_HOUR : 1;

	if (row->has_from) {
		add_figure(out, row, row->from_bytes);
		strbuf_add_text(out, " -> ");
	} else if (!row->has_limit && !(row->to_bytes > 0)) {
		return;
	}
	add_figure(out, row, row->to_bytes);
	if (isnan(row->to_range.lo))
		return;
	strbuf_add_text(out, " (");
	units_add_range(
		out, row->to_range.lo * scale, row->to_range.hi * scale, row->to_bytes * scale);
	strbuf_add_char(out, ')');
}

void check_add_change(struct strbuf *out, const struct check_row *row)
{
	if (!row->has_from || isnan(row->change))
		return;
	if (isinf(row->change)) {
		strbuf_add_text(out, "new");
		return;
	}
	add_percent(out, row->change, true);
	strbuf_add_text(out, " %");
	if (isnan(row->change_range.lo))
		return;
	strbuf_add_text(out, " (");
	add_percent(out, row->change_range.lo, false);
	strbuf_add_text(out, "..");
	add_percent(out, row->change_range.hi, false);
	strbuf_add_char(out, ')');
}

void check_add_limit(struct strbuf *out, const struct check_row *row)
{
	if (!row->has_limit)
		return;
	strbuf_add_text(out, "limit ");
	if (row->has_relative_limit)
		strbuf_addf(out, "+%.3g %%", 100 * row->limit_relative);
	if (row->has_relative_limit && row->limit_bytes > 0)
		strbuf_add_text(out, " and ");
	if (row->limit_bytes > 0 || !row->has_relative_limit)
		add_figure(out, row, row->limit_bytes);
}

void check_add_sentence(struct strbuf *out, const struct check_row *row)
{
	struct strbuf part = { 0 };
	void (*const parts[])(struct strbuf *, const struct check_row *) = { check_add_figures,
		check_add_change, check_add_limit };
	unsigned i;
	size_t from = out->bytes;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		strbuf_clear(&part);
		parts[i](&part, row);
		if (part.bytes)
			strbuf_addf(out, "%s%s", out->bytes > from ? ", " : "", part.data);
	}
	if (row->note)
		strbuf_addf(out, "%s%s", out->bytes > from ? ", " : "", row->note);
	strbuf_deinit(&part);
}

/* Whether nobody asked for the row, and it says nothing that the others of its kind do not. */
static bool folds(const struct check_view *v, const struct check_row *row)
{
	return row->metric == CHECK_SITE && row->verdict != CHECK_FAIL && !row->is_named &&
	       !v->options->all && (row->verdict == CHECK_SKIP || !row->note);
}

bool *check_choose_rows(const struct check_view *v)
{
	const struct options *o = v->options;
	bool *shown = alloc_array(v->report->n_rows, sizeof(*shown));
	size_t i, n_sites = 0;

	for (i = 0; i < v->report->n_rows; i++) {
		const struct check_row *row = &v->report->rows[i];

		if (folds(v, row) ||
			(row->metric == CHECK_SITE && o->n_rows && !o->all && n_sites >= o->n_rows))
			continue;
		n_sites += row->metric == CHECK_SITE;
		shown[i] = true;
	}
	return shown;
}

static const char *verdict_word(enum check_verdict verdict)
{
	return verdict == CHECK_PASS ? "PASS" : verdict == CHECK_FAIL ? "FAIL" : "SKIP";
}

static enum table_color verdict_color(enum check_verdict verdict)
{
	return verdict == CHECK_PASS ? TABLE_GREEN : verdict == CHECK_FAIL ? TABLE_RED : TABLE_DIM;
}

static void add_place(struct strbuf *out, const struct check_row *row)
{
	if (!row->place.file || !row->place.line)
		return;
	strbuf_add_text(out, "   ");
	strbuf_add_escaped(out, source_frames_base_name(row->place.file),
		strlen(source_frames_base_name(row->place.file)));
	strbuf_addf(out, ":%u", row->place.line);
}

static void add_title(struct strbuf *out, const struct check_view *v, const struct check_row *row)
{
	char *title = report_row_title(row, v->style.full_names);

	if (v->style.full_names)
		strbuf_add_escaped(out, title, strlen(title));
	else
		table_add_cut(out, title, NAME_COLUMNS_MAX);
	free(title);
}

/* What stands behind the columns: the limit or the reason, the runs, the place. */
static void add_tail(struct strbuf *out, const struct check_view *v, const struct check_row *row)
{
	size_t from = out->bytes;

	if (row->verdict != CHECK_SKIP)
		check_add_limit(out, row);
	if (row->note) {
		strbuf_add_text(out, out->bytes > from ? "   " : "");
		strbuf_add_escaped(out, row->note, strlen(row->note));
	}
	if (row->metric == CHECK_TOTAL && row->has_from)
		strbuf_addf(out, "   %zu + %zu runs", v->base->n_runs, v->candidate->n_runs);
	add_place(out, row);
}

static void add_rows(struct strbuf *out, const struct check_view *v, const bool *shown)
{
	struct strbuf text = { 0 };
	struct table t;
	size_t i, line = 0;

	table_init(&t, v->base ? "lllll" : "llll");
	for (i = 0; i < v->report->n_rows; i++) {
		const struct check_row *row = &v->report->rows[i];

		if (!shown[i])
			continue;
		table_add(&t, verdict_word(row->verdict));
		add_title(&text, v, row);
		table_add_buffer(&t, &text);
		check_add_figures(&text, row);
		table_add_buffer(&t, &text);
		if (v->base) {
			check_add_change(&text, row);
			table_add_buffer(&t, &text);
		}
		add_tail(&text, v, row);
		table_add_buffer(&t, &text);
	}
	for (i = 0; i < v->report->n_rows; i++)
		if (shown[i])
			table_render(&t, line++, 0, &v->style,
				verdict_color(v->report->rows[i].verdict), out);
	table_deinit(&t);
	strbuf_deinit(&text);
}

/* One line for all rows with a verdict that are not shown. */
static void add_folded(struct strbuf *out, const struct check_view *v, const bool *shown,
	enum check_verdict verdict)
{
	const struct check_row *first = NULL;
	size_t i, n = 0;

	for (i = 0; i < v->report->n_rows; i++) {
		if (shown[i] || v->report->rows[i].verdict != verdict)
			continue;
		first = first ? first : &v->report->rows[i];
		n++;
	}
	if (n) {
		table_add_colored(out, &v->style, verdict_color(verdict), verdict_word(verdict));
		strbuf_add_text(out, "  ");
		units_add_count(out, n);
		strbuf_addf(
			out, " %ssite%s", verdict == CHECK_PASS ? "" : "more ", n == 1 ? "" : "s");
		if (verdict != CHECK_PASS) {
			strbuf_add_text(out, n == 1 ? ": " : "; the first: ");
			add_title(out, v, first);
			if (first->note) {
				strbuf_add_text(out, ", ");
				strbuf_add_escaped(out, first->note, strlen(first->note));
			}
		} else {
			strbuf_add_text(out, n == 1 ? " within its limit" : " within their limits");
		}
		strbuf_add_text(out, " (--all)\n");
	}
}

static void add_small(struct strbuf *out, const struct check_view *v)
{
	const struct check_report *r = v->report;
	size_t i, n_tested = 0;

	if (!v->base)
		return;
	for (i = 0; i < r->n_rows; i++)
		n_tested += r->rows[i].metric == CHECK_SITE;
	if (v->options->metric == METRIC_ALLOCATED)
		strbuf_add_text(out, "      sites by all bytes that they allocated\n");
	if (r->n_small) {
		strbuf_add_text(out, "      ");
		units_add_count(out, r->n_small);
		strbuf_addf(out, " %ssite%s of too few samples to tell", n_tested ? "more " : "",
			r->n_small == 1 ? "" : "s");
		if (!n_tested)
			strbuf_add_text(out, v->options->metric == METRIC_ALLOCATED
						     ? "; a smaller HEAPSPY_SAMPLE shows more"
						     : "; what they allocated may: --metric "
						       "allocated");
		strbuf_add_char(out, '\n');
	}
	if (r->n_ignored) {
		strbuf_add_text(out, "      ");
		units_add_count(out, r->n_ignored);
		strbuf_addf(out, " site%s ignored\n", r->n_ignored == 1 ? "" : "s");
	}
}

void check_add_verdict(struct strbuf *out, const struct check_view *v)
{
	size_t n = v->report->n_rows, n_failed = report_count(v->report, CHECK_FAIL);
	size_t n_skipped = report_count(v->report, CHECK_SKIP), i;

	/* A leak-like site is what a check found, and none by itself. */
	for (i = 0; i < v->report->n_rows; i++) {
		const struct check_row *row = &v->report->rows[i];

		if (row->metric == CHECK_LEAKS && row->name) {
			n--;
			n_failed -= row->verdict == CHECK_FAIL;
			n_skipped -= row->verdict == CHECK_SKIP;
		}
	}
	if (n_failed) {
		units_add_count(out, n_failed);
		strbuf_add_text(out, " of ");
		units_add_count(out, n);
		strbuf_addf(out, " check%s failed", n == 1 ? "" : "s");
	} else if (n_skipped == n) {
		strbuf_addf(out, "nothing failed, but %s was skipped",
			n == 1 ? "the only check" : "every check");
		n_skipped = 0;
	} else {
		units_add_count(out, n - n_skipped);
		strbuf_addf(out, " check%s passed", n - n_skipped == 1 ? "" : "s");
	}
	if (n_skipped) {
		strbuf_add_text(out, ", ");
		units_add_count(out, n_skipped);
		strbuf_add_text(out, " skipped");
	}
	strbuf_add_char(out, '.');
	if (v->reproduce) {
		strbuf_add_text(out, "  Reproduce: ");
		strbuf_add_escaped(out, v->reproduce, strlen(v->reproduce));
	}
}

void check_text(const struct check_view *v, const bool *shown, struct strbuf *out)
{
	enum check_verdict verdict = report_count(v->report, CHECK_FAIL) ? CHECK_FAIL : CHECK_PASS;

	if (!v->options->quiet) {
		add_rows(out, v, shown);
		add_folded(out, v, shown, CHECK_FAIL);
		add_folded(out, v, shown, CHECK_SKIP);
		add_folded(out, v, shown, CHECK_PASS);
		add_small(out, v);
	}
	table_add_colored(out, &v->style, verdict_color(verdict), verdict_word(verdict));
	strbuf_add_text(out, "  ");
	check_add_verdict(out, v);
	strbuf_add_char(out, '\n');
}
