/*
 * prog_ops.h - what prog_ops.c and its operation in C++ share.
 */
#ifndef BENCH_PROG_OPS_H
#define BENCH_PROG_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one thread works with; its arrays are mapped, so the heap holds what is measured only. */
struct worker {
	size_t *size;          /* mixed sizes, in turn */
	void **block;          /* of a batch */
	unsigned short *order; /* in which a batch is freed */
	void **others;         /* live blocks, for "replace" */
	size_t n_others;
	unsigned stack_number;
	uint64_t random;
	double ns; /* result of the thread */
};

#define MIB              ((size_t)1 << 20)
#define OPS_COLD_REPEATS 60

/* The compiler must believe that the block is looked at. */
static inline void *ops_keep(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

/* Runs slice() several times with n operations in all; CPU ns for one, see ops_undisturbed(). */
double ops_slices(struct worker *w, long n, void (*slice)(struct worker *w, long n));

/* A clock in ns; private memory, or the end of the program. */
double ops_now_ns(clockid_t clock);
void *ops_map(size_t bytes);

/*
 * The tenth part from below, which sorts the values: what it costs while nobody else uses the
 * core. On a shared machine that is steady where a median is not; and a slice holds several
 * samples, so that none is cheap for want of them.
 */
double ops_undisturbed(double *values, unsigned n);

/* ops_sampled.c: the same stack each time; with caches filled by something else; all stacks new. */
double ops_run_sampled(struct worker *w, long n);
double ops_run_cold_near(struct worker *w, long n);
double ops_run_cold_all(struct worker *w, long n);
double ops_run_new_stacks(struct worker *w, long n);

/* operator new and delete, n times; only in prog_ops_cxx. */
double ops_run_new(struct worker *w, long n) __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
