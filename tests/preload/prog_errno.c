/*
 * prog_errno.c - a call that succeeds must leave errno alone; so must every free, and whatever is
 * done at the end of the program, before its own exit handlers.
 *
 *     prog_errno [ROUNDS [WORD]]     exit 0, or the first function that changed errno on stderr
 *                                    a WORD: no file can be opened
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define MARK 123
#define UNCHANGED(expression)                                                                      \
	do {                                                                                       \
		errno = MARK;                                                                      \
		expression;                                                                        \
		fail_unless(errno == MARK, "errno changed by " #expression);                       \
	} while (0)

static void at_exit(void)
{
	fail_unless(errno == MARK, "errno changed on the way to the exit handlers");
}

static void *nothing(void *unused)
{
	return NULL;
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 1000;
	volatile size_t huge = PTRDIFF_MAX;
	pthread_t thread;
	void *p, *q;

	REQUIRE(!atexit(at_exit));
	if (argc > 2)
		REQUIRE(!setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 0, 0 }));
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
	UNCHANGED(heapspy_snapshot("a label"));
	UNCHANGED(REQUIRE(!pthread_create(&thread, NULL, nothing, NULL)));
	UNCHANGED(pthread_join(thread, NULL));
	for (long i = 0; i < rounds; i++)
		UNCHANGED(free(keep(malloc(1000))));
	errno = MARK;
	return 0;
}
