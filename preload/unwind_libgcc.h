/*
 * unwind_libgcc.h - the stack by libgcc's _Unwind_Backtrace(): what exceptions
 * are thrown by. For comparison only.
 *
 * It believes whatever frame information says and reads where that leads, so a
 * stack that cannot be walked by rules must not be given to it further than
 * that. It knows no frame pointers: it ends at code without frame information.
 */
#ifndef HEAPSPY_UNWIND_LIBGCC_H
#define HEAPSPY_UNWIND_LIBGCC_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Opens libgcc_s.so.1 and finds its functions in there, whoever else exports
 * the names. False: *whyp tells why not. Once, from a constructor, never from a
 * hook: allocates, takes the dynamic linker's lock.
 */
bool unwind_libgcc_load(const char **whyp);

/*
 * Is pc in libgcc itself? It may hold its lock while it allocates, and would
 * wait for itself for ever. Signal-safe.
 */
bool unwind_libgcc_holds(uintptr_t pc);

/*
 * Walks the calling thread's stack, from the caller of the first function
 * outside libheapspy.so on. words: room for n_max frame words with module 0; no
 * frame behind the last of them is looked at. Returns how many there are.
 *
 * Takes libgcc's lock while there are tables of __register_frame(), and may
 * allocate then. Uses about 1 KiB of stack.
 */
unsigned unwind_libgcc_walk(uint64_t *words, unsigned n_max);

#endif
