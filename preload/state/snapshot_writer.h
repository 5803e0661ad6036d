/*
 * snapshot_writer.h - the one reading of a state into the bytes of a snapshot,
 * for whoever does it: the process itself inside malloc, its helper thread,
 * or another process.
 */
#ifndef HEAPSPY_SNAPSHOT_WRITER_H
#define HEAPSPY_SNAPSHOT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "preload/state/memory_limit.h"
#include "preload/state/snapshot_output.h"
#include "state.h"

#define SNAPSHOT_LABEL_BYTES 200

/* What the state itself does not know. */
struct snapshot_facts {
	uint32_t number;
	uint32_t reason; /* enum heapspy_reason */
	uint32_t extra_flags;
	uint64_t now_ns; /* CLOCK_MONOTONIC: the cut */
	uint64_t wall_ns;
	uint64_t rss_bytes, rss_peak_bytes;
	uint32_t n_pruned; /* where the writer knows of more than the state */
	struct memory_limit limit;
	/* What the memory group of whoever writes can spare for the file; 0: any. */
	uint64_t spare_bytes;
	const char *label; /* or NULL */
	/*
	 * A word that becomes 0 in a forked child, where a file is written no further and stays
	 * untouched: a handler may fork, and the file is its parent's. NULL: nobody forks.
	 */
	const uint32_t *goes_on;
	/* Exact bytes allocated so far, or at least so many (false); called before and after the
	 * rest. */
	bool (*bytes_seen)(const struct state_header *state, void *context, uint64_t *bytes_seenp);
	void *bytes_seen_context;
};

/* No sound state makes a larger file: here ends what a damaged one is made to say. Bytes. */
uint64_t snapshot_bytes_max(const struct state_header *state);

/*
 * Writes a snapshot of state. Takes no lock and changes nothing in the state;
 * the process may go on meanwhile. Samples born after facts->now_ns are left
 * out. Checks every offset, so that a damaged state ends in false, not in a
 * crash. Allocates nothing; false when the sink refuses bytes.
 */
bool snapshot_write(const struct state_header *state, const struct snapshot_facts *facts,
	struct snapshot_sink *sink);

#endif
