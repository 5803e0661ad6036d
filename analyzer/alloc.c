/* alloc.c - owns the one answer to a failed allocation at the desk. */
#include "analyzer/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/fail.h"

static void __attribute__((noreturn)) out_of_memory(size_t n, size_t size)
{
	fail_warn("out of memory: no room for %zu x %zu bytes", n, size);
	exit(EXIT_CODE_OTHER);
}

void *alloc_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		out_of_memory(n, size);
	return p;
}

void *alloc_aligned(size_t size)
{
	size_t bytes = (size + ALLOC_ALIGNMENT - 1) / ALLOC_ALIGNMENT * ALLOC_ALIGNMENT;
	void *p = aligned_alloc(ALLOC_ALIGNMENT, bytes);

	if (!p)
		out_of_memory(1, size);
	return memset(p, 0, bytes);
}

void *alloc_resize(void *array, size_t n, size_t size)
{
	void *p = reallocarray(array, n ? n : 1, size);

	if (!p)
		out_of_memory(n, size);
	return p;
}

void *alloc_room(void *array, size_t n, size_t *capacityp, size_t size)
{
	if (n < *capacityp)
		return array;
	*capacityp = *capacityp ? *capacityp * 2 : 16;
	return alloc_resize(array, *capacityp, size);
}

char *alloc_text(const char *text, size_t bytes)
{
	char *copy = alloc_array(bytes + 1, 1);

	memcpy(copy, text, bytes);
	return copy;
}
