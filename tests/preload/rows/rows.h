/*
 * rows.h - what the programs of this folder share. Each makes blocks of sizes that nothing else
 * asks for, and prints for each size the chain of functions that asked: test_rows.py compares it
 * with the stack that the snapshot holds for a block of that size.
 *
 * A line is BYTES|FLAGS|CHAIN. FLAGS are those of the stack ("approx@2": by frame pointers from
 * frame 2 on; "marked": truncated or by frame pointers, wherever). CHAIN goes from malloc's caller
 * to the outermost frame:
 *
 *     name    the frame of a function; name!: with its exact pc; name+: one or more
 *     *  *!   one frame of any function; ...: any number of frames
 *     libc    one frame or more of that library; ld, libgcc, libstdc++, vdso likewise
 *     loader  one frame or more of libc and ld
 *     0x..    the frame of that pc, outside all modules
 *     start   what is below main; thread: what is below a thread's function
 */
#ifndef ROWS_H
#define ROWS_H

#include "../victim.h"

/* A function that keeps a frame of its own. */
#define ROW SITE

/* In the frame of whoever says it. Kept for ever. */
#define ALLOCATE(bytes) keep(malloc(bytes))

/* A call that stays one, whatever follows. */
#define CALL(call)                                                                                 \
	do {                                                                                       \
		call;                                                                              \
		__asm__ volatile("" ::: "memory");                                                 \
	} while (0)

static inline void expect(unsigned bytes, const char *flags, const char *chain)
{
	printf("%u|%s|%s\n", bytes, flags, chain);
	fflush(stdout);
}

#endif
