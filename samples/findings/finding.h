/*
 * finding.h - what the small programs share: memory that is there or the end, and
 * numbers that are the same in every run.
 */
#ifndef SAMPLE_FINDING_H
#define SAMPLE_FINDING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The block, or the end of the program. */
static inline void *must(void *block)
{
	if (block)
		return block;
	fputs("out of memory\n", stderr);
	exit(1);
}

/* A number from 0 to limit - 1 (limit at most 2^32). seed is moved on; start it anywhere. */
static inline uint32_t draw(uint64_t *seed, uint64_t limit)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((*seed >> 32) * limit >> 32);
}

#endif
