/*
 * prog_pairs.c - N pairs of malloc and free, 64 bytes each, and little else: instructions are
 * counted.
 *
 *     prog_pairs N
 */
#include "victim.h"

int main(int argc, char **argv)
{
	for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
		free(keep(malloc(64)));
	return 0;
}
