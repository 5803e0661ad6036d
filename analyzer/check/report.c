/* report.c - owns the rows of a check. What they mean is their makers', how they look out/'s. */
#include "analyzer/check/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/strbuf.h"
#include "analyzer/symbols/name.h"

struct check_row *report_add(
	struct check_report *report, enum check_metric metric, enum check_verdict verdict)
{
	struct check_row *row;

	report->rows =
		alloc_room(report->rows, report->n_rows, &report->capacity, sizeof(*report->rows));
	row = &report->rows[report->n_rows++];
	memset(row, 0, sizeof(*row));
	row->metric = metric;
	row->verdict = verdict;
	row->to_range = row->change_range = (struct interval){ NAN, NAN };
	row->change = row->p_value = row->detectable = row->detectable_bytes = NAN;
	return row;
}

static char *copy(const char *text)
{
	return text ? alloc_text(text, strlen(text)) : NULL;
}

void report_set_place(struct check_row *row, const char *name, const struct site *site)
{
	row->name = copy(name);
	row->shown = name_shorten(name);
	if (!row->shown)
		row->shown = copy(name);
	memset(&row->place, 0, sizeof(row->place));
	row->place.function = copy(site->function);
	row->place.file = copy(site->file);
	row->place.line = site->line;
	row->place.module = copy(site->module);
	row->place.inlined_into = copy(site->inlined_into);
	row->place.module_index = site->module_index;
}

void report_note(struct check_row *row, const char *format, ...)
{
	struct strbuf text = { 0 };
	va_list ap;

	va_start(ap, format);
	strbuf_vaddf(&text, format, ap);
	va_end(ap);
	free(row->note);
	row->note = text.data;
}

static int compare_rows(const void *a, const void *b)
{
	const struct check_row *x = a, *y = b;

	if (x->metric != y->metric)
		return x->metric < y->metric ? -1 : 1;
	/* The row about all leaks goes before its sites. */
	if (!x->name != !y->name)
		return x->name ? 1 : -1;
	if (x->name) {
		if (x->verdict != y->verdict)
			return x->verdict > y->verdict ? -1 : 1;
		if (x->verdict == CHECK_FAIL &&
			x->to_bytes - x->from_bytes != y->to_bytes - y->from_bytes)
			return x->to_bytes - x->from_bytes > y->to_bytes - y->from_bytes ? -1 : 1;
		if (x->to_bytes != y->to_bytes)
			return x->to_bytes > y->to_bytes ? -1 : 1;
		return strcmp(x->name, y->name);
	}
	/* Against the baseline first, then against what was allowed outright. */
	return x->has_from != y->has_from ? (x->has_from ? -1 : 1) : 0;
}

void report_sort(struct check_report *report)
{
	if (report->n_rows)
		qsort(report->rows, report->n_rows, sizeof(*report->rows), compare_rows);
}

size_t report_count(const struct check_report *report, enum check_verdict verdict)
{
	size_t i, n = 0;

	for (i = 0; i < report->n_rows; i++)
		n += report->rows[i].verdict == verdict;
	return n;
}

char *report_row_title(const struct check_row *row, bool full)
{
	static const char *const titles[] = { [CHECK_TOTAL] = "total allocated",
		[CHECK_PEAK] = "peak live",
		[CHECK_GROWTH] = "growth",
		[CHECK_LEAKS] = "leaks",
		[CHECK_SITE] = "site " };
	struct strbuf text = { 0 };

	strbuf_add_text(
		&text, row->metric == CHECK_LEAKS && row->name ? "leak at " : titles[row->metric]);
	if (row->name)
		strbuf_add_text(&text, full ? row->name : row->shown);
	return text.data;
}

void report_deinit(struct check_report *report)
{
	size_t i;

	for (i = 0; i < report->n_rows; i++) {
		struct check_row *row = &report->rows[i];

		free(row->name);
		free(row->shown);
		free((char *)row->place.function);
		free((char *)row->place.file);
		free((char *)row->place.module);
		free((char *)row->place.inlined_into);
		free(row->note);
	}
	free(report->rows);
	memset(report, 0, sizeof(*report));
}
