/*
 * snapshot_keep.h - how much of its past a process keeps on disk: which snapshot
 * goes when there are more bytes than HEAPSPY_KEEP. Dense now, sparse long ago.
 *
 * Level of a snapshot: how often 2 divides its number. Every second number is of
 * level 0, every fourth of level 1, and so on. Next goes the oldest of the level
 * whose oldest is the oldest for it: the largest of (last - number) / 2^level. So a
 * snapshot of level k lives 2^k times as long as one of level 0; among those that
 * are so many snapshots old the distance is about as many, times a constant that
 * the budget decides. n files a doubling of the age reach back over any time.
 *
 * Nothing but the first file left of each level need be known for that, and
 * it moves on by 2^(level + 1): no list, and a few steps a snapshot. A directory is
 * listed once, by who writes into it first.
 *
 * Not removed: the first snapshot, the fullest (the most live bytes) and the last;
 * those of a label, a limit and an end as long as all of them take no more than half
 * of the budget; any file that is not a snapshot of this process image, or not ours.
 */
#ifndef HEAPSPY_SNAPSHOT_KEEP_H
#define HEAPSPY_SNAPSHOT_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file is called by its number, in six digits or more; heapspy_snapshot() returns it as an int.
 */
#define SNAPSHOT_KEEP_NUMBER_MAX ((uint32_t)INT32_MAX)
#define SNAPSHOT_KEEP_NAME_BYTES 16
#define SNAPSHOT_KEEP_LEVELS     31 /* of numbers up to that */

/* What a writer knows of the files of one process image; zero: nothing yet. Its own memory. */
struct snapshot_keep {
	uint64_t start_id;     /* whose they are, */
	uint64_t place;        /* and a checksum of the directory's name, */
	uint64_t changed_ns;   /* which was changed last at this time: st_mtim */
	uint64_t total_bytes;  /* of the files */
	uint64_t marked_bytes; /* of those of a label, a limit or an end */
	uint64_t fullest_live_bytes;
	uint64_t last_bytes;     /* of the file number last, if it is ours */
	uint32_t first, fullest; /* numbers; 0: none */
	uint32_t last;           /* the highest number there is, whosever */
	uint32_t demoted;        /* was the fullest when its turn came, and is no more; 0: none */
	uint32_t n_names;        /* files with a number for a name, whosever */
	uint32_t n_pruned;       /* removed so far, by any writer */
	bool said;               /* that the budget is too small */
	/* By level: whatever is below has been removed, or stays. */
	uint32_t oldest[SNAPSHOT_KEEP_LEVELS];
};

/* The name of a snapshot file. */
void snapshot_keep_name(uint32_t number, char out[SNAPSHOT_KEEP_NAME_BYTES]);

/* Which one goes next, were nothing protected; 0: there is none. Pure. */
uint32_t snapshot_keep_next(const struct snapshot_keep *keep);

/* That one has been removed, is not there, or stays. */
void snapshot_keep_pass(struct snapshot_keep *keep, uint32_t number);

/*
 * Where the files are, and what they may take: 0 any amount. work: memory for the looks,
 * SNAPSHOT_KEEP_WORK_BYTES, 8-byte aligned.
 */
struct snapshot_keep_place {
	const char *dir;
	uint64_t start_id;
	uint64_t budget_bytes;
	void *work;
};

#define SNAPSHOT_KEEP_WORK_BYTES (36u << 10)

/*
 * To be called before a snapshot is written. Lists the directory if what is known is of another
 * one, or if others have put files there or removed some. Raw system calls; no allocation, no
 * descriptor is left open. So for all of these.
 */
void snapshot_keep_begin(struct snapshot_keep *keep, const struct snapshot_keep_place *place);

/*
 * Removes files until so many bytes more fit into the budget, as far as that can be. Returns
 * whether any was removed.
 */
bool snapshot_keep_make_room(
	struct snapshot_keep *keep, const struct snapshot_keep_place *place, uint64_t bytes);

/* There is a file of this number, by whomever; numbers come in ascending order. */
void snapshot_keep_add(
	struct snapshot_keep *keep, const struct snapshot_keep_place *place, uint32_t number);

#endif
