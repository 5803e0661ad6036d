/*
 * fake_clock.h - time as a test says it is, in place of preload/clock.c. Include it in one file of
 * a test that links the library's parts statically.
 */
#ifndef HEAPSPY_FAKE_CLOCK_H
#define HEAPSPY_FAKE_CLOCK_H

#include <stddef.h>
#include "preload/clock.h"

/* What the clock shows, and what each look at it takes. */
static uint64_t fake_now_ns = 1000000000000, fake_look_ns;
/* Called at each look, if not NULL. */
static void (*fake_clock_seen)(void);

void clock_init(void)
{
}

uint64_t clock_ns(clockid_t clock)
{
	if (fake_clock_seen)
		fake_clock_seen();
	return fake_now_ns += fake_look_ns;
}

#endif
