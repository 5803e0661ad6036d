/*
 * live_state.h - a process under heapspy, read from outside as if it had written
 * a snapshot this moment. The process does nothing for it and is not paused: its
 * state is copied, then serialized by the code that writes snapshot files.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_STATE_H
#define HEAPSPY_ANALYZER_LIVE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/read/snapshot_reader.h"
#include "preload/state/memory_limit.h"
#include "state.h"

struct live_state;

/*
 * Finds the state of process pid (as seen from here). *outp is the caller's,
 * for live_state_close(). Returns -1 with f filled: no such process, not
 * under heapspy, or not readable for us.
 */
int live_state_open(uint32_t pid, struct live_state **outp, struct fail *f);

/*
 * The state in the file called name of the directory open as dir_fd; writable: for
 * live_state_hold_lease(). Returns 0, -EAGAIN when it is still being made, or why
 * not as -errno.
 */
int live_state_open_file(int dir_fd, const char *name, bool writable, struct live_state **outp);

/*
 * The same of a process that is known to be dead, and was not seen to die. Its snapshots are of
 * the last moment that it is known to have lived (last_sign.h, and the last of its snapshots that
 * are there): not before the one before.
 */
int live_state_open_dead(int dir_fd, const char *name, struct live_state **outp);

/* NULL is fine. */
void live_state_close(struct live_state *live);

/* Of the process, as seen from here: inside its namespace it may have another. */
uint32_t live_state_pid(const struct live_state *live);

/* The header as it was last read, by any of these functions. */
const struct state_header *live_state_header(const struct live_state *live);

/* Reads the header anew: one system call. False when it cannot be read any more. */
bool live_state_refresh(struct live_state *live);

/*
 * Whether the process has the state mapped, so that the image that made it is there; true where its
 * maps cannot be read.
 */
bool live_state_is_mapped(const struct live_state *live);

/*
 * Whether the process, or the program image that made this state, is no more.
 * Once true it stays so.
 */
bool live_state_has_ended(struct live_state *live);

/* RSS in bytes: now, or after its end as it was last seen by any of these functions. */
uint64_t live_state_rss_bytes(struct live_state *live);

/* The highest RSS so far in bytes; 0 if it was not looked at shortly before the end. */
uint64_t live_state_rss_peak_bytes(const struct live_state *live);

/* The limits of its memory now, all zero after its end; is_exact as in memory_room.h. */
void live_state_look_at_limit(
	struct live_state *live, bool is_exact, struct memory_limit_look *look);

/*
 * Tells the process what its memory group leaves it, by the look at now_ns (CLOCK_MONOTONIC), so
 * that its state grows no further than that. One system call; false when it cannot be told.
 */
bool live_state_set_room(
	struct live_state *live, const struct memory_limit *group, uint64_t now_ns);

/*
 * A reading of this moment; *snapshotp is the caller's, for snapshot_free().
 * Works on a stopped process too. After the process has ended (or has replaced
 * its image) it is the last state, as long as the file of the state is there;
 * *endedp tells. Returns -1 with f filled when nothing can be read any more.
 */
int live_state_read(
	struct live_state *live, struct snapshot **snapshotp, bool *endedp, struct fail *f);

/*
 * Where its snapshots go from now on, whatever its state says: into dir, or with
 * inside into a directory of their own in it.
 */
void live_state_set_place(struct live_state *live, const char *dir, bool inside);

/* What its snapshots may take on disk from now on, whatever its state says; 0: any amount. */
void live_state_set_keep(struct live_state *live, uint64_t keep_bytes);

/* Whether what it says of places is to be followed, and means here what it means there. */
bool live_state_has_place(const struct live_state *live);

/*
 * If we are root, in what is written from now on: it is not to be followed where others can lead
 * root elsewhere. A process that gave up its rights can write to its state, and to its directories,
 * all the same.
 */
void live_state_doubt_places(struct live_state *live);

/* Whether the state belongs to another user, so that what it says of places is not to be followed.
 */
bool live_state_is_foreign(const struct live_state *live);

/* Whether its process lives and is of the user that the state belongs to. */
bool live_state_is_owners(struct live_state *live);

struct live_state_written {
	char path[1100];
	uint32_t number; /* 0 with a path of the caller's */
	uint64_t bytes;
};

/*
 * Writes a reading of this moment into a snapshot file: the next one in the
 * process's own directory, or, when that is not ours to write, in
 * heapspy.<comm>.<pid> of the working directory; path: that file instead.
 * label may be NULL. Returns -1 with f filled.
 */
int live_state_write(struct live_state *live, enum heapspy_reason reason, const char *label,
	const char *path, struct live_state_written *out, struct fail *f);

/* Tells the process that we are here, and when the next snapshot is due (CLOCK_MONOTONIC). */
bool live_state_hold_lease(struct live_state *live, uint64_t now_ns, uint64_t due_ns);

#endif
