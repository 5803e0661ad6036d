/*
 * confirm.h - a second batch of runs, made by a command of the user's.
 */
#ifndef HEAPSPY_CHECK_CONFIRM_H
#define HEAPSPY_CHECK_CONFIRM_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/fail.h"

struct confirm {
	char *dir; /* of the batch, in TMPDIR */
	char *base_path, *candidate_path;
};

/*
 * Runs command by /bin/sh -c, n_base times for the baseline and n_candidate times for the
 * candidate, turn about. Its environment has in addition
 *	HEAPSPY_CHECK_SIDE	baseline or candidate
 *	HEAPSPY_CHECK_RUN	1, 2, ... of this side
 *	HEAPSPY_DIR		where this run's snapshots go: an empty directory
 * and its standard output goes to ours for errors. Returns -1 with f filled (EXIT_CODE_OTHER) when
 * one of them fails or leaves no snapshot. confirm_deinit() is due either way.
 */
int confirm_run(struct confirm *c, const char *command, size_t n_base, size_t n_candidate,
	bool quiet, struct fail *f);

/* Deletes the batch with all that is in it. */
void confirm_remove(const struct confirm *c);

void confirm_deinit(struct confirm *c);

#endif
