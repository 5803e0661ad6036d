/*
 * empty_interposer.c - what any interposer costs at least: one jump a call. The
 * pointers begin at stubs that look the next functions up, so that nothing is
 * asked on the way. libheapspy.so is measured against this library.
 */
#include <dlfcn.h>
#include <stddef.h>

void *malloc(size_t bytes);
void free(void *p);
void *calloc(size_t n, size_t bytes);
void *realloc(void *p, size_t bytes);

static void *first_malloc(size_t bytes);
static void first_free(void *p);
static void *first_calloc(size_t n, size_t bytes);
static void *first_realloc(void *p, size_t bytes);

static void *(*next_malloc)(size_t) = first_malloc;
static void (*next_free)(void *) = first_free;
static void *(*next_calloc)(size_t, size_t) = first_calloc;
static void *(*next_realloc)(void *, size_t) = first_realloc;

static void resolve(void)
{
	next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
}

static void *first_malloc(size_t bytes)
{
	resolve();
	return next_malloc(bytes);
}

static void first_free(void *p)
{
	resolve();
	next_free(p);
}

static void *first_calloc(size_t n, size_t bytes)
{
	resolve();
	return next_calloc(n, bytes);
}

static void *first_realloc(void *p, size_t bytes)
{
	resolve();
	return next_realloc(p, bytes);
}

void *malloc(size_t bytes)
{
	return next_malloc(bytes);
}

void free(void *p)
{
	next_free(p);
}

void *calloc(size_t n, size_t bytes)
{
	return next_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
	return next_realloc(p, bytes);
}
