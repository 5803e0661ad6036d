/*
 * limit_watch.h - the process's own looks at its memory limit: for a snapshot when it comes near,
 * and so that nothing of ours is what fills its memory group. While heapspy run holds the lease it
 * looks instead.
 *
 * A look opens files, some twenty system calls, so it is made only where a snapshot might be
 * written (writer.h), before a state grows for the first time, and when a child's is made. One at a
 * time: by the holder of writer_lock, or by the maker of the state, who comes before. No descriptor
 * is kept.
 */
#ifndef HEAPSPY_LIMIT_WATCH_H
#define HEAPSPY_LIMIT_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "preload/state/memory_limit.h"
#include "state.h"

/*
 * Before a state is made: in a forked child whose parent has found a limit, a look for *room.
 * Returns false if the group has no room for even the beginning of a state. A new image knows of
 * nothing yet, and starts without a look, which would take longer than all else of it.
 */
bool limit_watch_begin(struct state_room *room);

/* For state_map_set_first_look(): not while there are threads, for it opens files. */
void limit_watch_first_look(struct state_header *state);

/*
 * A look; sets state->room, and state->watch_ns for the next one. Returns whether a snapshot is
 * due.
 */
bool limit_watch_look(struct state_header *state, uint64_t now_ns);

/* Somebody else looks: not before a second has passed. */
void limit_watch_put_off(struct state_header *state, uint64_t now_ns);

/* Whether it is time for a look. */
static inline bool limit_watch_is_due(const struct state_header *state, uint64_t now_ns)
{
	return now_ns >= hs_load_relaxed(&state->watch_ns);
}

/*
 * A look for a snapshot that is about to be written: the groups are searched anew, in case the
 * process has been moved. *limitp: the limit that leaves the least. *spare_bytesp: what the group
 * leaves, 0 if nothing limits it. Returns false if writing might fill it.
 */
bool limit_watch_has_room_to_write(
	struct state_header *state, struct memory_limit *limitp, uint64_t *spare_bytesp);

#endif
