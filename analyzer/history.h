/*
 * history.h - a run of snapshots read as one: which of them are the cuts, and the age structure of
 * every stack over them, in memory that does not grow with the number of samples read.
 *
 *	run_dir_read()
 *	history_choose()	which snapshots; fills the plan
 *	history_open_last()	the last cut, whole: it knows every stack of those before
 *	profile_add()		of that snapshot, as moment 0
 *	history_sum()		streams all cuts
 *	source_frames_init(), sites_init()	names, of the stacks that were live at all
 *	history_group()		stacks to sites
 *	trend_judge()		stats/trend.h
 *
 * A process keeps its stacks under the same ids for as long as it lives; of the cuts before the
 * last only INFO and the live samples are read, and the counters of stacks at three of them.
 *
 * Not for two threads at once; the progress callback runs in the caller's.
 */
#ifndef HEAPSPY_ANALYZER_HISTORY_H
#define HEAPSPY_ANALYZER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/profile.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/read/snapshot_reader.h"
#include "analyzer/stats/trend.h"

/* Runs with more cuts than this are thinned to evenly spaced ones. */
#define HISTORY_CUTS_MAX 400

/* Group of the samples whose stack the last cut does not know. */
#define HISTORY_UNKNOWN_GROUP (UINT32_MAX - 1)

/* Only snapshots cut at from..to, ns since the start of the process, both included. */
struct history_window {
	uint64_t from_ns, to_ns; /* 0, UINT64_MAX: all */
};

/* A live sample of the last cut: a cell of its stack, before these are added up. */
struct history_cell {
	uint32_t stack, site; /* of the profile; scratch */
	struct age_cell cell;
};

struct history {
	const struct run_entry **cuts; /* entries of the run_dir, ascending by time */
	uint64_t *cut_ns;              /* their times */
	size_t n_cuts;                 /* at least 1 */

	/*
	 * Plan, interval and exact byte totals for trend_judge(). run.interval_bytes and
	 * run.seen_bytes are set by history_sum().
	 */
	struct trend_run run;
	/*
	 * No trend, but a diff of first and last cut: fewer than TREND_PLAN_INTERVALS_MIN
	 * intervals, or is_lopsided, a gap that takes a half of the time.
	 */
	bool is_short, is_lopsided;

	/* What is not among the cuts, and why. */
	size_t n_other_processes;  /* processes in the directory but the last */
	size_t n_of_others;        /* snapshots of those */
	size_t n_outside;          /* outside the window */
	size_t n_between;          /* of marks, peaks and limits: taken at chosen moments */
	size_t n_peaks;            /* of these, those of peaks */
	size_t n_dense;            /* too near to another cut, or beyond HISTORY_CUTS_MAX */
	size_t n_unreadable;       /* damaged, those of the run_dir included */
	struct fail first_failure; /* of these, if n_unreadable */
	size_t n_thinned;          /* cuts there were, if HISTORY_CUTS_MAX of them are kept; or 0 */
	bool exit_left_out; /* the one at exit, as there are enough others or memory was freed */
	double exit_freed;  /* share of the memory, if noticeable (run_end.h); or 0 */
	bool uses_labels;   /* there were too few others: labelled ones are cuts too */

	/* What the figures suffer from. */
	uint64_t lost_samples; /* that found no room, by the last cut; figures are lower bounds */
	uint64_t unknown_samples;    /* samples, over all cuts, of HISTORY_UNKNOWN_GROUP */
	uint32_t first_level, level; /* of the interval at cut 0; to which all cuts are lifted */

	/*
	 * By stack of the profile, n_stacks, and one more: stacks the last cut does not know. NULL
	 * for those that were not live at any cut.
	 */
	struct age_structure **stacks;
	size_t n_stacks;
	struct history_cell *cells; /* what is live at the last cut */
	size_t n_cells;
};

/* How far history_sum() is: n of n_all cuts; NULL or anything else in user. */
typedef void (*history_progress)(void *user, size_t n, size_t n_all);

/*
 * Chooses the cuts among the snapshots of the last process in the run: those at regular times, on
 * request, at exit and after it, in the window (NULL: all). run must outlive h. Returns -1 with f
 * filled when there is none. history_deinit() frees what is in *h, also after a failure.
 */
int history_choose(struct history *h, const struct run_dir *run,
	const struct history_window *window, struct fail *f);

/*
 * Reads the last cut wholly. One that cannot be read is counted in n_unreadable and the one
 * before becomes the last, until none is left: -1 with f filled. *snapshotp is the caller's.
 */
int history_open_last(struct history *h, struct snapshot **snapshotp, struct fail *f);

/*
 * Reads all cuts and sums them by stack; p holds the snapshot of history_open_last() as moment 0.
 * Cuts that turn out to be unreadable leave the plan (so is_short may become true), whatever is
 * left is summed anew. Where h is short, nothing is read. progress may be NULL. Returns -1 with f
 * filled when no sound reading comes about, because files change meanwhile.
 */
int history_sum(struct history *h, const struct profile *p, history_progress progress, void *user,
	struct fail *f);

/* Whether stack i of the profile was live at some cut. */
bool history_was_live(const struct history *h, size_t stack);

/* Live bytes of stack i of the profile, mean over the cuts: what sites_init() takes as weight,
 * above 0 for every stack that was live. */
double history_mean_bytes(const struct history *h, size_t stack);

/* The sites of a run, and what history_group() allocated for them. */
struct history_sites {
	struct age_structure *structures;
	uint32_t *groups; /* by site: index of its group, or HISTORY_UNKNOWN_GROUP */
	size_t n_sites;
	double *series; /* of all of them */
	struct age_cell *cells;
};

/*
 * Adds the stacks of each group: group_of[i] is the group of stack i of the profile, below
 * n_groups, or SITES_NO_GROUP. Groups that were never live make no site. May be called again
 * for another grouping. history_sites_deinit() frees; sites do not refer to h.
 */
void history_group(const struct history *h, const uint32_t *group_of, size_t n_groups,
	struct history_sites *sites);

void history_sites_deinit(struct history_sites *sites);

void history_deinit(struct history *h);

#endif
