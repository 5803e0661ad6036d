/*
 * thread_state.h - what the library keeps for each thread: one small struct in
 * initial-exec TLS, for which all zero is a valid state ("first allocation of
 * this thread"), and a work area in memory of our own.
 *
 * The countdown is the hot path of all allocation hooks: one subtraction.
 *
 *     bytes this thread has allocated and not yet added to the state = gap - left
 */
#ifndef HEAPSPY_THREAD_STATE_H
#define HEAPSPY_THREAD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "sample_math.h"
#include "state.h"

struct unwind_scratch;

#define THREAD_IDLE    STATE_COUNTDOWN_IDLE
#define THREAD_EXITING (1u << 1) /* the last destructor round is over */
#define THREAD_FORKED  (1u << 2) /* the gap is of this forked child, which has no state yet */

struct thread_state {
	/* As in struct state_countdown: read by whoever sums bytes_seen. */
	uint64_t left; /* bytes until the next sample; below 0: sample */
	uint64_t gap;  /* what left was set to */
	uint32_t slot; /* slot in STATE_CHUNK_THREADS + 1; 0 none */
	uint32_t flags;
	struct sample_rng rng;
	struct unwind_scratch *work; /* NULL until the first sample */
	uintptr_t guard_frame;       /* stack frame that set the guard */
	uint32_t generation;         /* process_generation this state was made under; 0 none */
	uint16_t events;             /* samples, for the looks at the thread's name */
	uint16_t refused;            /* slow paths in a row that met the guard set */
	uint16_t name_id;
	uint16_t name_seen; /* thread_state_names_changed when the name was looked at */
	uint8_t inside;     /* re-entry guard of the slow path */
	uint8_t gap_level;  /* level of R that gap was drawn at */
	uint16_t ends;      /* which of the next deaths are timed, lowest bit first, below a 1 */
};

_Static_assert(sizeof(struct thread_state) <= 64, "static TLS is scarce");
_Static_assert(
	offsetof(struct thread_state, left) == offsetof(struct state_countdown, left) &&
		offsetof(struct thread_state, gap) == offsetof(struct state_countdown, gap) &&
		offsetof(struct thread_state, slot) == offsetof(struct state_countdown, slot) &&
		offsetof(struct thread_state, flags) == offsetof(struct state_countdown, flags),
	"readers outside know the first words");

extern HS_TLS struct thread_state hs_thread __attribute__((visibility("hidden")));

/* A request of 0 bytes counts as 1, so that each allocation can be sampled. */
static inline uint64_t thread_state_weighed_size(size_t size)
{
	return size + (size == 0);
}

/*
 * Counts an allocation of size bytes; true when it is to be sampled (rule:
 * sample_math.h). The borrow is that of an unsigned subtraction, so a size of
 * 2^63 and more is a borrow too, not an addition.
 * Cost: three instructions for the size, a subtraction, a branch.
 */
static inline bool thread_state_countdown(size_t size)
{
	bool borrow;

	__asm__("subq %2, %0"
		: "+m"(hs_thread.left), "=@ccb"(borrow)
		: "r"(thread_state_weighed_size(size)));
	return HS_UNLIKELY(borrow);
}

/*
 * Takes a countdown back. Done before the real call of an allocation that is to
 * be sampled, because that call may throw, be cancelled, allocate or be
 * interrupted; recorder_allocated() counts it again. A handler that jumps out of the few
 * instructions in between leaves the countdown below 0, and the thread without samples until it
 * frees one (recorder_freed()).
 */
static inline void thread_state_put_back(size_t size)
{
	hs_thread.left += thread_state_weighed_size(size);
}

/*
 * The re-entry guard: between enter and leave nothing of this thread is sampled.
 * Returns what it was, for thread_state_leave(). The fences keep the compiler
 * from moving the guarded work out, where a signal handler could meet it.
 */
static inline __attribute__((always_inline)) uint8_t thread_state_enter(void)
{
	uint8_t before = hs_thread.inside;

	if (!before)
		hs_thread.guard_frame = (uintptr_t)__builtin_frame_address(0);
	hs_thread.inside = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return before;
}

static inline void thread_state_leave(uint8_t before)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	hs_thread.inside = before;
}

/*
 * Makes the calling thread's state belong to this process image: draws the
 * seed, claims a slot, after a fork drops what the parent's thread had.
 * Once a thread and process; call with hs_thread.inside set. Makes at most two
 * system calls.
 */
void thread_state_adopt(struct state_header *state, uint32_t generation, uint64_t now_ns);

/*
 * In a child of fork(): begins its countdown anew, which its siblings inherit as well. Without it
 * all of them would have their first sample after equally many bytes. interval_bytes: of a state
 * that is made now. Without effect on a thread that never sampled, or whose child has sampled.
 */
void thread_state_forked(uint64_t interval_bytes);

/*
 * Whether the gap that has just ended is one for this process: it is drawn, or was inherited by a
 * fork, which is as good, since gaps have no memory. Leaves in gap and left what is the process's
 * own. In place of thread_state_adopt() where an allocation has used the gap up.
 */
bool thread_state_adopt_at_end_of_gap(
	struct state_header *state, uint32_t generation, uint64_t now_ns);

/* Adds what the calling thread has consumed to state->bytes_seen and starts over with gap bytes. */
void thread_state_settle(struct state_header *state, uint64_t gap_bytes);

/*
 * The last word of the calling thread: what it has consumed is added, and nobody
 * looks for more. Without effect on a thread that never sampled. Inside the guard.
 */
void thread_state_finish(struct state_header *state);

/* The calling thread's work area, made at first use; NULL when memory is short. */
struct unwind_scratch *thread_state_work(void);

/* Hands it back, without effect if there is none. */
void thread_state_give_work_back(void);

/* The same if the thread is past its end, where nobody else will. */
static inline void thread_state_work_done(void)
{
	if (HS_UNLIKELY(hs_thread.flags & THREAD_EXITING))
		thread_state_give_work_back();
}

/*
 * Makes the key whose destructor settles a dying thread's bytes. Once, at load. on_leader_end is
 * called in the thread that the process began with, when that ends and the process does not.
 */
void thread_state_init(void (*on_leader_end)(void));

/*
 * The calling thread is the one that the process began with: in a child of fork() that may be any
 * thread of the parent. Has its end noticed, also if it never samples. Once a process; later calls
 * have no effect.
 */
void thread_state_is_leader(void);

/*
 * The id of the calling thread's name in STATE_CHUNK_NAMES; 0: it has none. One
 * system call.
 */
uint16_t thread_state_name_id(struct state_header *state);

/* Counts the renamings of threads by others. */
extern uint16_t thread_state_names_changed __attribute__((visibility("hidden")));

/* To be called when the calling thread, or another one, has got a name. Any context. */
void thread_state_renamed(bool is_caller);

/* Whether the calling thread's name is to be looked at. */
static inline bool thread_state_name_is_old(void)
{
	return hs_thread.name_seen != hs_load_relaxed(&thread_state_names_changed);
}

#endif
