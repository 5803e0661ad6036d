/*
 * no_cfi_part.c - to be built without frame information, with a frame pointer or without.
 */
#include "no_cfi.h"

static volatile unsigned sink;

ROW void bare_chain(unsigned bytes, unsigned depth)
{
	volatile char block[40];

	block[depth] = 1;
	if (depth == 0)
		CALL(ALLOCATE(bytes));
	else
		CALL(bare_chain(bytes, depth - 1));
	sink += block[depth];
}

ROW void bare_between(void (*function)(unsigned), unsigned bytes)
{
	volatile char block[100];

	block[0] = 1;
	CALL(function(bytes));
	sink += block[0];
}
