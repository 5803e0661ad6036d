/*
 * process.h - what the library knows of the process it is in: its state, its
 * settings, how far it has come. Lower layers ask here; lifecycle.c decides.
 *
 * The one way to the state is the pointer in a page that the kernel wipes in
 * every forked child (MADV_WIPEONFORK), whatever made the child: fork, _Fork,
 * a raw clone. A vfork child shares the page, the state and the heap, and that
 * is right: its allocations are its parent's.
 */
#ifndef HEAPSPY_PROCESS_H
#define HEAPSPY_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "preload/state/settings.h"
#include "state.h"

#define PROCESS_PAGE_BYTES 4096

/* Zero in a forked child: fills whole pages of its own. Any thread, atomically. */
struct __attribute__((aligned(PROCESS_PAGE_BYTES))) process_page {
	struct state_header *state; /* released by the maker of the state */
	uintptr_t leader;           /* the thread the process began with, by its hs_thread */
	uint32_t making_state;      /* try-lock */
	uint32_t pass_through;      /* for good: no state can or shall be had */
	uint32_t threaded;          /* a thread was or is being made */
	uint32_t helper_started;
	uint32_t helper_tid;  /* while it runs */
	uint32_t helper_wake; /* futex: something other than the time has changed */
	uint32_t main_ended;  /* the sampling thread writes again, threads or not */
	uint32_t helper_left; /* the same, until the program makes its next thread */
	uint32_t overdue_said;
	uint32_t exit_progress; /* enum exit_progress */
	uint32_t writing; /* how often writer_lock is held: handlers leave while others write */
};

enum exit_progress { EXIT_NOT_BEGUN, EXIT_BEGUN, EXIT_DONE };

extern struct process_page process_page __attribute__((visibility("hidden")));

/* Read once at the start, then constant; forked children inherit them. */
extern struct settings process_settings __attribute__((visibility("hidden")));

/* System calls may be fatal: make none. A filter is inherited by forks, so this is not wiped. */
extern uint32_t process_seccomp __attribute__((visibility("hidden")));

/* Counts the states this image has made; in thread_state.generation. */
extern uint32_t process_generation __attribute__((visibility("hidden")));

/* The state, or NULL: none yet, a child without one, or passing through. */
static inline struct state_header *process_state(void)
{
	return hs_load_acquire(&process_page.state);
}

/*
 * For who makes the state: whether this is the process that it began in. A handler may have forked,
 * and we are the child.
 */
static inline bool process_is_making_state(void)
{
	return hs_load_relaxed(&process_page.making_state);
}

/*
 * Memory of this process that is the profiler's and not in the state: what it may write of its own
 * image, and what it has mapped. All of it counts, whether it has been touched or not; what is
 * mapped for the time of one snapshot does not. In bytes, for state->work_bytes.
 */
uint64_t process_memory_bytes(void);

/* More has been mapped, for good. Keeps work_bytes of the state in step. */
void process_memory_add(uint64_t bytes);

/* Asks the kernel to wipe process_page and the filter in forked children; false: it cannot. */
bool process_wipe_on_fork(void);

#endif
