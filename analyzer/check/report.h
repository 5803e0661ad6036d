/*
 * report.h - what `heapspy check` found: one row for each thing that was checked.
 */
#ifndef HEAPSPY_CHECK_REPORT_H
#define HEAPSPY_CHECK_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/sites.h"
#include "analyzer/stats/interval.h"

/* SKIP: it could not be decided, and does not fail the gate. */
enum check_verdict { CHECK_PASS, CHECK_SKIP, CHECK_FAIL };

enum check_metric {
	CHECK_TOTAL,  /* bytes allocated by a run */
	CHECK_PEAK,   /* most live bytes of a run */
	CHECK_GROWTH, /* of the live heap of a long run, bytes per second */
	CHECK_LEAKS,  /* no site is leak-like */
	CHECK_SITE,   /* bytes of one site; of CHECK_LEAKS one row for each leak-like site */
};

struct check_row {
	enum check_metric metric;
	enum check_verdict verdict;
	char *name;        /* full name of a site; NULL for other metrics */
	char *shown;       /* the same as tables show it */
	struct site place; /* of a site; its strings are the row's own */
	bool is_named;     /* a line of the budget is about this site */
	bool is_absent;    /* and no run has it */

	bool has_from; /* compared with a baseline */
	double from_bytes, to_bytes;
	struct interval to_range; /* 95 % of to_bytes; NAN..NAN: not known, or exact */
	double change;            /* relative; INFINITY from nothing */
	struct interval change_range;
	double p_value;                      /* NAN: none */
	double detectable, detectable_bytes; /* see gate.h; NAN: none */

	bool has_limit, has_relative_limit;
	double limit_bytes, limit_relative;
	unsigned budget_line; /* 0: a default, or from the command line */

	char *note; /* why it was skipped, or what else is to be said; NULL: nothing */
};

struct check_report {
	struct check_row *rows;
	size_t n_rows, capacity;
	size_t n_small; /* sites with too few samples to be checked */
	size_t n_ignored;
};

/* Adds an empty row; it stays where it is until the next one is added. */
struct check_row *report_add(
	struct check_report *report, enum check_metric metric, enum check_verdict verdict);

/* Gives a row its site, whose strings are copied. */
void report_set_place(struct check_row *row, const char *name, const struct site *site);

/* Replaces the note of a row by a printf text. */
void report_note(struct check_row *row, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Rows in the order of metrics; of sites those that fail first, then by size. */
void report_sort(struct check_report *report);

size_t report_count(const struct check_report *report, enum check_verdict verdict);

/* "total allocated", "peak live", "site NAME", the name in full or as tables show it; to be freed.
 */
char *report_row_title(const struct check_row *row, bool full);

void report_deinit(struct check_report *report);

#endif
