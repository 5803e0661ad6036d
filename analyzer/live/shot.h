/*
 * shot.h - a snapshot that several figures share, freed with the last of them.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_SHOT_H
#define HEAPSPY_ANALYZER_LIVE_SHOT_H

#include "analyzer/read/snapshot_reader.h"

struct shot {
	struct snapshot *snapshot;
	int n_users; /* atomic: figures are freed by another thread than they are made by */
};

/* Takes the snapshot over; the caller is the first user. */
struct shot *shot_new(struct snapshot *snapshot);

/* One more user. NULL is fine, and stays NULL. */
struct shot *shot_use(struct shot *shot);

/* NULL is fine. */
void shot_release(struct shot *shot);

#endif
