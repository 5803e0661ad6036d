/*
 * ranking.h - what each site holds, or has allocated, at one moment.
 */
#ifndef HEAPSPY_ANALYZER_RANKING_H
#define HEAPSPY_ANALYZER_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/profile.h"
#include "analyzer/stats/interval.h"

#define RANKING_NO_GROUP UINT32_MAX

struct ranking_row {
	uint32_t group;
	struct aggregate sum;
	struct interval bytes;  /* 95 % */
	struct interval blocks; /* 95 %; hi is INFINITY when the samples do not bound it */
	double age_ns; /* half of the live bytes are at least this old; NAN where there are none */
};

struct ranking {
	bool exact;
	bool allocated; /* sums of allocations: the number of blocks has no range */
	uint64_t interval_bytes;
	struct aggregate *stacks; /* by stack of the profile */
	struct ranking_row *rows; /* by lower limit, descending */
	size_t n_rows;
	struct ranking_row total;
};

/*
 * Sums by stack what is live (or, with allocated, what was ever allocated, at the
 * weights of the time) at moment 0 of p.
 */
void ranking_init(struct ranking *r, const struct profile *p, bool allocated);

enum ranking_order { RANKING_BY_BYTES, RANKING_BY_BLOCKS };

/*
 * Makes the rows. group_of (by stack of the profile) is below n_groups or
 * RANKING_NO_GROUP; with by_thread, which needs live sums, the groups are the thread names of
 * p, and group_of only tells which stacks count.
 */
void ranking_group(struct ranking *r, const struct profile *p, const uint32_t *group_of,
	size_t n_groups, bool by_thread, enum ranking_order order);

void ranking_deinit(struct ranking *r);

/* Range at 95 % of what one stack of the profile holds, or has allocated. */
struct interval ranking_stack_range(const struct ranking *r, uint32_t stack);

/* Sum of rows first..n_rows-1, with ranges. */
struct ranking_row ranking_rest(const struct ranking *r, size_t first);

#endif
