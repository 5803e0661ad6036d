/*
 * self_time.c - the same work with and without sampling, by turns, each turn's CPU time taken: what
 * sampling costs the program, to be held against what the library says of itself.
 *
 *     self_time TURNS OPERATIONS DEPTH
 *
 * An operation frees one of the last 65536 blocks of 16 to 127 bytes and allocates another, under
 * DEPTH frames more. Each turn with sampling lies between the snapshots "begin" and "end", with
 * another, "before", in front: the difference of the first two is the price of a snapshot. Prints
 * the CPU ns of each turn, without and with.
 */
#include <heapspy/heapspy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WINDOW 65536

static void *blocks[WINDOW];

static __attribute__((noinline)) void *make(int depth, size_t bytes)
{
	void *block = depth ? make(depth - 1, bytes) : malloc(bytes);

	__asm__ volatile("" : "+r"(block));
	return block;
}

static double operate(long n, int depth)
{
	static uint64_t seed = 7;
	struct timespec begin, end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (; n > 0; n--) {
		seed ^= seed >> 12;
		seed ^= seed << 25;
		seed ^= seed >> 27;
		free(blocks[n % WINDOW]);
		blocks[n % WINDOW] = make(depth, 16 + (seed >> 8) % 112);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	return (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
}

int main(int argc, char **argv)
{
	long turns, n;
	int depth;

	if (argc != 4)
		return 2;
	turns = atol(argv[1]);
	n = atol(argv[2]);
	depth = atoi(argv[3]);
	for (; turns > 0; turns--) {
		heapspy_stop();
		operate(2 * WINDOW, depth);
		printf("%.0f ", operate(n, depth));
		heapspy_start();
		operate(2 * WINDOW, depth);
		heapspy_snapshot("before");
		heapspy_snapshot("begin");
		printf("%.0f\n", operate(n, depth));
		heapspy_snapshot("end");
	}
	return 0;
}
