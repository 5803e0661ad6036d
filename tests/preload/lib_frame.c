/*
 * lib_frame.c - built twice, as lib_frame_a.so and lib_frame_b.so, of one shape in memory: loaded
 * in turn they come to the same addresses, with frames of different size (FRAME_BYTES).
 */
#include "victim.h"

void *frame_keep(size_t n);

SITE void *frame_keep(size_t n)
{
	volatile char frame[FRAME_BYTES];

	frame[0] = 1;
	frame[FRAME_BYTES - 1] = frame[0];
	return keep(malloc(n));
}
