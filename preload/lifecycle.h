/*
 * lifecycle.h - the order of beginning, forking and ending. Everything else
 * asks here whether this process has a state.
 *
 * The one way to the state is the pointer in a page that the kernel wipes in
 * every forked child (MADV_WIPEONFORK), whatever made the child: fork, _Fork,
 * a raw clone. A vfork child shares the page, the state and the heap, and that
 * is right: its allocations are its parent's.
 */
#ifndef HEAPSPY_LIFECYCLE_H
#define HEAPSPY_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "preload/options.h"
#include "state.h"

#define PROCESS_PAGE_BYTES 4096

/* Zero in a forked child: fills whole pages of its own. Any thread, atomically. */
struct __attribute__((aligned(PROCESS_PAGE_BYTES))) process_page {
	struct state_header *state; /* released by the maker of the state */
	uint32_t making_state;      /* try-lock */
	uint32_t pass_through;      /* for good: no state can or shall be had */
	uint32_t threaded;          /* a thread was or is being made */
	uint32_t helper_started;
	uint32_t exit_written; /* the exit snapshot is done, or another thread is at it */
};

extern struct process_page process_page __attribute__((visibility("hidden")));

/* Read once at the start, then constant; forked children inherit them. */
extern struct options process_options __attribute__((visibility("hidden")));

/* System calls may be fatal: make none. A filter is inherited by forks, so this is not wiped. */
extern uint32_t process_seccomp __attribute__((visibility("hidden")));

/* Counts the states this image has made; in thread_state.generation. */
extern uint32_t process_generation __attribute__((visibility("hidden")));

/* The state, or NULL: none yet, a child without one, or passing through. */
static inline struct state_header *lifecycle_state(void)
{
	return hs_load_acquire(&process_page.state);
}

/*
 * The state, made if need be: at the first sampled allocation of a process, or
 * of a forked child that HEAPSPY_CHILDREN wants profiled. NULL when there is
 * none to be had, now or for good. Raw system calls at the first call only.
 * Signal-safe. The caller has set its thread's re-entry guard.
 */
struct state_header *lifecycle_state_or_make(void);

/* R in force. */
static inline uint64_t lifecycle_interval_bytes(const struct state_header *state)
{
	return state->interval_bytes << hs_load_relaxed(&state->level);
}

/* Nothing is ever profiled in this process (image); hooks forward. */
bool lifecycle_is_passing_through(void);

/* A system call filter is, or is about to be, in force: it may kill us for a call of ours. */
void lifecycle_set_seccomp(bool filtered);

/* The first act, at the latest: called by the library's constructor. */
void lifecycle_load(void);

/* The last act of the process: writes the exit snapshot, removes the state's name. */
void lifecycle_exit(void);

#endif
