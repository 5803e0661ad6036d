/*
 * unwind_reference.h - stacks by libunwind instead of our own
 * (HEAPSPY_UNWIND=libunwind), or by it and libgcc beside our own, to be compared
 * (=compare).
 *
 * For diagnosis, at a price: tens of microseconds a stack, the dynamic linker's
 * lock in the middle of the program's malloc, and two descriptors of a pipe that
 * libunwind keeps (under high numbers), makes anew when the program has closed
 * them, and would read and write if the program opened something else under
 * their numbers. A child that is forked in the middle of a walk finds libunwind's
 * lock taken for ever, and libgcc's if there are registered tables.
 *
 * Stacks that it must not or cannot walk are left to our own walk, and counted:
 * where little stack is left, on stacks that are not the thread's own, while
 * another thread is at it, under a system call filter, inside libgcc.
 */
#ifndef HEAPSPY_UNWIND_REFERENCE_H
#define HEAPSPY_UNWIND_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/unwind.h"
#include "preload/unwind_compare.h"

/* UNWIND_LIBUNWIND or _COMPARE once the others are there, else UNWIND_OFF. For unwind.c. */
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

/* A stack as our own walk has found it. */
struct unwind_own {
	struct unwind_scratch *scratch;
	const uint64_t *registers;  /* at the start, of a function that is running */
	struct unwind_column stack; /* in scratch->frames */
	unsigned depth_max, approx_from;
	uint32_t flags;
};

/*
 * Walks it again: by libunwind and libgcc, without what the walk before left
 * behind, slowly, by frame pointers; and books how they agree.
 */
void unwind_reference_compare(const struct unwind_own *own);

/*
 * At the end of the process: what has been counted in it, as lines on stderr.
 * Of a comparison always, if there was a stack; of UNWIND_LIBUNWIND when
 * HEAPSPY_VERBOSE is set; otherwise nothing.
 */
void unwind_reference_report(void);

#endif
