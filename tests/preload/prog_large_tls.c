/*
 * prog_large_tls.c - a thread with a MiB of thread-local memory, so that each stack that libc makes
 * must be larger than that, the helper's too; waits until told by a line on stdin.
 */
#include <pthread.h>
#include "victim.h"

static __thread char large[1 << 20];

SITE static void keep_blocks(void)
{
	for (int i = 0; i < 100; i++)
		REQUIRE(keep(malloc(1000)));
}

static void *work(void *unused)
{
	large[sizeof(large) - 1] = 1;
	keep_blocks();
	REQUIRE(getchar() == '\n');
	return large + 1;
}

int main(void)
{
	pthread_t thread;

	large[0] = 1;
	REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	REQUIRE(!pthread_join(thread, NULL));
	return 0;
}
