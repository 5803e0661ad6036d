/*
 * dead_states.h - the files of a state directory, judged: whose process is dead, and
 * is there anything in it that nobody has told yet.
 *
 * A process is its pid, its start time and the boot, in its pid namespace. But pids are only
 * asked where a surer sign fails: a state stays mapped as long as its program image lives, and
 * the kernel grants a read lease (fcntl(2)) on a file only when nobody has it open, or mapped,
 * for writing. So an image that exec has replaced, a process of another container and one whose
 * number has been given to somebody else are told apart from here, whatever /proc shows.
 */
#ifndef HEAPSPY_ANALYZER_DEAD_STATES_H
#define HEAPSPY_ANALYZER_DEAD_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "state.h"

enum dead_state_kind {
	DEAD_STATE_NONE,       /* no state of ours, or gone meanwhile: not to be mentioned */
	DEAD_STATE_ALIVE,      /* its process lives, or is about to begin */
	DEAD_STATE_CLAIMED,    /* dead, and heapspy run will come for it */
	DEAD_STATE_UNCLEAR,    /* cannot be told from here; reason says why */
	DEAD_STATE_TELLS,      /* dead, and a snapshot can be made of it */
	DEAD_STATE_EMPTY,      /* dead before anything was seen */
	DEAD_STATE_TOLD,       /* dead, its last snapshot written */
	DEAD_STATE_UNFINISHED, /* its maker died in the middle */
	DEAD_STATE_DAMAGED,    /* dead, and nothing can be read; reason says why */
};

struct dead_state {
	enum dead_state_kind kind;
	char reason[160];
	char name[256]; /* of the file */
	bool has_name;  /* it is called as a state is; no other file is ever removed */
	dev_t device;
	ino_t inode;
	uid_t uid;
	uint64_t bytes;              /* that the file takes */
	uint32_t pid;                /* as the process knew itself; 0 unknown */
	char comm[STATE_NAME_BYTES]; /* "" unknown */
};

/*
 * Judges the file called name of directory dir_fd. is_named: it was asked for, so that what it is
 * instead is said, too; its name may be any then.
 */
void dead_states_judge(int dir_fd, const char *name, bool is_named, struct dead_state *out);

/*
 * Judges all states in the directory dir_fd, by age: earliest start first. *statesp is the
 * caller's, for free(). Returns how many, or -1 with errno.
 */
ssize_t dead_states_list(int dir_fd, struct dead_state **statesp);

/*
 * Keeps others who call this from the file, until the descriptor that it returns is closed. -EBUSY:
 * another one has it; -ENOENT: it is gone; or another -errno.
 */
int dead_states_claim(int dir_fd, const struct dead_state *state);

/* Removes the file, if it still is the one that was judged, and has_name. False with errno: not. */
bool dead_states_remove(int dir_fd, const struct dead_state *state);

/* Whether the file is left over, and nobody else's business. */
static inline bool dead_state_is_left(const struct dead_state *state)
{
	return state->kind >= DEAD_STATE_TELLS;
}

#endif
