/*
 * moment.h - what a person calls a moment, and the snapshot file it means.
 *
 *	FILE		a snapshot file
 *	RUN		a run directory: its last snapshot, or the one before the exit
 *			if the program had freed a noticeable part of its memory then
 *			(run_end.h)
 *	RUN@WHEN	@first @last @peak, @3 (number), @10m (since start), @-5m
 *			(before the end), @14:03 or @14:03:20 (wall clock), @mark:NAME
 *
 * For times the nearest snapshot is taken.
 *
 * @first, @last and a bare RUN pass over snapshots that were taken because the program was at its
 * peak (HEAPSPY_REASON_PEAK), as long as there are others: such a one was chosen for being high,
 * noise included, and a difference from or to it would be too. Every other WHEN takes any.
 *
 * @peak is the fullest snapshot, or one taken at the peak that is as full but for 2 %.
 */
#ifndef HEAPSPY_ANALYZER_MOMENT_H
#define HEAPSPY_ANALYZER_MOMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/fail.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/run_end.h"

/* moment_split(): where the path of text ends, and WHEN begins behind its '@' (NULL: none). */
struct moment_parts {
	char *path; /* free() it */
	const char *when;
};

/* A text that names an existing file is that file, whatever '@' it holds. */
struct moment_parts moment_split(const char *text);

/* "RUN@WHEN"; RUN where when is NULL. free() it. */
char *moment_join(const char *run, const char *when);

/*
 * The entry of run that WHEN means; run has at least one. note (note_bytes) tells
 * in half a sentence what was chosen where it is not what the words say, else "".
 */
int moment_choose(const struct run_dir *run, const char *run_name, const char *when,
	const struct run_entry **entryp, char *note, size_t note_bytes, struct fail *f);

/* A moment resolved to a file. */
struct moment {
	char *path;               /* of the snapshot */
	char note[160];           /* see moment_choose() */
	bool is_at_peak;          /* @peak, and the snapshot is near it */
	struct run_fall fall;     /* of a bare run: before the snapshot (run_end.h) */
	size_t n_in_run;          /* readable snapshots of the run; 0: the text named a file */
	size_t n_passed;          /* unreadable ones, which were passed over */
	struct fail first_passed; /* the first of them, and why */
	size_t n_newer_inside;    /* see struct run_dir */
	char *newest_inside;      /* NULL: none */
	size_t n_inside;          /* these three too */
	char *largest_inside;
	uint64_t largest_peak_bytes;
};

/*
 * Resolves text; bare_when is what a bare run directory means ("last", see above, or
 * "first"). moment_deinit() frees *m.
 */
int moment_resolve(const char *text, const char *bare_when, struct moment *m, struct fail *f);

void moment_deinit(struct moment *m);

/* Whether text names a directory, without any @WHEN. */
bool moment_is_run(const char *text);

#endif
