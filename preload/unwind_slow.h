/*
 * unwind_slow.h - the walk that knows all registers and all rules, and caches
 * nothing: for stacks that hold a frame of a rare shape, and as the measure of
 * the fast walk.
 */
#ifndef HEAPSPY_UNWIND_SLOW_H
#define HEAPSPY_UNWIND_SLOW_H

#include <stdint.h>
#include "preload/unwind.h"

/*
 * Walks from scratch->registers, which it changes, into scratch->words from
 * slot 0 on. depth_max, flags, approx_from and result: as unwind_capture(), but
 * for _APPROX, which is set though approx_from may be behind the last frame.
 */
unsigned unwind_slow_walk(struct unwind_scratch *scratch, unsigned depth_max, uint32_t *flagsp,
	unsigned *approx_fromp);

#endif
