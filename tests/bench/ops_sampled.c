/*
 * ops_sampled.c - the operations of prog_ops that are samples: the caller's stack is about 30
 * frames deep. A block of 8 MiB, sixteen default intervals, is a sample all but surely, and costs
 * glibc no more than a small one, because the heap keeps what is freed.
 */
#include <stdlib.h>
#include <time.h>
#include "prog_ops.h"

#define EVICT_ALL  (64 << 20) /* more than the last level of most machines */
#define EVICT_NEAR (4 << 20)  /* more than what a core has for itself */
#define CHAIN      20         /* calls below an operation */

static char *evicted;

/* A chain of functions of their own: each frame has its own return address. */
#define LINK(n, m)                                                                                 \
	__attribute__((noinline)) static void chain_##n(void (*leaf)(void))                        \
	{                                                                                          \
		chain_##m(leaf);                                                                   \
		__asm__ volatile("");                                                              \
	}

__attribute__((noinline)) static void chain_0(void (*leaf)(void))
{
	leaf();
	__asm__ volatile("");
}

LINK(1, 0);
LINK(2, 1);
LINK(3, 2);
LINK(4, 3);
LINK(5, 4);
LINK(6, 5);
LINK(7, 6);
LINK(8, 7);
LINK(9, 8);
LINK(10, 9);
LINK(11, 10);
LINK(12, 11);
LINK(13, 12);
LINK(14, 13);
LINK(15, 14);
LINK(16, 15);
LINK(17, 16);
LINK(18, 17);
LINK(19, 18);
LINK(20, 19);

__attribute__((noinline)) static void leaf_sampled(void)
{
	free(ops_keep(malloc(8 * MIB)));
	__asm__ volatile("");
}

static void slice_sampled(struct worker *w, long n)
{
	while (n-- > 0)
		chain_20(leaf_sampled);
}

double ops_run_sampled(struct worker *w, long n)
{
	return ops_slices(w, n, slice_sampled);
}

static double cold_ns;
static size_t evict_bytes;

__attribute__((noinline)) static void leaf_cold(void)
{
	double begin;

	for (size_t i = 0; i < evict_bytes; i += 64)
		evicted[i]++;
	begin = ops_now_ns(CLOCK_MONOTONIC);
	free(ops_keep(malloc(8 * MIB)));
	cold_ns = ops_now_ns(CLOCK_MONOTONIC) - begin;
}

/* Before each, the caches are filled with something else. */
static double run_cold(long n, size_t bytes)
{
	double ns[OPS_COLD_REPEATS];

	if (!evicted)
		evicted = ops_map(EVICT_ALL);
	evict_bytes = bytes;
	if (n > OPS_COLD_REPEATS)
		n = OPS_COLD_REPEATS;
	chain_20(leaf_cold);
	for (long i = 0; i < n; i++) {
		chain_20(leaf_cold);
		ns[i] = cold_ns;
	}
	return ops_undisturbed(ns, (unsigned)n);
}

double ops_run_cold_near(struct worker *w, long n)
{
	return run_cold(n, EVICT_NEAR);
}

double ops_run_cold_all(struct worker *w, long n)
{
	return run_cold(n, EVICT_ALL);
}

/* Each number takes a way of its own down a binary tree. */
static void branch_one(unsigned number, unsigned depth);

__attribute__((noinline)) static void branch_zero(unsigned number, unsigned depth)
{
	if (!depth)
		leaf_sampled();
	else if (number & 1)
		branch_one(number >> 1, depth - 1);
	else
		branch_zero(number >> 1, depth - 1);
	__asm__ volatile("");
}

__attribute__((noinline)) static void branch_one(unsigned number, unsigned depth)
{
	if (!depth)
		leaf_sampled();
	else if (number & 1)
		branch_one(number >> 1, depth - 1);
	else
		branch_zero(number >> 1, depth - 1);
	__asm__ volatile("");
}

static void slice_new_stacks(struct worker *w, long n)
{
	while (n-- > 0)
		branch_zero(w->stack_number++, CHAIN);
}

double ops_run_new_stacks(struct worker *w, long n)
{
	return ops_slices(w, n, slice_new_stacks);
}
