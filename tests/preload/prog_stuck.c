/*
 * prog_stuck.c - keeps 100 blocks of 1000 bytes, says "ready" and is dead-locked in its allocator
 * from then on: two threads, one inside of it and one before its lock. With lib_stuck.so. The
 * helper is made by then, for which libc allocates: with the first thread, before pthread_create
 * returns.
 */
#include <pthread.h>
#include <unistd.h>
#include "victim.h"

#define STUCK_BYTES 123457 /* lib_stuck.c */

static void *kept[100];

SITE static void keep_blocks(void)
{
	for (int i = 0; i < 100; i++)
		kept[i] = keep(malloc(1000));
}

static pthread_barrier_t thread_is_made;

static void *enter(void *arg)
{
	pthread_barrier_wait(&thread_is_made);
	keep(malloc(STUCK_BYTES));
	return NULL;
}

int main(void)
{
	pthread_t thread;

	keep_blocks();
	printf("ready\n");
	fflush(stdout);
	REQUIRE(!pthread_barrier_init(&thread_is_made, NULL, 2));
	REQUIRE(!pthread_create(&thread, NULL, enter, NULL));
	pthread_barrier_wait(&thread_is_made);
	for (;;)
		free(keep(malloc(10)));
}
