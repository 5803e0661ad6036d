/*
 * age_structure.h - the figures of one site over a run of snapshots, as far as verdicts need them:
 * sums of what is live at each cut by epoch of birth, kept only where something asks for them.
 *
 * All sums are linear in the samples. So the structures of two stacks add to that of a site that
 * holds both, and no sample need be recognized from one snapshot to the next: what is live of an
 * epoch at a cut and no more at a later one has died.
 *
 * "Aged" and the cuts S_a, middle and K are those of trend_plan.h.
 * Nothing here allocates; safe in any thread on different structures.
 */
#ifndef HEAPSPY_STATS_AGE_STRUCTURE_H
#define HEAPSPY_STATS_AGE_STRUCTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/stats/estimate.h"
#include "analyzer/stats/trend_plan.h"

/* Series over the cuts at most: of the live bytes, and of the aged ones of each settle age. */
#define AGE_STRUCTURE_SERIES (1 + TREND_PLAN_AGES)

/* What is live of one epoch at cut K. */
struct age_cell {
	uint32_t epoch;
	uint32_t reserved;                 /* 0 */
	double samples, size_bytes, bytes; /* as in struct aggregate */
};

/* Flow of aged blocks over a part of the window. */
struct age_flow {
	double in_samples, in_bytes;   /* entered */
	double out_samples, out_bytes; /* died aged */
	double byte_seconds;           /* integral of the aged bytes over time */
};

/* The figures of one settle age. */
struct aged {
	double *bytes; /* by cut, from S_a on; memory of whoever feeds the structure */

	/* Of the cut under way and the one before: age_structure_end_cut() only. */
	struct {
		double bytes, samples, entered_bytes, entered_samples;
	} now, before;

	bool had_any; /* some were aged at a cut from S_a on */

	struct age_flow early, late; /* (S_a, middle], (middle, K] */

	struct aggregate settled; /* aged at S_a */
	struct {
		struct aggregate old, entered; /* aged by S_a, entered after it */
		double first_samples;          /* of epoch 0 */
	} middle;                              /* at the middle cut */
	struct {
		struct aggregate old, early, late; /* by when they entered */
	} last;                                    /* at cut K */
};

struct age_structure {
	/* By cut, n_cuts: live bytes; memory of whoever feeds the structure. */
	double *live_bytes;
	/* Cut K by epoch, ascending, one cell an epoch; memory of whoever feeds the structure. */
	const struct age_cell *cells;
	size_t n_cells;

	double now_bytes; /* of the cut under way: age_structure_end_cut() only */
	double samples;   /* distinct samples that were live at some cut */
	double allocated_bytes[TREND_PLAN_LOADS]; /* since start, at load_cut of the first age */

	struct aggregate first;         /* live at cut 0 */
	struct aggregate last;          /* live at cut K */
	struct aggregate last_of_first; /* of epoch 0 */

	/* For r = S_a and r = middle: what is live there, and what of it is live at K. */
	struct {
		struct aggregate live, left;
	} base[2];

	struct aged ages[TREND_PLAN_AGES]; /* plan.n_ages of them */
};

/* Entries that the series of a structure need; at most AGE_STRUCTURE_SERIES x plan->n_cuts. */
size_t age_structure_series(const struct trend_plan *plan);

/*
 * Begins an empty structure; series has age_structure_series() entries, all 0, and stays the
 * caller's.
 */
void age_structure_init(struct age_structure *s, const struct trend_plan *plan, double *series);

/*
 * Adds what is live of an epoch at a cut: one sample or any sum of them. Cuts come in ascending
 * order; epoch <= cut. Samples of one epoch may come in any order and number.
 */
void age_structure_add(struct age_structure *s, const struct trend_plan *plan, size_t cut,
	size_t epoch, const struct aggregate *live);

/* Closes a cut, also one at which nothing was live: every cut from 0 on, once. */
void age_structure_end_cut(struct age_structure *s, const struct trend_plan *plan, size_t cut);

/* sum += part, both closed at the same cut. The cells are left to the caller. */
void age_structure_merge(
	struct age_structure *sum, const struct age_structure *part, const struct trend_plan *plan);

#endif
