/*
 * symbols_progress.h - a line on the terminal that says whose names are being
 * looked up, while that takes long.
 */
#ifndef HEAPSPY_ANALYZER_SYMBOLS_PROGRESS_H
#define HEAPSPY_ANALYZER_SYMBOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The line comes after so long, and changes no more often. */
#define SYMBOLS_PROGRESS_DELAY_NS 500000000
#define SYMBOLS_PROGRESS_STEP_NS  100000000

struct symbols_progress {
	int fd; /* -1: no line, the file is no terminal or the caller wants none */
	uint64_t next_ns;
	bool shown;
};

/* Whether lines are shown at all from now on; they are at first. For -q and full-screen output. */
void symbols_progress_allow(bool allowed);

/* fd: mostly standard error. The delay runs from here. */
void symbols_progress_begin(struct symbols_progress *progress, int fd);

/* A symbols_progress_fn (symbols.h); data is the struct symbols_progress. */
void symbols_progress_show(void *data, const char *module, size_t n_done, size_t n_wanted);

/* The same without modules: "heapspy: WHAT: N of M". */
void symbols_progress_show_count(void *data, const char *what, size_t n_done, size_t n_wanted);

/* Removes the line, if there is one. */
void symbols_progress_end(struct symbols_progress *progress);

#endif
