/*
 * unwind_compare.h - one stack by several unwinders: where they part, and which
 * of them is to be asked why.
 */
#ifndef HEAPSPY_UNWIND_COMPARE_H
#define HEAPSPY_UNWIND_COMPARE_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/cfi_interp.h"

/*
 * A stack as one unwinder sees it: frame words, leaf first. libunwind's and
 * libgcc's have no modules, libunwind's do not say whether a pc is exact either.
 */
struct unwind_column {
	const char *name;
	const uint64_t *words;
	unsigned n;
};

/*
 * "Equal" is the whole list. Code without frame information is where guessing
 * begins: a stack that is the same up to and with the first such pc is as equal
 * as rules can make it. An unwinder differs if it parts from us before.
 */
enum unwind_compare_class {
	COMPARE_EQUAL,             /* all three */
	COMPARE_EQUAL_BY_RULES,    /* all three up to code without frame information */
	COMPARE_REGISTERED,        /* libunwind alone differs, behind code of a table of
				      __register_frame(), which it does not know */
	COMPARE_LIBUNWIND_DIFFERS, /* libunwind alone differs, anything else */
	COMPARE_LIBGCC_DIFFERS,    /* libgcc alone differs */
	COMPARE_OWN_DIFFERS,       /* the other two go on, or end, in the same way */
	COMPARE_ALL_DIFFER,
	COMPARE_N_CLASSES
};

struct unwind_verdict {
	enum unwind_compare_class class;
	bool equals_libunwind, equals_libgcc; /* the whole list */
};

/*
 * work: for looking up rules, only where the stacks are not equal.
 * Signal-safe, allocates nothing.
 */
struct unwind_verdict unwind_compare(const struct unwind_column *own,
	const struct unwind_column *libunwind, const struct unwind_column *libgcc,
	struct cfi_work *work);

/* How many frames from the leaf on have the same pcs. */
unsigned unwind_compare_pcs(const struct unwind_column *a, const struct unwind_column *b);

/* Two of our own: the same words, modules and all? */
bool unwind_compare_words(const struct unwind_column *a, const struct unwind_column *b);

/* A class in words. */
const char *unwind_compare_name(enum unwind_compare_class class);

/*
 * Writes a stack to stderr, a line a frame, as module+offset by each of n columns
 * (2 or 3) or once where all say the same. Whether or not HEAPSPY_VERBOSE is set.
 */
void unwind_compare_print(const char *title, const struct unwind_column *columns, unsigned n);

#endif
