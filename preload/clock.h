/*
 * clock.h - time in nanoseconds, of libc's own clock: a program, or a library to
 * fake the time, may have put another clock_gettime in front.
 */
#ifndef HEAPSPY_CLOCK_H
#define HEAPSPY_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Looks libc's function up; before that each look is a system call. At load. */
void clock_init(void);

/*
 * Nanoseconds of CLOCK_MONOTONIC or CLOCK_REALTIME, signal-safe; 20 ns by the vdso. Of a CPU
 * clock too, by a system call.
 */
uint64_t clock_ns(clockid_t clock);

#endif
