/*
 * snapshot_info.h - the INFO section of a snapshot, but for its strings.
 */
#ifndef HEAPSPY_PRELOAD_SNAPSHOT_INFO_H
#define HEAPSPY_PRELOAD_SNAPSHOT_INFO_H

#include "heapspy/snapshot.h"
#include "preload/state/snapshot_writer.h"
#include "state.h"

/*
 * Fills in what is of the beginning of a snapshot: before anything else is read of state, which may
 * be in use or a copy. info: zeroed. Async-signal-safe, as far as facts->bytes_seen() is; makes no
 * system call, allocates nothing.
 */
void snapshot_info_begin(const struct state_header *state, const struct snapshot_facts *facts,
	struct heapspy_info *info);

/* Fills in the rest, after all else was read: counters that hold whatever the other sections do. */
void snapshot_info_end(const struct state_header *state, const struct snapshot_facts *facts,
	struct heapspy_info *info);

#endif
