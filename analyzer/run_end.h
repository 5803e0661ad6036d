/*
 * run_end.h - whether a program freed memory on its way out: what it held until then is the answer
 * to a question that names no moment.
 *
 * Pure functions of the live bytes that snapshots tell of themselves; 0 before a fall is unknown.
 */
#ifndef HEAPSPY_ANALYZER_RUN_END_H
#define HEAPSPY_ANALYZER_RUN_END_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/read/run_dir.h"
#include "analyzer/strbuf.h"

/*
 * The share of the live bytes of `before` that the snapshot at exit no longer has, 0..1. 0 unless
 * that is noticeable: a half, or more than 5 % and than two standard errors of what is live,
 * 2 sqrt(live x interval), which is the error of blocks smaller than the interval.
 */
double run_end_freed(const struct heapspy_info *before, const struct heapspy_info *at_exit);

/* A fall of the live bytes that goes on to the last of some snapshots. */
struct run_fall {
	uint64_t number; /* of the fullest snapshot, in the last quarter of the time */
	double share;    /* of its live bytes that the last does not have, 0..1; 0: no fall */
};

/*
 * The fall at the end of entries (n, by time): noticeable as above, and to below everything that
 * was live in the second half of the time before it. A cache that is emptied now and then does not
 * get there.
 */
struct run_fall run_end_find_fall(const struct run_entry *const *entries, size_t n);

/* Adds "live fell by 9 % at the end (shutting down?): heapspy COMMAND RUN --until 93". */
void run_end_add_hint(
	struct strbuf *out, const struct run_fall *fall, const char *command, const char *run_name);

#endif
