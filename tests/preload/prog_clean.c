/*
 * prog_clean.c - gives back all it takes: realloc storms, blocks freed by another thread, odd
 * alignments and sizes.
 *
 *     prog_clean ROUNDS
 */
#include <malloc.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define N_THREADS 2
#define N_BLOCKS  64

static long rounds;
static void *mailbox[N_THREADS][N_BLOCKS];

SITE static void storm(uint64_t *seed)
{
	void *p = NULL;

	for (int i = 0; i < 40; i++)
		p = keep(realloc(p, 1 + draw(seed) % (draw(seed) % 16 ? 3000 : 200000)));
	free(keep(realloc(p, 0)));
}

SITE static void *odd(uint64_t *seed)
{
	size_t align = (size_t)8 << draw(seed) % 7, n = draw(seed) % 1000;
	void *p;

	switch (draw(seed) % 5) {
	case 0:
		return keep(memalign(align, n));
	case 1: /* no multiple of the alignment: what comes of it differs */
		p = keep(aligned_alloc(align, n));
		return p ? p : keep(calloc(3, n));
	case 2:
		return posix_memalign(&p, align, n) ? NULL : keep(p);
	case 3:
		return keep(valloc(n));
	default:
		return keep(reallocarray(keep(malloc(n)), n + 1, 3));
	}
}

static void *work(void *number)
{
	long self = (long)(intptr_t)number;
	uint64_t seed = 7 + (uint64_t)self;

	for (long i = 0; i < rounds; i++) {
		void **slot = &mailbox[draw(&seed) % N_THREADS][draw(&seed) % N_BLOCKS];

		/* Mostly the other thread's. */
		free(__atomic_exchange_n(slot, odd(&seed), __ATOMIC_ACQ_REL));
		if (i % 50 == 0)
			storm(&seed);
		free(strdup("a word that libc copies"));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[N_THREADS];

	rounds = argc > 1 ? atol(argv[1]) : 1000;
	for (long i = 0; i < N_THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (long i = 0; i < N_THREADS; i++)
		REQUIRE(!pthread_join(threads[i], NULL));
	for (int i = 0; i < N_THREADS * N_BLOCKS; i++)
		free(mailbox[i / N_BLOCKS][i % N_BLOCKS]);
	heapspy_snapshot("end");
	return 0;
}
