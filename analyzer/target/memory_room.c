/*
 * memory_room.c - owns the looks at memory limits from outside of a process. How one is read is
 * preload/state/memory_limit.c's business.
 */
#include "analyzer/target/memory_room.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"

/* For what others in the group, and the state itself, take while we are at a snapshot. */
#define RESERVE_PART      32
#define RESERVE_BYTES_MAX (16ull << 20)

void memory_room_look(
	struct memory_room *room, uint32_t pid, bool is_exact, struct memory_limit_look *look)
{
	/* Not kept: run looks after many processes. */
	struct memory_limit_work *work = alloc_array(1, sizeof(*work));

	if (is_exact || !room->is_found)
		memory_limit_find(work, "", pid, &room->groups);
	room->is_found = true;
	memory_limit_look(work, &room->groups, "", pid, is_exact, look);
	free(work);
}

uint64_t memory_room_own_bytes(void)
{
	uint64_t left_bytes, reserve_bytes;
	struct memory_limit_look look;
	struct memory_room room;

	memset(&room, 0, sizeof(room));
	memory_room_look(&room, 0, true, &look);
	if (!look.group.kind)
		return UINT64_MAX;
	left_bytes = memory_limit_left_bytes(&look.group);
	reserve_bytes = look.group.limit_bytes / RESERVE_PART;
	if (reserve_bytes > RESERVE_BYTES_MAX)
		reserve_bytes = RESERVE_BYTES_MAX;
	return left_bytes > reserve_bytes ? left_bytes - reserve_bytes : 0;
}
