/*
 * top.h - the result of `heapspy top` as text, as JSON and as CSV.
 */
#ifndef HEAPSPY_ANALYZER_OUT_TOP_H
#define HEAPSPY_ANALYZER_OUT_TOP_H

#include "analyzer/input.h"
#include "analyzer/options.h"
#include "analyzer/out/table.h"
#include "analyzer/ranking.h"
#include "analyzer/sites.h"

struct top_view {
	const struct options *options;
	const struct input *input;
	const struct profile *profile; /* for thread names */
	const struct ranking *ranking;
	const struct sites *sites;
	size_t n_shown; /* first rows of the ranking that text shows: top_choose_rows() */
	struct table_style style;
};

/* Number of rows to show, by -n and --min. */
size_t top_choose_rows(const struct ranking *r, const struct options *o);

void top_text(const struct top_view *v, struct strbuf *out);

/* Schema heapspy.top/1. All rows. */
void top_json(const struct top_view *v, struct strbuf *out);

/* One line of names, then one for each row. All rows. */
void top_csv(const struct top_view *v, struct strbuf *out);

/*
 * The stacks of a group that hold most, at most max (stacks has as many entries). Returns their
 * number. Not with --by thread.
 */
size_t top_best_stacks(const struct top_view *v, uint32_t group, uint32_t *stacks, size_t max);

#endif
