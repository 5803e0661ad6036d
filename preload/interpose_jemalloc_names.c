/*
 * interpose_jemalloc_names.c - libheapspy-jemalloc.so: the names of jemalloc's functions beyond
 * the C library's, and what is behind them. Sampling is libheapspy.so's (interpose_jemalloc.c).
 *
 * Behind are the definitions next in link order: what the program would have called without
 * us. Where there are none (the object was inherited by a program without jemalloc) the names
 * do what jemalloc(3) says, by malloc and free; libheapspy.so sees those as any others. A
 * program that looks for jemalloc by more than these five, as by mallctl, is not deceived.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "preload/compiler.h"
#include "preload/interpose_jemalloc.h"

/* jemalloc/jemalloc.h. The other flags choose caches and arenas, which only jemalloc has. */
#define LG_ALIGN_MASK 0x3f
#define ZERO          0x40

#define MALLOC_ALIGN 8 /* of small blocks: tcmalloc and mimalloc promise no more */

void *mallocx(size_t size, int flags);
void *rallocx(void *block, size_t size, int flags);
size_t xallocx(void *block, size_t size, size_t extra, int flags);
void dallocx(void *block, int flags);
void sdallocx(void *block, size_t size, int flags);

static size_t align_of(int flags)
{
	return (size_t)1 << (flags & LG_ALIGN_MASK);
}

/* jemalloc clears the real size, on which a later rallocx builds. */
static void clear_from(char *block, size_t from, size_t size)
{
	size_t usable = malloc_usable_size(block), end = usable > size ? usable : size;

	if (end > from)
		memset(block + from, 0, end - from);
}

static void *allocate(size_t size, size_t align)
{
	return align <= MALLOC_ALIGN ? malloc(size) : memalign(align, size);
}

static void *made_mallocx(size_t size, int flags)
{
	void *block;

	if (!(flags & ZERO)) /* by a jump, so that the block is its caller's */
		return allocate(size, align_of(flags));
	block = allocate(size, align_of(flags));
	if (block)
		clear_from(block, 0, size);
	return block;
}

/* realloc knows no alignment. */
static void *move_aligned(void *old, size_t had, size_t size, size_t align)
{
	void *block = had ? memalign(align, size) : NULL; /* 0: malloc tells no size, so no copy */

	if (block) {
		memcpy(block, old, had < size ? had : size);
		free(old);
	}
	return block;
}

static void *made_rallocx(void *old, size_t size, int flags)
{
	size_t had;
	void *block;

	if (align_of(flags) <= MALLOC_ALIGN && !(flags & ZERO))
		return realloc(old, size);
	had = malloc_usable_size(old);
	block = align_of(flags) <= MALLOC_ALIGN ? realloc(old, size)
						: move_aligned(old, had, size, align_of(flags));
	if (block && had && flags & ZERO)
		clear_from(block, had, size);
	return block;
}

/* Nothing can be done in place, but that is an answer. */
static size_t made_xallocx(void *block, size_t size, size_t extra, int flags)
{
	return malloc_usable_size(block);
}

static void made_dallocx(void *block, int flags)
{
	free(block);
}

static void made_sdallocx(void *block, size_t size, int flags)
{
	free(block);
}

static void *first_mallocx(size_t size, int flags);
static void *first_rallocx(void *block, size_t size, int flags);
static size_t first_xallocx(void *block, size_t size, size_t extra, int flags);
static void first_dallocx(void *block, int flags);
static void first_sdallocx(void *block, size_t size, int flags);

/* Constant after the first call, which is made before the process has a second thread. */
static struct jemalloc_doors doors = { first_mallocx, first_rallocx, first_xallocx, first_dallocx,
	first_sdallocx };

/* False when one is missing; then an error text that the program could read is dropped again. */
static bool find_next(struct jemalloc_doors *next)
{
	next->mallocx = (void *(*)(size_t, int))dlsym(RTLD_NEXT, "mallocx");
	if (next->mallocx)
		next->rallocx = (void *(*)(void *, size_t, int))dlsym(RTLD_NEXT, "rallocx");
	if (next->rallocx)
		next->xallocx = (size_t(*)(void *, size_t, size_t, int))dlsym(RTLD_NEXT, "xallocx");
	if (next->xallocx)
		next->dallocx = (void (*)(void *, int))dlsym(RTLD_NEXT, "dallocx");
	if (next->dallocx)
		next->sdallocx = (void (*)(void *, size_t, int))dlsym(RTLD_NEXT, "sdallocx");
	if (!next->sdallocx)
		dlsym(RTLD_NEXT, "malloc");
	return next->sdallocx;
}

static __attribute__((constructor)) void resolve(void)
{
	static const struct jemalloc_doors made = { made_mallocx, made_rallocx, made_xallocx,
		made_dallocx, made_sdallocx };
	const struct jemalloc_doors *sampling = NULL;
	struct jemalloc_doors next = { 0 };

	if (doors.mallocx != first_mallocx)
		return;
	if (!find_next(&next)) {
		doors = made;
		return;
	}
	if (heapspy_jemalloc_doors_v1)
		sampling = heapspy_jemalloc_doors_v1(&next);
	doors = sampling ? *sampling : next;
}

static void *first_mallocx(size_t size, int flags)
{
	resolve();
	return doors.mallocx(size, flags);
}

static void *first_rallocx(void *block, size_t size, int flags)
{
	resolve();
	return doors.rallocx(block, size, flags);
}

static size_t first_xallocx(void *block, size_t size, size_t extra, int flags)
{
	resolve();
	return doors.xallocx(block, size, extra, flags);
}

static void first_dallocx(void *block, int flags)
{
	resolve();
	doors.dallocx(block, flags);
}

static void first_sdallocx(void *block, size_t size, int flags)
{
	resolve();
	doors.sdallocx(block, size, flags);
}

HS_EXPORT void *mallocx(size_t size, int flags)
{
	return doors.mallocx(size, flags);
}

HS_EXPORT void *rallocx(void *block, size_t size, int flags)
{
	return doors.rallocx(block, size, flags);
}

HS_EXPORT size_t xallocx(void *block, size_t size, size_t extra, int flags)
{
	return doors.xallocx(block, size, extra, flags);
}

HS_EXPORT void dallocx(void *block, int flags)
{
	doors.dallocx(block, flags);
}

HS_EXPORT void sdallocx(void *block, size_t size, int flags)
{
	doors.sdallocx(block, size, flags);
}
