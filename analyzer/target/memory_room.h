/*
 * memory_room.h - memory limits seen from outside: those of a process under heapspy, and our own,
 * because whoever writes a snapshot in the group of the process may be what fills it.
 */
#ifndef HEAPSPY_ANALYZER_MEMORY_ROOM_H
#define HEAPSPY_ANALYZER_MEMORY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/state/memory_limit.h"

/* Where the limits of one process are; zero at first. */
struct memory_room {
	struct memory_limit_groups groups;
	bool is_found;
};

/*
 * Looks at the limits of process pid, 0 for our own. is_exact: as memory_limit_look() has it; the
 * groups are searched anew then, in case the process has been moved.
 */
void memory_room_look(
	struct memory_room *room, uint32_t pid, bool is_exact, struct memory_limit_look *look);

/*
 * What our own memory group can spare for us, in bytes: what it leaves but for a thirty-second of
 * its limit, or 16 MiB. UINT64_MAX if nothing limits it.
 */
uint64_t memory_room_own_bytes(void);

#endif
