/* shot.c - owns the count of a snapshot's users. What is in it is snapshot_reader.c's. */
#include "analyzer/live/shot.h"

#include <stdlib.h>

#include "analyzer/alloc.h"

struct shot *shot_new(struct snapshot *snapshot)
{
	struct shot *shot = alloc_array(1, sizeof(*shot));

	shot->snapshot = snapshot;
	shot->n_users = 1;
	return shot;
}

struct shot *shot_use(struct shot *shot)
{
	if (shot)
		__atomic_fetch_add(&shot->n_users, 1, __ATOMIC_RELAXED);
	return shot;
}

void shot_release(struct shot *shot)
{
	/* The last user must see all that the others did before they left. */
	if (!shot || __atomic_sub_fetch(&shot->n_users, 1, __ATOMIC_ACQ_REL))
		return;
	snapshot_free(shot->snapshot);
	free(shot);
}
