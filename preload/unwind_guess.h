/*
 * unwind_guess.h - the caller's frame by the frame pointer, for code that has
 * no frame information. Right when the code keeps rbp as its frame pointer;
 * otherwise it stops, or leaves frames out. What it yields is marked as a guess.
 */
#ifndef HEAPSPY_UNWIND_GUESS_H
#define HEAPSPY_UNWIND_GUESS_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/stack_range.h"

/* Below 2^47 and not in the page that is never mapped: an address of user code. */
#define UNWIND_PC_MIN 4096u
#define UNWIND_PC_MAX (1ull << 47)

enum guess_trust {
	GUESS_PLAIN,   /* any address of user code is believed (UNWIND_FP) */
	GUESS_OBJECT,  /* the frame is in a loaded object */
	GUESS_OUTSIDE, /* the frame is outside all objects, as JIT code is */
};

/*
 * Goes from the frame {*pcp, *spp, *bpp} to its caller's. It is believed when
 * rbp is aligned, not below sp and less than 1 MiB above it, and the return
 * address is 0 (the end) or plausible: right after a call instruction of a
 * loaded object; or outside all objects, within 1 GiB of the frame's own pc if
 * that is outside too, or of a pc that unwind_guess_learn() was given, or with a
 * chain of frame pointers behind it that leads back to a call in an object. There
 * the bytes before it prove nothing: interpreters return to where no call is.
 *
 * False: not believed, or not readable; the frame is left as it was.
 * Signal-safe; makes a system call only on a foreign stack.
 */
bool unwind_guess_caller(struct stack_range *range, enum guess_trust trust, uintptr_t *pcp,
	uintptr_t *spp, uintptr_t *bpp);

/*
 * Notes a pc outside all objects to which code with frame information returns:
 * there is code at and around it. Lock-free; any thread.
 */
void unwind_guess_learn(uintptr_t pc);

#endif
