/*
 * churn.h - the result of `heapspy churn` as text, as JSON and as CSV.
 */
#ifndef HEAPSPY_ANALYZER_OUT_CHURN_H
#define HEAPSPY_ANALYZER_OUT_CHURN_H

#include "analyzer/churn.h"
#include "analyzer/input.h"
#include "analyzer/options.h"
#include "analyzer/out/table.h"
#include "analyzer/sites.h"

struct churn_view {
	const struct options *options;
	const struct input *a, *b;
	const char *arguments; /* moments as typed, as words of a shell, for hints */
	const struct churn *churn;
	const struct sites *sites;
	struct table_style style;
};

/* Rows that text shows (by row index); the caller frees it. */
bool *churn_choose_rows(const struct churn_view *v);

/* shown: from churn_choose_rows(). */
void churn_text(const struct churn_view *v, const bool *shown, struct strbuf *out);

/* Schema heapspy.churn/1. All rows. */
void churn_json(const struct churn_view *v, struct strbuf *out);

/* One line of names, then one for each row. All rows. */
void churn_csv(const struct churn_view *v, struct strbuf *out);

/*
 * The stacks of a group that allocated most, at most max. Returns their number; stacks (max
 * entries) are indices into the profile's. *n_allp is how many allocated at all.
 */
size_t churn_best_stacks(
	const struct churn_view *v, uint32_t group, uint32_t *stacks, size_t max, size_t *n_allp);

/* What a row's flags say, in words joined by separator; "" without any. */
void churn_add_flags(struct strbuf *out, unsigned flags, const char *separator);

#endif
