/*
 * check.h - the result of `heapspy check` as text, as JSON, as JUnit XML and as annotations.
 */
#ifndef HEAPSPY_ANALYZER_OUT_CHECK_H
#define HEAPSPY_ANALYZER_OUT_CHECK_H

#include "analyzer/check/budget.h"
#include "analyzer/check/report.h"
#include "analyzer/check/runs.h"
#include "analyzer/options.h"
#include "analyzer/out/table.h"

struct check_view {
	const struct options *options;
	const struct check_report *report;
	const struct check_side *base; /* NULL: one long run */
	const struct check_side *candidate;
	const char *budget_path; /* NULL: none */
	const char *reproduce;   /* a command line, escaped for a shell; NULL: nothing failed */
	struct table_style style;
};

/* Rows that text shows (by row of the report); the others are summed up. The caller frees it. */
bool *check_choose_rows(const struct check_view *v);

/* All that -q leaves is the last line. */
void check_text(const struct check_view *v, const bool *shown, struct strbuf *out);

/* Schema heapspy.check/1. All rows. */
void check_json(const struct check_view *v, struct strbuf *out);

/* One test suite, a case for each row. */
void check_junit(const struct check_view *v, struct strbuf *out);

/* A workflow command "::error ...::..." for each row that failed, at its place in the source. */
void check_github(const struct check_view *v, struct strbuf *out);

/* Parts of a row that several of these print. */

/* "118 MiB -> 251 MiB", "1.9 GiB (1.8..2.0)". */
void check_add_figures(struct strbuf *out, const struct check_row *row);

/* "+113 % (88..140)"; nothing where there is no change to tell. */
void check_add_change(struct strbuf *out, const struct check_row *row);

/* "limit +20 % and 4 MiB"; nothing without one. */
void check_add_limit(struct strbuf *out, const struct check_row *row);

/* The verdict in words, "1 of 4 checks failed, 1 skipped.", and how to see more. */
void check_add_verdict(struct strbuf *out, const struct check_view *v);

/* The three of them in one sentence, with the note. */
void check_add_sentence(struct strbuf *out, const struct check_row *row);

#endif
