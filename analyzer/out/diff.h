/*
 * diff.h - the result of `heapspy diff` as text, as JSON and as CSV.
 */
#ifndef HEAPSPY_ANALYZER_OUT_DIFF_H
#define HEAPSPY_ANALYZER_OUT_DIFF_H

#include "analyzer/compare.h"
#include "analyzer/input.h"
#include "analyzer/options.h"
#include "analyzer/out/table.h"
#include "analyzer/sites.h"

struct diff_view {
	const struct options *options;
	const struct input *a, *b;
	const struct input *third; /* NULL without --third */
	const char *b_text;        /* B as typed, or what means the same */
	const char *arguments;     /* moments as typed, as words of a shell, for hints */
	const struct comparison *comparison;
	const struct sites *sites;
	struct table_style style;
};

/* Rows of the comparison that text shows (by row index); the caller frees it. */
bool *diff_choose_rows(const struct diff_view *v);

/* shown: from diff_choose_rows(). */
void diff_text(const struct diff_view *v, const bool *shown, struct strbuf *out);

/* The lines above the table, the last one the answer. */
void diff_add_head(const struct diff_view *v, struct strbuf *out);

/* "412 MiB (383..443)"; signed where asked, so that a sum within noise shows its side. */
void diff_add_growth(
	struct strbuf *out, const struct diff_view *v, const struct growth *g, bool is_signed);

/* "383..443" in the unit of the growth. */
void diff_add_range(struct strbuf *out, const struct diff_view *v, const struct growth *g);

/* The sites within noise changed for certain, taken together. */
bool diff_noise_is_joint(const struct comparison *c);

/* Schema heapspy.diff/1. All rows. */
void diff_json(const struct diff_view *v, struct strbuf *out);

/* One line of names, then one for each row. All rows. */
void diff_csv(const struct diff_view *v, struct strbuf *out);

/*
 * The best stacks of a group, at most max, those first that moved most. Returns their
 * number; stacks (max entries) are indices into the profile's. *n_allp is how many there are.
 */
size_t diff_best_stacks(
	const struct diff_view *v, uint32_t group, uint32_t *stacks, size_t max, size_t *n_allp);

#endif
