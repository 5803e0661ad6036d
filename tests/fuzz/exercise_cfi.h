/*
 * exercise_cfi.h - everything that is done with frame information for one pc, in one
 * call: for the mutation test and the libFuzzer target.
 */
#ifndef HEAPSPY_TEST_EXERCISE_CFI_H
#define HEAPSPY_TEST_EXERCISE_CFI_H

#include <stdbool.h>
#include "preload/cfi_interp.h"

/* How far the bytes were believed, so that a test can tell that it tests something. */
struct exercise_cfi_figures {
	unsigned long n_entries, n_rules, n_values;
};

/*
 * Looks pc up in every way, runs the programs that are found, and all their
 * expressions with made-up registers and memory. False: something found lies
 * outside the section; the text is on stdout. Reads outside are for sanitizers to see.
 */
bool exercise_cfi(
	const struct cfi_section *section, uintptr_t pc, struct exercise_cfi_figures *figures);

#endif
