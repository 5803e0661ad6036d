/*
 * writer.h - when and by whom snapshots are written from inside the process.
 * Two writers: the sampling thread itself, while the program has made no thread;
 * afterwards a helper thread, started once a pthread_create of the program has
 * returned; it also looks, some times an interval, whether the program is at its peak, and writes
 * a snapshot then. Either looks whether the program is near its memory limit (limit_watch.h).
 * Whoever writes holds state->writer_lock. While another process holds the lease (heapspy run)
 * neither does anything; if it goes silent, the sampling thread writes until a helper can be
 * started.
 */
#ifndef HEAPSPY_WRITER_H
#define HEAPSPY_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/limit_watch.h"
#include "state.h"

/* writer_sampled() has found that a snapshot or a look at the memory limit is due. */
void writer_due(struct state_header *state, uint64_t now_ns, uint32_t stack_flags);

static inline bool writer_is_due(const struct state_header *state, uint64_t now_ns)
{
	uint64_t due_ns = hs_load_relaxed(&state->due_ns);

	return due_ns && now_ns >= due_ns;
}

/*
 * A sample has just been recorded: writes a snapshot if one is due, or looks whether
 * memory is short, if this thread is the one to write. stack_flags: of that sample; a stack that
 * could not be walked to its end, or with a signal frame in it, is no place to write. Called inside
 * the re-entry guard.
 */
static inline void writer_sampled(struct state_header *state, uint64_t now_ns, uint32_t stack_flags)
{
	if (HS_UNLIKELY(writer_is_due(state, now_ns) || limit_watch_is_due(state, now_ns)))
		writer_due(state, now_ns, stack_flags);
}

/*
 * The program is about to make a thread: the sampling thread stops writing.
 * Returns whether it is the first; writer_thread_made() wants to know.
 */
bool writer_thread_coming(void);

/* It has made one, or could not (made false). Starts the helper. Keeps errno. */
void writer_thread_made(bool made, bool first);

/*
 * Ends the helper thread and waits for its end, a fifth of a second at most:
 * a filter that is about to come would kill it, and the program with it.
 * Returns whether there is none any more.
 */
bool writer_end_helper(void);

/*
 * The same, but the program may go on making threads: the thread that samples writes, until the
 * next one that is made brings a helper again.
 */
void writer_helper_leaves(void);

/*
 * Gives other threads a millisecond to be through with what they are at, and who is at a snapshot
 * two seconds at most: what is about to come may be for all of them.
 */
void writer_wait_for_others(const struct state_header *state);

/* The filter did not come: the helper is started again if there was one. */
void writer_restart_helper(void);

/* The main thread is about to end alone: no helper from now on. */
void writer_main_ends(void);

/*
 * The program may make no more threads, and the helper is one of those it has: there is none from
 * now on, and the threads that sample write. False: there was none.
 */
bool writer_make_way(void);

/* Waits, two seconds at most, for the thread that is at the exit snapshot. */
void writer_wait_for_exit(void);

/* The helper at once: with HEAPSPY_WRITER=thread, or if there are threads already. At load. */
void writer_after_load(void);

/*
 * Writes a snapshot named label (or NULL) now. Waits up to two seconds for one
 * that is being written. Returns its number, 0 on failure. Not signal-safe.
 */
int writer_snapshot(const char *label);

/* Whether somebody outside holds the lease now, and will write the snapshot of the end. */
bool writer_exit_is_leased(const struct state_header *state);

/*
 * The snapshot of the end. Nothing is written for a process that never sampled and was brief.
 * Returns false if there was no memory or no space for it now: there may be later.
 */
bool writer_exit(struct state_header *state);

#endif
