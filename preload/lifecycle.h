/*
 * lifecycle.h - the order of beginning, forking and ending: when this process
 * gets a state, and when it is done with it.
 */
#ifndef HEAPSPY_LIFECYCLE_H
#define HEAPSPY_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>
#include "state.h"

/*
 * The state, made if need be: at the first sampled allocation of a process, or
 * of a forked child that HEAPSPY_CHILDREN wants profiled. NULL when there is
 * none to be had, now or for good. Raw system calls at the first call only.
 * Signal-safe. The caller has set its thread's re-entry guard.
 */
struct state_header *lifecycle_state_or_make(void);

/* The same from outside the guard, where no allocation is at hand. Keeps errno. */
void lifecycle_make_state(void);

/* Nothing is ever profiled in this process (image); hooks forward. */
bool lifecycle_is_passing_through(void);

/*
 * A system call filter is about to be put in force; it may kill us for a call of
 * ours. Ends the helper thread, and makes no system call from then on. Returns
 * true when this was the first; then lifecycle_seccomp_failed() takes it back.
 */
bool lifecycle_seccomp_coming(void);
void lifecycle_seccomp_failed(void);

/*
 * The calling thread is about to give something up, or to leave a namespace, for itself alone:
 * the helper must neither keep it nor be a second thread then. It ends; who samples writes, until
 * the program makes its next thread.
 */
void lifecycle_helper_leaves(void);

/*
 * The first act, at the latest: called by the library's constructor. resolve looks up what the
 * hooks of other files forward to; what that allocates is not the program's.
 */
void lifecycle_load(void (*resolve)(void));

/*
 * The last act of the process: writes the exit snapshot and removes the state's name; or, while
 * another process holds the lease, leaves the state to it as it is now.
 */
void lifecycle_exit(void);

/* fork() has returned in the child. */
void lifecycle_forked(void);

/*
 * A library is being loaded that finds libc's functions before ours (RTLD_DEEPBIND): what it frees
 * looks live. path: NULL means the program.
 */
void lifecycle_bound_past_us(const char *path);

/*
 * The process is about to end inside daemon(): its exit snapshot, as in lifecycle_exit(). What is
 * returned, if anything, goes to lifecycle_after_daemon() in the child (is_child), or in this
 * process if the call failed. Keeps errno.
 */
struct state_header *lifecycle_before_daemon(void);
void lifecycle_after_daemon(struct state_header *state, bool is_child);

/*
 * The program is about to give up reading the time (strict seccomp, PR_SET_TSC): a sample would
 * be fatal, and perhaps any system call. Profiling ends here, with its last snapshot. What is
 * returned goes to lifecycle_clock_stays() if the program's call failed.
 */
struct state_header *lifecycle_clock_going(void);
void lifecycle_clock_stays(struct state_header *state);

#endif
