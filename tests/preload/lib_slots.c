/*
 * lib_slots.c - an allocator that a signal handler may call at any instruction of any other call of
 * it, and that takes blocks back: one list of free blocks for each power of two, without locks.
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (4ul << 30) /* reserved; what is used is what is live at most */
#define UNIT_BYTES  16
#define N_CLASSES   28
#define SHIFTED     N_CLASSES

struct block {
	uint32_t class; /* SHIFTED: begins next units behind another one, to be aligned */
	uint32_t next;  /* unit of the next free block */
	uint64_t size;
};

static char *arena;
static uint64_t n_used = 1;         /* units */
static uint64_t free_of[N_CLASSES]; /* 32 bits of version, 32 of the first block's unit */

static struct block *at(uint64_t unit)
{
	return (struct block *)(arena + unit * UNIT_BYTES);
}

static void make_arena(void)
{
	char *none = NULL, *made = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (made == MAP_FAILED)
		abort();
	if (!__atomic_compare_exchange_n(
		    &arena, &none, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		munmap(made, ARENA_BYTES);
}

void *malloc(size_t n)
{
	uint64_t head, unit, units;
	struct block *block;
	uint32_t class;

	if (!__atomic_load_n(&arena, __ATOMIC_ACQUIRE))
		make_arena();
	if (n > 1ul << 30) {
		errno = ENOMEM;
		return NULL;
	}
	class = (uint32_t)(64 - __builtin_clzl((n + UNIT_BYTES - 1) / UNIT_BYTES | 1));
	head = __atomic_load_n(&free_of[class], __ATOMIC_ACQUIRE);
	do {
		unit = (uint32_t)head;
		if (!unit)
			break;
	} while (!__atomic_compare_exchange_n(&free_of[class], &head,
		((head >> 32) + 1) << 32 | at(unit)->next, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	if (!unit) {
		units = 1 + (1ul << class);
		unit = __atomic_fetch_add(&n_used, units, __ATOMIC_RELAXED);
		if ((unit + units) * UNIT_BYTES > ARENA_BYTES)
			abort();
	}
	block = at(unit);
	block->class = class;
	block->size = n;
	return block + 1;
}

void free(void *p)
{
	struct block *block = (struct block *)p - 1;
	uint64_t unit, head, next;

	if (!p)
		return;
	if (block->class == SHIFTED)
		block -= block->next;
	unit = (uint64_t)((char *)block - arena) / UNIT_BYTES;
	head = __atomic_load_n(&free_of[block->class], __ATOMIC_ACQUIRE);
	do {
		block->next = (uint32_t)head;
		next = ((head >> 32) + 1) << 32 | unit;
	} while (!__atomic_compare_exchange_n(
		&free_of[block->class], &head, next, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

void *calloc(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	p = malloc(bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

void *realloc(void *old, size_t n)
{
	void *p = malloc(n);
	size_t kept = old ? ((struct block *)old - 1)->size : 0;

	if (p && old) {
		memcpy(p, old, kept < n ? kept : n);
		free(old);
	}
	return p;
}

/* alignment: a power of two. */
void *memalign(size_t alignment, size_t n)
{
	struct block *block;
	char *p, *aligned;

	if (alignment <= UNIT_BYTES)
		return malloc(n);
	p = n <= 1ul << 30 ? malloc(n + alignment) : NULL;
	if (!p) {
		errno = ENOMEM;
		return NULL;
	}
	aligned = (char *)(((uintptr_t)p + alignment - 1) & -alignment);
	block = (struct block *)aligned - 1;
	if (aligned != p) {
		block->class = SHIFTED;
		block->next = (uint32_t)((aligned - p) / UNIT_BYTES);
		block->size = n;
	}
	return aligned;
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return memalign(alignment, n);
}

int posix_memalign(void **block, size_t alignment, size_t n)
{
	void *p = memalign(alignment, n);

	if (!p)
		return ENOMEM;
	*block = p;
	return 0;
}
