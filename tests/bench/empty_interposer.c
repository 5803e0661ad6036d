/*
 * empty_interposer.c - what any interposer costs at least: each function jumps to the next one.
 * libheapspy.so is measured against this library.
 */
#include <dlfcn.h>
#include <stddef.h>

void *malloc(size_t bytes);
void free(void *p);
void *calloc(size_t n, size_t bytes);
void *realloc(void *p, size_t bytes);

static void *(*next_malloc)(size_t);
static void (*next_free)(void *);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);

__attribute__((cold, noinline)) static void resolve(void)
{
	next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
}

void *malloc(size_t bytes)
{
	if (__builtin_expect(!next_malloc, 0))
		resolve();
	return next_malloc(bytes);
}

void free(void *p)
{
	if (__builtin_expect(!next_free, 0))
		resolve();
	next_free(p);
}

void *calloc(size_t n, size_t bytes)
{
	if (__builtin_expect(!next_calloc, 0))
		resolve();
	return next_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
	if (__builtin_expect(!next_realloc, 0))
		resolve();
	return next_realloc(p, bytes);
}
