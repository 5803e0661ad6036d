/*
 * unwind_libunwind.h - what libheapspy.so and libheapspy-libunwind.so say to
 * each other: one function, found by its name.
 */
#ifndef HEAPSPY_UNWIND_LIBUNWIND_H
#define HEAPSPY_UNWIND_LIBUNWIND_H

#include <stdbool.h>
#include <stdint.h>

#define UNWIND_LIBUNWIND_FILE "libheapspy-libunwind.so"
#define UNWIND_LIBUNWIND_WALK "heapspy_libunwind_walk_v1"

/* Why a walk ended. */
enum unwind_libunwind_end {
	LIBUNWIND_OUTERMOST, /* no caller: the stack is complete */
	LIBUNWIND_CUT,       /* n_max frames, and there are more */
	LIBUNWIND_STUCK,     /* a caller, but libunwind knows no way to it */
};

/*
 * Walks the calling thread's stack by libunwind.
 *
 * registers: as unwind_registers_read() leaves them, in a function that is still running.
 * pcs: room for n_max; the first one is that of the registers.
 * flush: code has been unloaded since the last call, forget all rules.
 * Returns how many pcs there are.
 *
 * One call at a time in a process. Takes locks of libunwind and of the dynamic
 * linker, makes system calls, may allocate, changes errno. Not to be called with
 * less than UNWIND_LIBUNWIND_STACK_BYTES of stack left: libunwind 1.6 uses 2 KiB
 * of it, as seen; binding a function and a signal on top may use as much again.
 */
unsigned heapspy_libunwind_walk_v1(const uint64_t *registers, uint64_t *pcs, unsigned n_max,
	bool flush, enum unwind_libunwind_end *endp);

#define UNWIND_LIBUNWIND_STACK_BYTES (16u << 10)

#endif
