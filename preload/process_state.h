/*
 * process_state.h - a state for this process: what its header says of the process,
 * which tables it starts with.
 */
#ifndef HEAPSPY_PROCESS_STATE_H
#define HEAPSPY_PROCESS_STATE_H

#include <stdint.h>
#include "preload/state/settings.h"
#include "state.h"

/* What is known of the process before it has a state; filled once, inherited by fork. */
struct process_facts {
	char comm[STATE_NAME_BYTES];
	char host[64];
	char exe[STATE_PATH_BYTES];
	char front_malloc[STATE_PATH_BYTES];
	char next_malloc[STATE_PATH_BYTES];
	uint32_t flags; /* HEAPSPY_INFO_NOT_INTERPOSED */
	uint8_t boot_id[16];
};

/* comm, host, exe, boot id of the calling process. Raw system calls. */
void process_state_read_facts(struct process_facts *facts);

/*
 * A laid-out state in HEAPSPY_STATE's directory, else in private memory; NULL
 * when neither can be had (said under HEAPSPY_VERBOSE), or when a handler has forked in here and
 * this is the child: then the state that was begun is the parent's. The caller holds making_state.
 * flags: HEAPSPY_INFO_* to start with.
 */
struct state_header *process_state_create(
	const struct settings *settings, const struct process_facts *facts, uint32_t flags);

/*
 * Removes the name of a state's file; the mapping stays. The file is named by
 * the state's pid, start_ticks and start_ns, and by the user of its beginning.
 */
void process_state_unlink(
	const struct settings *settings, uint32_t pid, uint64_t start_ticks, uint64_t start_ns);

/*
 * For a program that locks all of its memory: the address space that the state has reserved counts
 * there, so its cap goes down to a sixteenth of RLIMIT_MEMLOCK. is_locked: the program has its will
 * already, and the cap stays where the limit does not hold for it. False: it was lower, or is in
 * use, or stays.
 */
bool process_state_spare_locked(struct state_header *state, bool is_locked);

/*
 * Field 22 of /proc/PID/stat (start time in clock ticks); 0 unknown. *ppidp: parent. pid 0: the
 * calling process, whatever number the /proc that it sees has for it.
 */
uint64_t process_state_start_ticks(uint32_t pid, uint32_t *ppidp);

/* Whether the numbers in this /proc are those of the pid namespace in which the caller is pid. */
bool process_state_proc_knows_us(uint32_t pid);

/*
 * Whether the caller is a vfork child, to all appearance: its parent sleeps and cannot be
 * woken, and has just as much memory.
 */
bool process_state_is_vfork_child(void);

/* Whether some ancestor of this process has a state of heapspy (HEAPSPY_CHILDREN=none). */
bool process_state_is_descendant(const struct settings *settings);

#endif
