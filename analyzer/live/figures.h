/*
 * figures.h - everything one screen of `heapspy live` can show, worked out from up
 * to three snapshots of a process: now, about a minute ago, and at the mark.
 *
 * What is live is ranking.h's, both growths are compare.h's, with the ranges these
 * give. Allocations are differences of the cumulative counters.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_FIGURES_H
#define HEAPSPY_ANALYZER_LIVE_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/compare.h"
#include "analyzer/live/shot.h"
#include "analyzer/ranking.h"
#include "analyzer/sites.h"

/* One refresh in the series of the header. */
struct figures_reading {
	double live_bytes;
	double rss_bytes;       /* NAN: not known */
	double allocated_per_s; /* bytes, exact, since the reading before; NAN at the first */
};

enum figures_order { FIGURES_BY_LIVE, FIGURES_BY_GROWTH, FIGURES_BY_MARK, FIGURES_BY_ALLOCATED };

/* Growth of a row between an earlier moment and now. */
struct figures_change {
	struct growth growth;
	enum compare_verdict verdict;
	bool is_still; /* nothing was born and nothing died */
};

struct figures_row {
	uint32_t group; /* index into sites */
	uint64_t key;   /* the same for the same site in every refresh */
	struct aggregate live;
	struct interval live_range;
	struct figures_change recent, since_mark;
	struct aggregate allocated; /* since the recent moment */
	struct interval allocated_range;
};

/* What to work out; texts outlive the figures. */
struct figures_request {
	struct shot *now, *recent, *mark; /* recent and mark may be NULL, or now itself */
	enum sites_by by;
	struct sites_filter filter;
	const char *hide;
	struct symbols *symbols;
};

struct figures {
	struct shot *now, *recent, *mark; /* NULL where there is none before now */
	struct profile profile;
	struct ranking ranking;
	struct comparison recent_comparison, mark_comparison;
	struct aggregate *allocated; /* by stack of the profile, since the recent moment */
	struct source_frames frames;
	struct sites sites;
	bool has_sites; /* false: no_sites tells why */
	struct fail no_sites;
	struct figures_row
		*rows; /* by what is live, as ranking.rows; then what holds nothing now */
	size_t n_rows;
	struct ranking_row total; /* of all sites, filter or not */
	double recent_s, mark_s;  /* seconds from these moments to now; NAN without one */
	double profiler_cpu; /* share of one CPU since the recent moment, else since the start */
	/* Set by model.c. */
	struct figures_reading *series; /* oldest first, at least one */
	size_t n_series;
	size_t n_dropped; /* readings before series[0], for a picture that does not jump */
	bool ended, stopped, from_files;
	bool is_marked; /* mark is not the start of watching */
};

/* Returns NULL with f filled: --hide is no expression, or out of memory. */
struct figures *figures_new(const struct figures_request *request, struct fail *f);

/* NULL is fine. Needs no struct symbols: may be called by another thread. */
void figures_free(struct figures *figures);

/*
 * Lists the rows that belong to an order, best first, as indices into rows; index has n_rows
 * entries. Returns how many these are. By live: what holds something. By growth: what
 * moved. By allocations: what allocated.
 */
size_t figures_sort(const struct figures *figures, enum figures_order order, uint32_t *index);

/*
 * The stacks of a row that weigh most in an order, at most max, without those that have no part in
 * it. Returns their number; *n_allp is how many there are.
 */
size_t figures_best_stacks(const struct figures *figures, enum figures_order order,
	const struct figures_row *row, uint32_t *stacks, size_t max, size_t *n_allp);

/* What a stack weighs in an order, in bytes; allocations since the recent moment. */
double figures_stack_bytes(const struct figures *figures, enum figures_order order, uint32_t stack);

/* Its range at 95 %. */
struct interval figures_stack_range(
	const struct figures *figures, enum figures_order order, uint32_t stack);

#endif
