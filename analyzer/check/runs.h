/*
 * runs.h - the runs of one side of a comparison: found in a directory, read, and judged whether
 * they can be compared at all.
 */
#ifndef HEAPSPY_CHECK_RUNS_H
#define HEAPSPY_CHECK_RUNS_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/input.h"
#include "heapspy/snapshot.h"

struct check_run {
	char *path;               /* directory, or one snapshot file */
	struct heapspy_info last; /* INFO of its last snapshot: what the whole run allocated */
	struct input input;       /* the moment that stands for what its sites hold */
};

struct check_side {
	const char *name; /* "baseline", "candidate" */
	const char *path; /* as given */
	struct check_run *runs;
	size_t n_runs, capacity;
	size_t n_forked; /* runs of forked children, which are left out */
};

/* Where runs are looked for, and what of them is read. */
struct runs_choice {
	const char *program; /* only runs of this command, also inside others; NULL: all */
	const char *when; /* the moment of each run, as behind '@'; NULL: what a bare run means */
	const struct options *options;
};

/*
 * Finds and reads the runs at path: itself where it is one or a snapshot, else the directories
 * with snapshots below it, in order of their names. At least one, or -1 with f filled.
 * side_deinit() is due either way.
 */
int side_read(struct check_side *side, const char *name, const char *path,
	const struct runs_choice *choice, struct fail *f);

void side_deinit(struct check_side *side);

/*
 * Whether the runs of both sides can be compared: of one program, all at their end or none, each
 * only once, and hardly any samples lost. Returns -1 with f filled, where options do not force it.
 */
int sides_check(const struct check_side *base, const struct check_side *candidate,
	const struct options *o, struct fail *f);

/* Prints what a reader of the figures must know, each thing once with the number of runs. */
void sides_warn(
	const struct check_side *base, const struct check_side *candidate, const struct options *o);

/* Mean interval at the end of a run, bytes. */
uint64_t run_interval_bytes(const struct check_run *run);

#endif
