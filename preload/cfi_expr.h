/*
 * cfi_expr.h - DWARF expressions, as far as call frame information uses them.
 */
#ifndef HEAPSPY_CFI_EXPR_H
#define HEAPSPY_CFI_EXPR_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/cfi_interp.h"

#define CFI_EXPR_STACK 32

/* What an expression may see. The stack is working memory, kept off the C stack. */
struct cfi_expr_context {
	const uint64_t *registers; /* CFI_N_REGISTERS of them, of the frame itself */
	bool (*load)(void *memory, uintptr_t address, uint64_t *valuep); /* 8 bytes */
	void *memory;
	uint64_t *stack; /* CFI_EXPR_STACK words */
};

/*
 * Evaluates the expression [p, end). first: pushed before it runs (the CFA, for
 * rules of registers); NULL for none. False: an operation unknown, a stack that
 * overflows or runs dry, memory that load() refuses, or too many steps or loads.
 * No allocation, no lock; reads only [p, end) and what load() grants.
 */
bool cfi_expr_run(const struct cfi_expr_context *context, const uint8_t *p, const uint8_t *end,
	const uint64_t *first, uint64_t *resultp);

#endif
