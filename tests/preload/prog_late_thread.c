/*
 * prog_late_thread.c - N threads, one after the other, whose first allocation comes in the last
 * round of the destructors of keys: a block each that is kept, and as many again that are not.
 *
 *     prog_late_thread N
 */
#include <limits.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define KEPT_BYTES 100

static pthread_key_t key;

SITE static void *keep_late(void)
{
	return keep(malloc(KEPT_BYTES));
}

static void destructor(void *round)
{
	if ((long)round < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(key, (void *)((long)round + 1));
		return;
	}
	keep_late();
	free(keep(malloc(KEPT_BYTES)));
}

static void *work(void *unused)
{
	pthread_setspecific(key, (void *)1);
	return NULL;
}

static void run_some(long n)
{
	pthread_t thread;

	for (long i = 0; i < n; i++) {
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
		pthread_join(thread, NULL);
	}
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000, before_kib;

	REQUIRE(!pthread_key_create(&key, destructor));
	run_some(n / 10);
	before_kib = private_kib();
	run_some(n - n / 10);
	printf("{\"live\": %ld, \"grown_kib\": %ld}\n", n * KEPT_BYTES, private_kib() - before_kib);
	heapspy_snapshot("end");
	return 0;
}
