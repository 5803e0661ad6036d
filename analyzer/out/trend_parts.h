/*
 * trend_parts.h - what the forms of `heapspy trend` have in common: words, sums, the forecast.
 */
#ifndef HEAPSPY_ANALYZER_OUT_TREND_PARTS_H
#define HEAPSPY_ANALYZER_OUT_TREND_PARTS_H

#include "analyzer/out/trend.h"

/* A verdict as a table names it: "slowing". */
const char *trend_word(const struct trend_result *r);

/* The evidence for a verdict, in words. */
void trend_add_why(struct strbuf *out, const struct trend_view *v, const struct trend_result *r);

/*
 * The level at which a site that turns over stops to grow: that of its aged blocks, and what is
 * young now, which the load decides. False: it cannot be told, or is too far away to be told.
 */
bool trend_level(const struct trend_result *r, double *bytesp, struct interval *rangep);

/*
 * The best stacks of a row, at most max, those first whose aged blocks grew most. Returns their
 * number; stacks (max entries) are indices into the profile's. *n_allp is how many there are.
 */
size_t trend_best_stacks(const struct trend_view *v, const struct trend_row *row, uint32_t *stacks,
	size_t max, size_t *n_allp);

/* Leak-like sites, slowing ones among them. */
#define TREND_LEAKS (1u << TREND_LEAK | 1u << TREND_LEAK_SLOWING)

/* What grows by its aged blocks, leaks among it. */
#define TREND_GROWING (TREND_LEAKS | 1u << TREND_CONTAINER | 1u << TREND_TURNING_OVER)

/* When memory ends, at a rate. */
struct trend_end {
	struct growth rate;    /* bytes per second */
	bool has_time;         /* the rate is above 0 for certain, and there is memory left */
	double seconds;        /* from the snapshot that tells what is used */
	struct interval range; /* of these; hi is INFINITY where growth slows down */
};

/* The limit as the newest cut tells it that knows it. */
struct trend_forecast {
	uint64_t limit_bytes; /* 0: no limit is known */
	double used_bytes;
	const char *kind; /* "cgroup"; NULL: the limit was given */
	uint64_t from_ns; /* time of that snapshot */
	struct trend_end leaks, all;
};

void trend_forecast(struct trend_forecast *forecast, const struct trend_view *v);

/* Sums over all sites, and over the leaks that some hide. */
struct trend_totals {
	double first_bytes, last_bytes;
	size_t n[TREND_N_VERDICTS];                      /* sites */
	size_t n_late[TREND_N_VERDICTS], n_all_late;     /* of these, those that grew late */
	size_t n_hiding[TREND_N_VERDICTS], n_all_hiding; /* sites that hide leaks */
	const struct trend_result *hiding;               /* one of them; NULL: there is none */
	size_t n_hidden_of[TREND_HIDDEN_CALL + 1];       /* leaks that are hidden, by kind */
	size_t n_hidden;
	size_t n_leaks, n_slowing; /* leak-like sites and leaks that are hidden; these slowing */
};

void trend_sum(struct trend_totals *totals, const struct trend_view *v);

/* Lines of text, with their newlines: the run, the answer, the whole heap; the forecast, if any. */
void trend_add_title(struct strbuf *out, const struct trend_view *v);
void trend_add_answer(struct strbuf *out, const struct trend_view *v);
void trend_add_whole(struct strbuf *out, const struct trend_view *v);
void trend_add_forecast(struct strbuf *out, const struct trend_view *v);

/* "6.6 MiB/min". */
void trend_add_rate(struct strbuf *out, double bytes_per_s);

#endif
