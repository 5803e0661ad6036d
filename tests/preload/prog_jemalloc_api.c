/*
 * prog_jemalloc_api.c - a program that calls jemalloc's own functions by name.
 *
 *     prog_jemalloc_api detect              which of them are there, as folly and RocksDB ask
 *     prog_jemalloc_api promises            what jemalloc(3) promises of flags and sizes
 *     prog_jemalloc_api exact THREADS N     all of them at random, fully accounted for
 *
 * References are weak: without an allocator that has them the names are NULL.
 */
#include <malloc.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "sites.h"

#define WEAK __attribute__((weak))
WEAK void *mallocx(size_t size, int flags);
WEAK void *rallocx(void *block, size_t size, int flags);
WEAK size_t xallocx(void *block, size_t size, size_t extra, int flags);
WEAK size_t sallocx(const void *block, int flags);
WEAK void dallocx(void *block, int flags);
WEAK void sdallocx(void *block, size_t size, int flags);
WEAK size_t nallocx(size_t size, int flags);
WEAK int mallctl(const char *name, void *old, size_t *old_bytes, void *new_value, size_t new_bytes);

#define LG_ALIGN(n) (n)
#define ZERO        0x40
#define TCACHE_NONE (1 << 8)
#define MAX_SLOTS   500

static long n_operations;

/* clang-format off */
SITE static void *by_malloc(void *old, size_t n) { return keep(malloc(n)); }
SITE static void *by_mallocx(void *old, size_t n) { return keep(mallocx(n, 0)); }
SITE static void *by_mallocx_flags(void *old, size_t n)
	{ return keep(mallocx(n, LG_ALIGN(7) | ZERO | TCACHE_NONE)); }
SITE static void *by_rallocx(void *old, size_t n) { return keep(rallocx(old, n, 0)); }
SITE static void *by_rallocx_flags(void *old, size_t n)
	{ return keep(rallocx(old, n, LG_ALIGN(7) | ZERO)); }
SITE static void *by_realloc(void *old, size_t n) { return keep(realloc(old, n)); }
SITE static size_t by_xallocx(void *old, size_t n, size_t extra)
	{ size_t real = xallocx(old, n, extra, 0); __asm__ volatile("" : "+r"(real)); return real; }
/* clang-format on */

static struct site sites[] = { { "by_malloc", by_malloc }, { "by_mallocx", by_mallocx },
	{ "by_mallocx_flags", by_mallocx_flags }, { "by_rallocx", by_rallocx },
	{ "by_rallocx_flags", by_rallocx_flags }, { "by_realloc", by_realloc }, { "by_xallocx" } };
#define N_SITES    (sizeof(sites) / sizeof(sites[0]))
#define N_MAKERS   (N_SITES - 1)
#define BY_XALLOCX (&sites[N_SITES - 1])

struct block {
	void *p;
	size_t bytes;
	struct site *site;
};

static void release(struct block *b, uint64_t choice)
{
	if (!b->p)
		return;
	site_death(b->site, b->bytes);
	if (choice % 3 == 0)
		dallocx(b->p, 0);
	else if (choice % 3 == 1)
		sdallocx(b->p, malloc_usable_size(b->p), 0);
	else
		free(b->p);
	b->p = NULL;
}

/* Without jemalloc nothing is resized in place, and the block stays what it was. */
static void resize_in_place(struct block *b, size_t bytes, size_t extra)
{
	size_t real = by_xallocx(b->p, bytes, extra);

	if (real < bytes || !mallctl)
		return;
	site_death(b->site, b->bytes);
	b->bytes = real - bytes < extra ? real : bytes + extra;
	b->site = BY_XALLOCX;
	site_birth(b->site, b->bytes);
}

static void *work(void *number)
{
	struct block *slots = calloc(MAX_SLOTS, sizeof(*slots));
	uint64_t seed = 99 + (uint64_t)(uintptr_t)number;

	for (long i = 0; i < n_operations; i++) {
		struct block *b = &slots[draw(&seed) % MAX_SLOTS];
		struct site *site = &sites[draw(&seed) % N_MAKERS];
		size_t bytes = 1 + (draw(&seed) % 64 ? draw(&seed) % 700 : draw(&seed) % 300000);
		int resizes = site->make == by_realloc || site->make == by_rallocx ||
			      site->make == by_rallocx_flags;

		if (b->p && draw(&seed) % 4 == 0) {
			resize_in_place(b, bytes, draw(&seed) % 2 ? draw(&seed) % 300 : 0);
			continue;
		}
		if (b->p && draw(&seed) % 64 == 0)
			REQUIRE(!keep(rallocx(b->p, PTRDIFF_MAX, 0)));
		if (!resizes)
			release(b, draw(&seed));
		else if (!b->p && site->make != by_realloc)
			continue;
		if (b->p)
			site_death(b->site, b->bytes);
		b->p = site->make(b->p, bytes);
		REQUIRE(b->p && malloc_usable_size(b->p) >= bytes);
		REQUIRE((site->make != by_mallocx_flags && site->make != by_rallocx_flags) ||
			(uintptr_t)b->p % 128 == 0);
		b->bytes = bytes;
		b->site = site;
		site_birth(site, bytes);
	}
	return slots;
}

static void exact(long n_threads)
{
	pthread_t threads[16];

	REQUIRE(n_threads >= 1 && n_threads <= 16);
	for (long i = 0; i < n_threads; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (long i = 0; i < n_threads; i++)
		REQUIRE(!pthread_join(threads[i], NULL));
	heapspy_snapshot("end");
	sites_print(sites, N_SITES);
}

static int all_are(const unsigned char *block, size_t from, size_t to, unsigned char value)
{
	while (from < to && block[from] == value)
		from++;
	return from >= to;
}

static void promises(void)
{
	for (size_t n = 1; n < 40000; n = n * 3 / 2 + 1)
		for (int lg = 0; lg <= 14; lg++) {
			unsigned char *p, *dirty = malloc(n);
			size_t real;

			memset(dirty, 0xdd, n);
			free(dirty);
			p = keep(mallocx(n, LG_ALIGN(lg) | ZERO));
			REQUIRE(p && (uintptr_t)p % (1ul << lg) == 0);
			real = malloc_usable_size(p);
			REQUIRE(real >= n && all_are(p, 0, real, 0));
			memset(p, 0x11, n);
			p = keep(rallocx(p, 2 * n, LG_ALIGN(lg) | ZERO));
			REQUIRE(p && (uintptr_t)p % (1ul << lg) == 0);
			REQUIRE(all_are(p, 0, n, 0x11) && all_are(p, n, 2 * n, 0));
			REQUIRE(!keep(rallocx(p, PTRDIFF_MAX, LG_ALIGN(lg))));
			REQUIRE(all_are(p, 0, n, 0x11));
			real = xallocx(p, 2 * n, 64, LG_ALIGN(lg));
			REQUIRE(real >= 2 * n && real == malloc_usable_size(p));
			p = keep(rallocx(p, n / 2 + 1, LG_ALIGN(lg)));
			REQUIRE(p && all_are(p, 0, n / 2 + 1, 0x11));
			if (lg % 2)
				dallocx(p, LG_ALIGN(lg));
			else
				sdallocx(p, n / 2 + 1, LG_ALIGN(lg));
		}
	printf("{}\n");
}

/* The functions, and whether they count: folly asks for a counter and looks whether malloc moves
 * it. */
static void detect(void)
{
	uint64_t *counter = NULL, before = 0;
	size_t bytes = sizeof(counter);
	int works = mallctl && !mallctl("thread.allocatedp", &counter, &bytes, NULL, 0);

	if (works)
		before = *counter;
	free(keep(malloc(1)));
	printf("{\"mallocx\": %d, \"rallocx\": %d, \"xallocx\": %d, \"sallocx\": %d, \"dallocx\": "
	       "%d, "
	       "\"sdallocx\": %d, \"nallocx\": %d, \"mallctl\": %d, \"counts\": %d}\n",
		mallocx != NULL, rallocx != NULL, xallocx != NULL, sallocx != NULL, dallocx != NULL,
		sdallocx != NULL, nallocx != NULL, mallctl != NULL, works && *counter != before);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "detect"))
		detect();
	else if (argc > 1 && !strcmp(argv[1], "promises"))
		promises();
	else if (argc > 3) {
		n_operations = atol(argv[3]);
		exact(atol(argv[2]));
	}
	return 0;
}
