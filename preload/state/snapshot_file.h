/*
 * snapshot_file.h - a state becomes the next snapshot file of its process's
 * directory. For whoever does it: the sampling thread, the helper thread, or
 * another process.
 */
#ifndef HEAPSPY_SNAPSHOT_FILE_H
#define HEAPSPY_SNAPSHOT_FILE_H

#include <stdint.h>
#include "preload/state/snapshot_dir.h"
#include "preload/state/snapshot_keep.h"
#include "preload/state/snapshot_writer.h"
#include "state.h"

#define SNAPSHOT_FILE_BUFFER_BYTES (64u << 10)

/* Memory for writing one; the caller's, nothing to be set up. */
struct snapshot_file {
	uint8_t buffer[SNAPSHOT_FILE_BUFFER_BYTES];
	char dir[SNAPSHOT_DIR_BYTES];
	char path[SNAPSHOT_DIR_BYTES + 32]; /* of the snapshot, once it is written */
	char temporary[SNAPSHOT_DIR_BYTES + 64];
	uint64_t bytes; /* of the snapshot, as far as it was written */
};

/*
 * Writes a snapshot into the directory that state names, under a number above all
 * that are there and not below state->next_number; facts->number is set to it. The file has a
 * temporary name until it is whole, and replaces no other. No fsync. Before it is
 * in its place others go if together they were more than state->keep_bytes; keep is what the caller
 * knows of them, and only one call at a time may have it.
 * Returns the number, or why not as -errno. Raw system calls; no allocation.
 */
long snapshot_file_write(struct snapshot_file *file, struct snapshot_keep *keep,
	const struct state_header *state, struct snapshot_facts *facts);

/* The same into a file of the caller's choice, which must not exist. Returns 0 or -errno. */
int snapshot_file_write_as(struct snapshot_file *file, const struct state_header *state,
	struct snapshot_facts *facts, const char *path);

/* facts->rss_bytes and rss_peak_bytes of process pid, 0 for the calling one; left if unknown. */
void snapshot_file_read_memory_use(
	struct snapshot_file *file, uint32_t pid, struct snapshot_facts *facts);

/* For facts->bytes_seen: a state that lies in this process, or is mapped by it. */
bool snapshot_file_bytes_seen(
	const struct state_header *state, void *context, uint64_t *bytes_seenp);

/*
 * Whether a process that ends now is worth a last snapshot: not one that was
 * brief and never sampled, unless it must be told that its malloc was not ours; not one that was
 * forked and brief, unless it has written a snapshot before.
 */
bool snapshot_file_is_due_at_exit(const struct state_header *state, uint64_t now_ns);

/* A snapshot at the peak comes not more often than so many times an interval. */
#define SNAPSHOT_FILE_PEAKS 6

/*
 * Whether now would be the moment for one: a fiftieth more is live than in the fullest snapshot so
 * far (pictured_bytes), and not much less than it ever was. A program that grows for ever gets one
 * for each 2 %, 350 for a thousandfold.
 */
bool snapshot_file_is_peak_due(const struct state_header *state, uint64_t pictured_bytes);

#endif
