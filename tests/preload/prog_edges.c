/*
 * prog_edges.c - calls at the edges of what allocation functions promise; prints for each whether a
 * block came, its alignment, and errno. The same with and without a profiler, under any allocator.
 */
#include <errno.h>
#include <malloc.h>
#include "victim.h"

static void report(const char *call, size_t a, size_t b, void *block)
{
	int error = errno;

	printf("%s %zu %zu: %s, errno %d\n", call, a, b, block ? "a block" : "NULL", error);
	errno = 0;
}

#define ASK(name, a, b, call)                                                                      \
	do {                                                                                       \
		void *block_;                                                                      \
                                                                                                   \
		errno = 0;                                                                         \
		block_ = keep(call);                                                               \
		report(name, a, b, block_);                                                        \
		errno = 123;                                                                       \
		free(block_);                                                                      \
		REQUIRE(errno == 123);                                                             \
	} while (0)

static void *by_posix(size_t align, size_t n)
{
	void *block = (void *)1;
	int error = posix_memalign(&block, align, n);

	if (error)
		REQUIRE(block == (void *)1);
	errno = error;
	return error ? NULL : block;
}

/* A block of 100 bytes resized; the old one must live on where that fails. */
static void resize(size_t n)
{
	char *old = keep(malloc(100)), *block;

	memset(old, 'o', 100);
	errno = 0;
	block = keep(realloc(old, n));
	report("realloc of a block", 100, n, block);
	if (!block && n) {
		REQUIRE(old[0] == 'o' && old[99] == 'o');
		free(old);
	}
	if (block && n)
		REQUIRE(block[0] == 'o');
	free(block);
}

int main(void)
{
	static const size_t aligns[] = { 0, 1, 2, 3, 4, 8, 12, 16, 24, 48, 64, 100, 4096, 5000,
		1 << 20, (size_t)1 << 63, SIZE_MAX };
	static const size_t sizes[] = { 0, 1, 7, 8, 100, 4096, 100000, PTRDIFF_MAX,
		(size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX };

	free(keep(malloc(1))); /* mimalloc leaves an errno behind when it starts */
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];

		ASK("malloc", n, 0, malloc(n));
		ASK("calloc", n, 1, calloc(n, 1));
		ASK("calloc", n, 2, calloc(n, 2));
		ASK("realloc of NULL", 0, n, realloc(NULL, n));
		ASK("reallocarray", n, 3, reallocarray(NULL, n, 3));
		ASK("valloc", n, 0, valloc(n));
		resize(n);
		/* Rounded up or down to a power of two, or refused: not the wrapper's affair. */
		for (unsigned k = 0; k < sizeof(aligns) / sizeof(aligns[0]); k++) {
			if (n > 100000 && aligns[k] >= PTRDIFF_MAX)
				continue;
			ASK("posix_memalign", aligns[k], n, by_posix(aligns[k], n));
			if (aligns[k] == 0 || aligns[k] & (aligns[k] - 1))
				continue;
			ASK("memalign", aligns[k], n, memalign(aligns[k], n));
			ASK("aligned_alloc", aligns[k], n, aligned_alloc(aligns[k], n));
		}
	}
	for (unsigned k = 0; k < sizeof(aligns) / sizeof(aligns[0]) - 2; k++)
		ASK("aligned_alloc", aligns[k], 1000, aligned_alloc(aligns[k], 1000));
	free(NULL);
	return 0;
}
