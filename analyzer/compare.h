/*
 * compare.h - growth of each site between two moments: which samples were born,
 * which died, and whether the difference is more than noise. Or what was born
 * and kept until a third moment, or what was allocated in between.
 *
 * In one process a sample that is live at both moments is the same sample:
 * survivors are matched by address, birth and random bits and counted in
 * neither side, so what they weigh and how uncertain they are cancels exactly.
 * Both snapshots are lifted to the larger interval first (sample_math.h). Between
 * processes nothing matches: all of A died, all of B was born.
 *
 * Invariants, exact in integers: for every row and for the total
 *	after.bytes - before.bytes = born.bytes - died.bytes
 * and the total is the sum of the rows.
 */
#ifndef HEAPSPY_ANALYZER_COMPARE_H
#define HEAPSPY_ANALYZER_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/profile.h"
#include "analyzer/stats/growth.h"

/* A group of stacks that is in no row: filtered out, or not live at either moment. */
#define COMPARE_NO_GROUP UINT32_MAX

enum compare_verdict { COMPARE_GREW, COMPARE_NOISE, COMPARE_SHRANK };

struct compare_sums {
	struct aggregate before, after, born, died;
};

struct compare_row {
	uint32_t group;
	struct compare_sums sums;
	struct growth growth;
	enum compare_verdict verdict;
};

enum compare_what { COMPARE_LIVE, COMPARE_KEPT, COMPARE_ALLOCATED };

struct comparison {
	enum compare_what what;
	bool same_process;
	bool is_one_sided;           /* nothing can have died: all that is there grew */
	bool exact;                  /* every block was sampled: ranges are the figure itself */
	uint64_t interval_bytes[2];  /* at which the samples of A and of B count */
	struct compare_sums *stacks; /* by stack index of the profile */
	struct compare_row *rows;    /* grew, by lower limit; noise; shrank, strongest last */
	size_t n_rows, n_grew, n_noise, n_shrank;
	struct compare_row total, noise; /* group is COMPARE_NO_GROUP */
};

/*
 * Sums the live samples of moments 0 and 1 of p by stack. With a third moment in
 * p, a sample is born only if it is live in that one too, and none counts as died;
 * before and after then are born and nothing but that. The moments of one process
 * are in order of time.
 */
void compare_init(struct comparison *c, const struct profile *p, bool same_process);

/*
 * The same of what was ever allocated until moments 0 and 1, by the cumulative counters: in one
 * process what was allocated between them is born, and nothing died; of two, each is one side.
 */
void compare_init_allocated(struct comparison *c, const struct profile *p, bool same_process);

/*
 * Growth of such sums with its range at 95 %. Where nothing can have died it is the range of what
 * was born, which begins at the bytes that were seen.
 */
struct growth compare_growth(const struct comparison *c, const struct compare_sums *sums);

/*
 * Makes the rows and the total: group_of[i] is the group of stack i of the profile, below
 * n_groups, or COMPARE_NO_GROUP. Significance: Benjamini-Hochberg at 5 % over the
 * groups with anything born or died, growth and shrinking each for itself; a range that
 * holds 0 is never significant. One-sided, a row is what has anything born, and grew for certain.
 */
void compare_group(
	struct comparison *c, const uint32_t *group_of, size_t n_stacks, size_t n_groups);

/* Range at 95 % of what is there before, or after. */
struct interval compare_range(
	const struct comparison *c, const struct compare_sums *sums, bool is_after);

void compare_deinit(struct comparison *c);

/* Nothing was born and nothing died. */
static inline bool compare_is_still(const struct compare_sums *sums)
{
	return !(sums->born.samples > 0) && !(sums->died.samples > 0);
}

#endif
