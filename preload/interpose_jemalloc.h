/*
 * interpose_jemalloc.h - how libheapspy.so and libheapspy-jemalloc.so meet.
 *
 * jemalloc's functions beyond the C library's (mallocx and kin) may not be exported by
 * libheapspy.so: programs take their presence as a sign that jemalloc is there. So they
 * are in an object of their own, which is preloaded behind libheapspy.so where jemalloc is,
 * and which asks for what to call.
 */
#ifndef HEAPSPY_INTERPOSE_JEMALLOC_H
#define HEAPSPY_INTERPOSE_JEMALLOC_H

#include <stddef.h>

/* As in jemalloc(3). */
struct jemalloc_doors {
	void *(*mallocx)(size_t size, int flags);
	void *(*rallocx)(void *block, size_t size, int flags);
	size_t (*xallocx)(void *block, size_t size, size_t extra, int flags);
	void (*dallocx)(void *block, int flags);
	void (*sdallocx)(void *block, size_t size, int flags);
};

/*
 * Gives the functions that sample and forward to next, which is copied; NULL to all but the first
 * who asks, or a second copy of the object would make a ring. At load, or in the first call of a
 * door if that comes earlier. Weak, because the object may be loaded alone.
 */
const struct jemalloc_doors *heapspy_jemalloc_doors_v1(const struct jemalloc_doors *next)
	__attribute__((weak));

#endif
