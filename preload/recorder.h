/*
 * recorder.h - the slow path: what happens at a sampled allocation, and at the
 * free of a block whose filter bit is set. Joins countdown, unwinder and
 * tables. All functions keep errno, take no lock, and may be called from a
 * signal handler that interrupted any of them.
 */
#ifndef HEAPSPY_RECORDER_H
#define HEAPSPY_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include "state.h"

/*
 * An allocation of size bytes whose countdown ran out, and was put back, has
 * returned block; NULL: it failed, and counts for nothing.
 * Must be called before the application sees block, from a function that the
 * hook was turned into by a jump, so that the caller's frames are intact.
 */
void recorder_allocated(void *block, size_t size);

/* A sample taken out of the tables while its block's fate is open (realloc). */
struct recorder_ticket {
	bool held, is_timed;
	uint64_t spent_ns; /* if it is timed: by recorder_detach() */
	struct state_live_value value;
};

/* block is about to be freed: its sample, if it has one, dies. NULL is fine. */
void recorder_freed(void *block);

/* block is about to be reallocated: takes its sample out, whatever happens next. */
void recorder_detach(void *block, struct recorder_ticket *ticket);

/* The realloc failed and block lives on: its sample goes back as it was. */
void recorder_reattach(void *block, const struct recorder_ticket *ticket);

/* The realloc freed the old block: the detached sample dies. */
void recorder_settle(const struct recorder_ticket *ticket);

#endif
