/*
 * unwind_oracle.h - one stack by five unwinders: heapspy's with reuse, without,
 * its slow walk; libunwind; libgcc.
 */
#ifndef TESTS_UNIT_UNWIND_ORACLE_H
#define TESTS_UNIT_UNWIND_ORACLE_H

#include <stdbool.h>
#include <stdint.h>
#include "unwind_shim.h"

struct oracle_stack {
	unsigned n_frames;
	uint64_t words[UNWIND_DEPTH_MAX]; /* frame words; the other unwinders': pcs */
	uint32_t flags;
	unsigned approx_from;
};

struct oracle {
	struct unwind_scratch reused; /* all zero at first, then kept */
	struct unwind_scratch fresh;  /* wiped each time */
	struct oracle_stack reuse, plain, slow, libunwind, libgcc;
	bool own_only;       /* leave the other unwinders out: they need much stack */
	bool without_libgcc; /* it reads whatever a rule says, readable or not */
	bool reuse_differs, slow_differs, libunwind_differs, libgcc_differs;
};

/*
 * Finds the other unwinders, privately: libunwind exports functions of libgcc's
 * names. Returns false, with a line of why, when one is missing.
 */
bool oracle_init(void);

/* libunwind keeps rules after dlclose; it must be told, and takes a moment. */
void oracle_flush(void);

/* Walks from the caller of oracle_walk(), which is not among the frames, and compares. */
void oracle_walk(struct oracle *oracle);

/* The function of frame i of a stack, "?" if unknown. */
const char *oracle_name(const struct oracle_stack *stack, unsigned i);

/* Do the frames from the leaf on have these names (up to a NULL)? Prints them if not. */
bool oracle_has_names(const struct oracle_stack *stack, const char *const *names);

/* Prints what the unwinders say as TAP comments. */
void oracle_print(const struct oracle *oracle);

#endif
