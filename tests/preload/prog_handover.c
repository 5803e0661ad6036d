/*
 * prog_handover.c - eight threads hand blocks of one size class to each other; the receiver frees.
 *
 *     prog_handover OPERATIONS       of each thread
 */
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "sites.h"

#define N_THREADS 8
#define N_PASSING 64

SITE static void *hand_over(void *old, size_t n)
{
	return keep(malloc(n));
}

static struct site site = { "hand_over", hand_over };
static void *passing[N_PASSING]; /* the first word of a block is its size */
static long n_operations;

static void *work(void *number)
{
	uint64_t seed = 99 + (uint64_t)(uintptr_t)number;

	for (long i = 0; i < n_operations; i++) {
		size_t bytes = 33 + draw(&seed) % 8, *mine = site.make(NULL, bytes), *theirs;

		REQUIRE(mine);
		*mine = bytes;
		site_birth(&site, bytes);
		theirs = __atomic_exchange_n(
			&passing[draw(&seed) % N_PASSING], mine, __ATOMIC_ACQ_REL);
		if (theirs) {
			site_death(&site, *theirs);
			free(theirs);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[N_THREADS];

	n_operations = argc > 1 ? atol(argv[1]) : 100000;
	for (long i = 0; i < N_THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (long i = 0; i < N_THREADS; i++)
		REQUIRE(!pthread_join(threads[i], NULL));
	heapspy_snapshot("end");
	sites_print(&site, 1);
	return 0;
}
