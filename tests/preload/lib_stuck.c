/*
 * lib_stuck.c - an allocator that one can bring to a stop: whoever asks it for STUCK_BYTES gets its
 * lock and never comes back, and neither does anybody who allocates or frees after that.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#define STUCK_BYTES 123457

extern void *__libc_malloc(size_t bytes);
extern void __libc_free(void *p);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes);
void free(void *p);
void *calloc(size_t n, size_t bytes);
void *realloc(void *p, size_t bytes);
void *memalign(size_t alignment, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
int posix_memalign(void **out, size_t alignment, size_t bytes);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void pass(size_t bytes)
{
	pthread_mutex_lock(&lock);
	while (bytes == STUCK_BYTES)
		pause();
	pthread_mutex_unlock(&lock);
}

void *malloc(size_t bytes)
{
	pass(bytes);
	return __libc_malloc(bytes);
}

void free(void *p)
{
	pass(0);
	__libc_free(p);
}

void *calloc(size_t n, size_t bytes)
{
	pass(0);
	return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
	pass(0);
	return __libc_realloc(p, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
	pass(0);
	return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	*out = memalign(alignment, bytes);
	return *out ? 0 : ENOMEM;
}
