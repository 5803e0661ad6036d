/*
 * prog_tree.c - keeps N blocks from 2^15 different stacks, and times snapshots of itself.
 *
 *     prog_tree N
 *
 * A stack is 16 calls of two functions, by the bits of its number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "heapspy/heapspy.h"

#define BITS 15

static void **blocks;
static long n_blocks;

static void step(unsigned number, unsigned depth);

#define KEEP_FRAME() __asm__ volatile("")

__attribute__((noinline)) static void zero(unsigned number, unsigned depth)
{
	step(number, depth);
	KEEP_FRAME();
}

__attribute__((noinline)) static void one(unsigned number, unsigned depth)
{
	step(number, depth);
	KEEP_FRAME();
}

__attribute__((noinline)) static void step(unsigned number, unsigned depth)
{
	if (depth == BITS)
		blocks[n_blocks++] = malloc(64 + number % 1000);
	else if (number >> depth & 1)
		one(number, depth + 1);
	else
		zero(number, depth + 1);
	KEEP_FRAME();
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 100000, i;
	double begin_ms;

	blocks = malloc((size_t)n * sizeof(*blocks));
	for (i = 0; i < n; i++)
		step((unsigned)(i % 20000), 0);
	for (i = 0; i < 5; i++) {
		begin_ms = now_ms();
		if (!heapspy_snapshot("bench"))
			return 1;
		printf("%.2f\n", now_ms() - begin_ms);
	}
	return 0;
}
