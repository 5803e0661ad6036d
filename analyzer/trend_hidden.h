/*
 * trend_hidden.h - leaks inside rows that do not leak: a function that fills a cache at one line
 * and leaks at another turns over as a whole, and so does an allocation wrapper one of whose
 * callers forgets what it got.
 *
 * Each row is divided where its stacks part: by function (of a module), by line, by call, and then
 * by one caller after the other. Each part is judged as a site of its own; of a leak the largest
 * part that shows it is told.
 */
#ifndef HEAPSPY_ANALYZER_TREND_HIDDEN_H
#define HEAPSPY_ANALYZER_TREND_HIDDEN_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/history.h"
#include "analyzer/sites.h"
#include "analyzer/strbuf.h"

/* By what a part differs from the rest of what it is a part of. */
enum trend_hidden_kind { TREND_HIDDEN_FUNCTION, TREND_HIDDEN_LINE, TREND_HIDDEN_CALL };

struct trend_hidden_leak {
	enum trend_hidden_kind kind;
	size_t row;       /* index of the row in history_sites */
	uint32_t group;   /* its index in sites */
	size_t n_callers; /* of a call: frames outward of the one that names the row, 0: none */
	struct site site; /* its place, that of the heaviest stack */
	const uint32_t *stacks; /* of the profile */
	size_t n_stacks;
};

struct trend_hidden {
	struct trend_hidden_leak *leaks;
	struct trend_result *results; /* of each leak: leak-like or slowing */
	size_t n;
	uint32_t *stacks; /* memory of the above */
	double *live_bytes;
};

/*
 * Finds the leaks inside the rows that are not leak-like themselves. rows are the sites of
 * history_group() for sites->group_of, which are grouped by `by`, results their verdicts; both and
 * sites must outlive *hidden. Leaks of one row never overlap; left out is what is less than a
 * thousandth of all leaks, what keeps its old blocks by chance while those beside it die, and calls
 * that grew as others beside them shrank. The discovery rate of judging holds for all parts of all
 * rows together. trend_hidden_deinit() frees.
 */
void trend_hidden_find(struct trend_hidden *hidden, const struct history *h,
	const struct sites *sites, enum sites_by by, const struct history_sites *rows,
	const struct trend_result *results, const struct trend_judging *judging);

void trend_hidden_deinit(struct trend_hidden *hidden);

/*
 * Gives rows that are leak-like functions the place that leaks most; from sites_init() they have
 * the one that holds most, which may be a cache's.
 */
void trend_hidden_set_places(struct sites *sites, const struct history *h,
	const struct history_sites *rows, const struct trend_result *results);

/*
 * "called from load conf.c:40 < main main.c:9", or "the call at api+0x1234", as far as it tells a
 * part from others; nothing where the site of the part says all. Escaped.
 */
void trend_hidden_add_callers(struct strbuf *out, const struct source_frames *sf,
	const struct trend_hidden_leak *leak, bool full);

/* What a row that hides a leak does itself: "turns over". */
const char *trend_hidden_does(const struct trend_result *row);

/* "inside handle, which turns over; called from main svc.c:20". row: the verdict on that. */
void trend_hidden_add_inside(struct strbuf *out, const struct sites *sites,
	const struct trend_hidden_leak *leak, const struct trend_result *row, bool full);

#endif
