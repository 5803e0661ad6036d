/*
 * state_copy.h - a consistent copy of a state that its process goes on changing.
 *
 * Readers of a state (preload/state/snapshot_writer.c) expect what any thread of
 * the process would see: a live sample whole, and everything that it names. A
 * plain copy of the bytes has neither, so it is made in the order of that
 * reader, live samples first and twice over.
 */
#ifndef HEAPSPY_ANALYZER_STATE_COPY_H
#define HEAPSPY_ANALYZER_STATE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/target/state_source.h"

struct state_copy {
	struct state_header *state; /* the copy; NULL before the first */
	uint64_t capacity;
	uint64_t begin_ns;           /* CLOCK_MONOTONIC before the first byte was read */
	uint64_t bytes_seen[2];      /* exact bytes before and after, with what threads hold */
	bool bytes_seen_is_lower[2]; /* some thread's share could not be read */
	unsigned n_told;             /* calls of state_copy_bytes_seen() */
};

/*
 * Copies the state of source; *copy is zero at first and used again and again,
 * state_copy_deinit() frees it. Costs two reads of the live table and one of the
 * rest. Every table of the copy lies inside it. Returns false when the state
 * cannot be read, or is none.
 */
bool state_copy_take(struct state_copy *copy, const struct state_source *source);

void state_copy_deinit(struct state_copy *copy);

/* For snapshot_facts.bytes_seen; context: the copy. */
bool state_copy_bytes_seen(const struct state_header *state, void *context, uint64_t *bytes_seenp);

#endif
