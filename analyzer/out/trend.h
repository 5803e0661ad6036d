/*
 * trend.h - the result of `heapspy trend` as text, as JSON and as CSV.
 */
#ifndef HEAPSPY_ANALYZER_OUT_TREND_H
#define HEAPSPY_ANALYZER_OUT_TREND_H

#include "analyzer/history.h"
#include "analyzer/input.h"
#include "analyzer/options.h"
#include "analyzer/out/table.h"
#include "analyzer/sites.h"
#include "analyzer/trend_hidden.h"

/* A site, or a leak that one hides, and what became of it in the text. */
struct trend_row {
	const struct trend_result *result;
	const struct site *site;
	uint32_t group;                         /* index into sites: it, or what hides it */
	const struct trend_hidden_leak *hidden; /* NULL: it is the site itself */
	enum { TREND_SHOWN, TREND_FOLDED, TREND_BELOW_MIN, TREND_BEYOND_N } fate;
};

struct trend_view {
	const struct options *options;
	const char *run; /* as typed */
	const struct input *last;
	const struct history *history; /* not short */
	const struct sites *sites;
	/* Of the sites, n_results, and behind them of the leaks that some hide: n_rows in all. */
	const struct trend_result *results;
	size_t n_results, n_rows;
	struct trend_row *rows; /* one for each result, in order of trend_compare() */
	/* By stack of the profile, judged as if each were a site; NULL where nothing asks for it.
	 */
	const struct trend_result *const *stacks;
	struct table_style style;
	bool ascii;
	bool in_watch; /* JSON on one line */
	unsigned look; /* 0: the only one */
};

/* Orders the rows and decides which of them text shows. */
void trend_arrange(struct trend_view *v);

void trend_text(const struct trend_view *v, struct strbuf *out);

/* Schema heapspy.trend/1: all rows, with all evidence. */
void trend_json(const struct trend_view *v, struct strbuf *out);

/*
 * The same of a run too short for verdicts; diff is the JSON of the growth between its first and
 * last cut, or NULL: none is told.
 */
void trend_json_short(const struct trend_view *v, const char *diff, struct strbuf *out);

/* One line of names, then one for each row. All rows. */
void trend_csv(const struct trend_view *v, struct strbuf *out);

#endif
