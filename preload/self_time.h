/*
 * self_time.h - what heapspy itself costs the process, in CPU time.
 *
 * Births and deaths of samples are many and short: one in sixteen is timed, each decided for
 * itself by random bits, and stands for sixteen. Walks over the live table and snapshots are few
 * and long: each is timed. Not counted: the countdown in malloc and the filter in free, which are
 * never timed, and what happens once a process or thread (its tables, its first names).
 *
 * The clock is that of the wall, because reading it takes no system call, and a thread that was
 * not running in between must not be charged for it: times are clipped. All functions are
 * lock-free and signal-safe.
 */
#ifndef HEAPSPY_SELF_TIME_H
#define HEAPSPY_SELF_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include "state.h"

/* Whether an event with these 64 random bits is to be timed; looks at the upper four only. */
static inline bool self_time_is_timed(uint64_t random)
{
	return random >> 60 == 0;
}

/*
 * Fifteen such decisions at once, a bit each, and a 1 above them: when they are used up by shifting
 * down, 1 is left.
 */
static inline uint16_t self_time_decide(uint64_t random)
{
	return (uint16_t)((random & random >> 16 & random >> 32 & random >> 48) | 0x8000);
}

/*
 * A timed birth or death took so many ns of wall time. Longer than SELF_TIME_LONG_NS and than
 * sixteen times the average counts as that much: the thread was interrupted. Where events take
 * long as a rule, the average follows.
 */
void self_time_add_event(struct state_header *state, uint64_t ns);

#define SELF_TIME_LONG_NS 20000

/*
 * Of an event, what lies before the first look at the clock and after the last, and what the
 * program waits for afterwards because we have been there: added to each. Measured against CPU
 * time (tests/bench/self_time.py).
 */
#define SELF_TIME_UNSEEN_NS 80

/* A snapshot took so many ns of CPU time. */
void self_time_add(struct state_header *state, uint64_t cpu_ns);

/* Some hundred slots of the live table were walked over, in so many ns of wall time. */
void self_time_add_walked(struct state_header *state, uint64_t ns);

#endif
