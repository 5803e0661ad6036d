/*
 * unwind_compare.h - one stack by two unwinders: where they part, and which
 * of them is to be asked why.
 */
#ifndef HEAPSPY_UNWIND_COMPARE_H
#define HEAPSPY_UNWIND_COMPARE_H

#include <stdint.h>
#include "preload/cfi_interp.h"

enum unwind_compare_class {
	COMPARE_EQUAL,
	COMPARE_GUESSED,      /* they part behind code that one of them has no rules for */
	COMPARE_OWN_LONGER,   /* libunwind stops earlier, equal up to there */
	COMPARE_OTHER_LONGER, /* our own walk stops earlier, equal up to there */
	COMPARE_DIFFERENT,    /* a frame differs */
	COMPARE_N_CLASSES
};

/*
 * own: frame words, leaf first; others: pcs of the same stack.
 * *n_samep: frames that are equal, from the leaf on.
 * work: for looking up rules, only when the stacks are not equal.
 * Code without rules: no frame information, or a table of __register_frame(),
 * which libunwind does not know. Signal-safe, allocates nothing.
 */
enum unwind_compare_class unwind_compare(const uint64_t *own, unsigned n_own,
	const uint64_t *others, unsigned n_others, struct cfi_work *work, unsigned *n_samep);

/*
 * Writes both stacks to stderr, a line a frame, each as module+offset; one that
 * parts at n_same. Whether or not HEAPSPY_VERBOSE is set.
 */
void unwind_compare_print(enum unwind_compare_class class, const uint64_t *own, unsigned n_own,
	const uint64_t *others, unsigned n_others, unsigned n_same);

#endif
