/*
 * unwind_reference.h - stacks by libunwind: instead of our own
 * (HEAPSPY_UNWIND=libunwind), or beside them to be compared (=compare).
 *
 * For diagnosis, at a price: some ten microseconds a stack, the dynamic linker's
 * lock in the middle of the program's malloc, and two descriptors of a pipe that
 * libunwind keeps (under high numbers), makes anew when the program has closed
 * them, and would read and write if the program opened something else under
 * their numbers. Stacks that it must not or cannot walk are left to our own walk,
 * and counted: where little stack is left, on stacks that are not the thread's
 * own, while another thread is at it, under a system call filter.
 */
#ifndef HEAPSPY_UNWIND_REFERENCE_H
#define HEAPSPY_UNWIND_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/unwind.h"

/* UNWIND_LIBUNWIND or _COMPARE once libunwind is there, else UNWIND_OFF. For unwind.c. */
extern enum unwind_mode unwind_reference_mode __attribute__((visibility("hidden")));

/*
 * If the mode wants libunwind: opens libheapspy-libunwind.so, which lies beside
 * libheapspy.so, and makes a first walk. If it cannot be used, one line when
 * HEAPSPY_VERBOSE is set, and the mode is as UNWIND_CFI.
 * Once, after unwind_init(); from a constructor, never from a hook: allocates,
 * takes the dynamic linker's lock.
 */
void unwind_reference_load(enum unwind_mode wanted);

/*
 * The calling thread's stack, as unwind_capture() leaves it in scratch. False:
 * left to our own walk. _APPROX stands from the first frame on that was
 * found through code without frame information known to us.
 * registers: as unwind_registers_read() leaves them, of a caller of this function.
 */
bool unwind_reference_capture(struct unwind_scratch *scratch, const uint64_t *registers,
	unsigned depth_max, uint32_t *flagsp, unsigned *approx_fromp, unsigned *n_framesp);

/* Walks it too, and books how the two agree. n_frames: of our own walk, in scratch->frames. */
void unwind_reference_compare(struct unwind_scratch *scratch, const uint64_t *registers,
	unsigned depth_max, unsigned n_frames);

/*
 * At the end of the process: what has been counted in it, as one line on stderr.
 * Of a comparison always, if there was a stack; of UNWIND_LIBUNWIND when
 * HEAPSPY_VERBOSE is set; otherwise nothing.
 */
void unwind_reference_report(void);

#endif
