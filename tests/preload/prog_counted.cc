/*
 * prog_counted.cc - N times one operation, and little else: instructions are counted.
 *
 *     prog_counted pair|calloc|realloc|new|stack N
 *
 * pair: malloc and free of 64 bytes; calloc, new: likewise; realloc: malloc, realloc to 70 bytes,
 * which fit where the 64 are, free. stack: malloc and free of 1000 bytes under 31 frames, in two
 * functions by turns.
 */
#include <cstring>
#include <new>
#include "victim.h"

#define DEPTH 26 /* and the leaf, main, the library's frame below it, and libc's three */

static void __attribute__((noinline)) leaf_a()
{
	free(keep(malloc(1000)));
}

static void __attribute__((noinline)) leaf_b()
{
	free(keep(malloc(1000)));
}

static void __attribute__((noinline)) descend(int depth, long n)
{
	if (depth > 1)
		descend(depth - 1, n);
	else
		for (long i = 0; i < n; i++)
			i % 2 ? leaf_a() : leaf_b();
}

static void operate(const char *what, long n)
{
	if (!strcmp(what, "pair"))
		for (; n > 0; n--)
			free(keep(malloc(64)));
	else if (!strcmp(what, "calloc"))
		for (; n > 0; n--)
			free(keep(calloc(4, 16)));
	else if (!strcmp(what, "realloc"))
		for (; n > 0; n--)
			free(keep(realloc(keep(malloc(64)), 70)));
	else if (!strcmp(what, "new"))
		for (; n > 0; n--)
			::operator delete(keep(::operator new(64)));
	else
		descend(DEPTH, n);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	operate(argv[1], atol(argv[2]));
	return 0;
}
