/*
 * lib_bump.c - a malloc that signal handlers may call: it hands out ever new memory, without a
 * lock. For victims whose handlers allocate, which the C library's malloc does not survive.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (64ul << 30)
#define HEAD_BYTES  16

void *malloc(size_t bytes);
void free(void *p);
void *calloc(size_t n, size_t bytes);
void *realloc(void *p, size_t bytes);
void *reallocarray(void *p, size_t n, size_t bytes);
void *memalign(size_t alignment, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
int posix_memalign(void **out, size_t alignment, size_t bytes);
void *valloc(size_t bytes);
void *pvalloc(size_t bytes);
size_t malloc_usable_size(void *p);

static uintptr_t arena, used_bytes;

/* Not by an exported name, which would lead to whoever interposes it. */
static void *take(size_t alignment, size_t bytes)
{
	uintptr_t mine, at, expected = 0;

	if (alignment < HEAD_BYTES)
		alignment = HEAD_BYTES;
	if (!__atomic_load_n(&arena, __ATOMIC_ACQUIRE)) {
		void *map = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (map == MAP_FAILED)
			return NULL;
		if (!__atomic_compare_exchange_n(&arena, &expected, (uintptr_t)map, 0,
			    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
			munmap(map, ARENA_BYTES);
	}
	if (bytes > ARENA_BYTES / 4)
		goto full;
	mine = __atomic_fetch_add(
		&used_bytes, (bytes + alignment + 2 * HEAD_BYTES) & -16ul, __ATOMIC_RELAXED);
	if (mine > ARENA_BYTES / 2)
		goto full;
	at = (arena + mine + HEAD_BYTES + alignment - 1) & -alignment;
	((size_t *)at)[-1] = bytes;
	return (void *)at;
full:
	errno = ENOMEM;
	return NULL;
}

void *memalign(size_t alignment, size_t bytes)
{
	return take(alignment, bytes);
}

void *malloc(size_t bytes)
{
	return take(HEAD_BYTES, bytes);
}

void free(void *p)
{
}

size_t malloc_usable_size(void *p)
{
	return p ? ((size_t *)p)[-1] : 0;
}

void *calloc(size_t n, size_t bytes)
{
	size_t total;

	return take(HEAD_BYTES, __builtin_mul_overflow(n, bytes, &total) ? SIZE_MAX : total);
}

void *realloc(void *p, size_t bytes)
{
	void *fresh = take(HEAD_BYTES, bytes);
	size_t old_bytes = malloc_usable_size(p);

	if (fresh && p)
		memcpy(fresh, p, old_bytes < bytes ? old_bytes : bytes);
	return fresh;
}

void *reallocarray(void *p, size_t n, size_t bytes)
{
	size_t total;

	return realloc(p, __builtin_mul_overflow(n, bytes, &total) ? SIZE_MAX : total);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return take(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	void *p = take(alignment, bytes);

	if (p)
		*out = p;
	return p ? 0 : ENOMEM;
}

void *valloc(size_t bytes)
{
	return take(4096, bytes);
}

void *pvalloc(size_t bytes)
{
	return take(4096, (bytes + 4095) & -4096ul);
}
