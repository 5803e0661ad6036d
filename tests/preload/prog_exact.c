/*
 * prog_exact.c - every C allocation function, at random, in THREADS threads, fully accounted for.
 *
 *     prog_exact THREADS OPERATIONS
 *
 * A block belongs to the site that made it or resized it last. Now and then a call must fail.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "sites.h"

#define N_SLOTS 2000

struct block {
	void *p;
	size_t bytes;
	struct site *site;
};

static void (*cfree_function)(void *); /* newer C libraries hide it or have none */
static long n_operations;

/* clang-format off */
SITE static void *by_malloc(void *old, size_t n) { return keep(malloc(n)); }
SITE static void *by_calloc(void *old, size_t n) { return keep(calloc(1, n)); }
SITE static void *by_realloc(void *old, size_t n) { return keep(realloc(old, n)); }
SITE static void *by_reallocarray(void *old, size_t n) { return keep(reallocarray(old, n, 1)); }
SITE static void *by_memalign(void *old, size_t n) { return keep(memalign(256, n)); }
SITE static void *by_aligned_alloc(void *old, size_t n) { return keep(aligned_alloc(64, n)); }
SITE static void *by_valloc(void *old, size_t n) { return keep(valloc(n)); }
SITE static void *by_pvalloc(void *old, size_t n) { return keep(pvalloc(n)); }
SITE static void *by_posix_memalign(void *old, size_t n)
	{ void *p; return posix_memalign(&p, 32, n) ? NULL : keep(p); }
/* clang-format on */

static struct site sites[] = { { "by_malloc", by_malloc }, { "by_calloc", by_calloc },
	{ "by_realloc", by_realloc }, { "by_reallocarray", by_reallocarray },
	{ "by_memalign", by_memalign }, { "by_aligned_alloc", by_aligned_alloc },
	{ "by_valloc", by_valloc }, { "by_pvalloc", by_pvalloc },
	{ "by_posix_memalign", by_posix_memalign } };
#define N_SITES (sizeof(sites) / sizeof(sites[0]))

static void release(struct block *b, uint64_t choice)
{
	if (b->p && choice % 8 == 0)
		free(keep(realloc(b->p, 0))); /* some allocators give a block for that */
	else if (choice % 8 == 1 && cfree_function)
		cfree_function(b->p);
	else
		free(b->p);
	if (b->p)
		site_death(b->site, b->bytes);
	b->p = NULL;
}

/* No block may come of it, none may count, and p stays. */
static void fail_in_all_ways(void *p)
{
	volatile size_t huge = PTRDIFF_MAX, overflow = SIZE_MAX / 2;

	REQUIRE(!keep(malloc(huge)) && !keep(calloc(overflow, 3)) && !keep(memalign(64, huge)));
	REQUIRE(!keep(reallocarray(p, overflow, 3)) && !keep(realloc(p, huge)));
	REQUIRE(!keep(aligned_alloc(64, huge)) && !keep(valloc(huge)) && !keep(pvalloc(huge)));
}

static void *work(void *number)
{
	struct block *slots = calloc(N_SLOTS, sizeof(*slots));
	uint64_t seed = 77 + (uint64_t)(uintptr_t)number;

	for (long i = 0; i < n_operations; i++) {
		struct block *b = &slots[draw(&seed) % N_SLOTS];
		struct site *site = &sites[draw(&seed) % N_SITES];
		size_t bytes = draw(&seed) % 64 ? draw(&seed) % 700 : draw(&seed) % 300000;
		int resizes = site->make == by_realloc || site->make == by_reallocarray;

		if (i % 4096 == 0)
			fail_in_all_ways(b->p);
		if (!resizes || bytes == 0)
			release(b, draw(&seed));
		if (b->p)
			site_death(b->site, b->bytes);
		*b = (struct block){ site->make(b->p, bytes), bytes, site };
		REQUIRE(b->p && malloc_usable_size(b->p) >= bytes);
		site_birth(site, bytes);
	}
	return slots;
}

int main(int argc, char **argv)
{
	long n_threads = argc > 1 ? atol(argv[1]) : 1;
	pthread_t threads[64];

	n_operations = argc > 2 ? atol(argv[2]) : 10000;
	cfree_function = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
	if (n_threads == 1)
		keep(work(NULL));
	for (long i = 0; n_threads > 1 && i < n_threads; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (long i = 0; n_threads > 1 && i < n_threads; i++)
		REQUIRE(!pthread_join(threads[i], NULL));
	heapspy_snapshot("end");
	sites_print(sites, N_SITES);
	return 0;
}
