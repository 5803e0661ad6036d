/*
 * prog_threads.c - N short threads, each allocating 16 blocks of 4000 bytes and keeping one of 100.
 *
 *     prog_threads [N]
 */
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define N_BLOCKS    16
#define BLOCK_BYTES 4000
#define KEPT_BYTES  100

SITE static void *keep_one(void)
{
	return keep(malloc(KEPT_BYTES));
}

static void *work(void *unused)
{
	for (int i = 0; i < N_BLOCKS; i++)
		free(keep(malloc(BLOCK_BYTES)));
	return keep_one();
}

static void run_one(void)
{
	pthread_t thread;
	void *kept;

	REQUIRE(pthread_create(&thread, NULL, work, NULL) == 0);
	REQUIRE(pthread_join(thread, &kept) == 0 && kept);
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 20000, before_kib;

	for (long i = 0; i < n / 10; i++)
		run_one();
	before_kib = private_kib();
	for (long i = n / 10; i < n; i++)
		run_one();
	printf("{\"bytes\": %ld, \"live\": %ld, \"grown_kib\": %ld}\n",
		n * (N_BLOCKS * BLOCK_BYTES + KEPT_BYTES), n * KEPT_BYTES,
		private_kib() - before_kib);
	heapspy_snapshot("end");
	return 0;
}
