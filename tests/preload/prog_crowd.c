/*
 * prog_crowd.c - N threads that allocate and then live on until the end, each with BLOCKS blocks
 * of 100 bytes, of which it keeps one.
 *
 *     prog_crowd N BLOCKS
 */
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

static pthread_barrier_t all_here, all_done;
static long n_blocks;

SITE static void *keep_one(void)
{
	return keep(malloc(100));
}

static void *work(void *unused)
{
	for (long i = 1; i < n_blocks; i++)
		free(keep(malloc(100)));
	keep_one();
	pthread_barrier_wait(&all_here);
	pthread_barrier_wait(&all_done);
	return NULL;
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000, before_kib;
	pthread_t thread;

	n_blocks = argc > 2 ? atol(argv[2]) : 1;
	pthread_barrier_init(&all_here, NULL, n + 1);
	pthread_barrier_init(&all_done, NULL, n + 1);
	free(keep(malloc(100)));
	before_kib = private_kib();
	for (long i = 0; i < n; i++)
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	pthread_barrier_wait(&all_here);
	printf("{\"live\": %ld, \"grown_kib\": %ld}\n", n * 100, private_kib() - before_kib);
	heapspy_snapshot("end");
	pthread_barrier_wait(&all_done);
	return 0;
}
