/*
 * prog_errno.c - a call that succeeds must leave errno alone; so must every free.
 *
 *     prog_errno [ROUNDS]        exit 0, or the first function that changed errno on stderr
 */
#include <errno.h>
#include <malloc.h>
#include "victim.h"

#define MARK 123
#define UNCHANGED(expression)                                                                      \
	do {                                                                                       \
		errno = MARK;                                                                      \
		expression;                                                                        \
		fail_unless(errno == MARK, "errno changed by " #expression);                       \
	} while (0)

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 1000;
	volatile size_t huge = PTRDIFF_MAX;
	void *p, *q;

	for (long i = 0; i < rounds; i++) {
		size_t n = 1 + (size_t)i * 37 % 100000;

		UNCHANGED(p = keep(malloc(n)));
		UNCHANGED(p = keep(realloc(p, n * 2)));
		UNCHANGED(p = keep(reallocarray(p, n, 3)));
		UNCHANGED(malloc_usable_size(p));
		UNCHANGED(free(p));
		UNCHANGED(p = keep(calloc(n, 1)));
		UNCHANGED(free(p));
		UNCHANGED(p = keep(memalign(64, n)));
		UNCHANGED(free(p));
		UNCHANGED(p = keep(aligned_alloc(64, n)));
		UNCHANGED(free(p));
		UNCHANGED(p = keep(valloc(n)));
		UNCHANGED(free(p));
		UNCHANGED(p = keep(pvalloc(n)));
		UNCHANGED(free(p));
		UNCHANGED(REQUIRE(posix_memalign(&p, 64, n) == 0));
		UNCHANGED(free(p));
		UNCHANGED(free(NULL));
		p = q = keep(malloc(16));
		REQUIRE(posix_memalign(&q, 64, huge) == ENOMEM && q == p);
		UNCHANGED(REQUIRE(posix_memalign(&q, 3, 8) == EINVAL && q == p));
		free(p);
		errno = 0;
		REQUIRE(!keep(malloc(huge)) && errno == ENOMEM);
		errno = 0;
		REQUIRE(!keep(calloc(huge, 4)) && errno == ENOMEM);
	}
	return 0;
}
