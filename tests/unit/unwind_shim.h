/*
 * unwind_shim.h - the unwinder in a shared library of its own, as it is in
 * libheapspy.so, so that "own frames" are some and the test's are not.
 */
#ifndef TESTS_UNIT_UNWIND_SHIM_H
#define TESTS_UNIT_UNWIND_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "preload/unwind.h"

void shim_init(enum unwind_mode mode);
unsigned shim_capture(struct unwind_scratch *scratch, unsigned depth_max, uint32_t *flagsp,
	unsigned *approx_fromp);
unsigned shim_capture_slow(struct unwind_scratch *scratch, unsigned depth_max, uint32_t *flagsp,
	unsigned *approx_fromp);
void shim_flush(void);
bool shim_register(const void *eh_frame);
bool shim_deregister(const void *eh_frame);

/* Paints stack below itself, and tells how much of it a later call overwrote. */
#define SHIM_PAINTED_BYTES 8192
size_t shim_stack_used(struct unwind_scratch *scratch);

#endif
