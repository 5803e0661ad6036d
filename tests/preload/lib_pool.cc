/* lib_pool.cc - a library that brings operator new and delete of its own: each block has a header.
 */
#include <new>
#include "victim.h"

static const long mark = 0x5afe;

void *operator new(size_t bytes)
{
	long *block = static_cast<long *>(malloc(bytes + 2 * sizeof(long)));

	REQUIRE(block);
	block[0] = mark;
	return block + 2;
}

void operator delete(void *p) noexcept
{
	long *block = static_cast<long *>(p) - 2;

	if (!p)
		return;
	REQUIRE(block[0] == mark);
	free(block);
}

void operator delete(void *p, size_t) noexcept
{
	operator delete(p);
}

int *pool_make()
{
	return new int(7);
}
