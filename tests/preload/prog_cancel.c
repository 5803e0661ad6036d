/*
 * prog_cancel.c - cancels threads that allocate while holding a lock. malloc and free must not
 * become cancellation points: then the lock would stay held by a dead thread.
 *
 *     prog_cancel [ROUNDS]
 */
#include <pthread.h>
#include "victim.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned started;

static void *work(void *unused)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		for (int i = 0; i < 50; i++)
			free(keep(malloc(2000)));
		__atomic_store_n(&started, 1, __ATOMIC_RELEASE);
		pthread_mutex_unlock(&lock);
		pthread_testcancel();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 300;

	for (int i = 0; i < rounds; i++) {
		pthread_t thread;
		void *result;

		started = 0;
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
		while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
			sleep_s(0.00005);
		pthread_cancel(thread);
		REQUIRE(!pthread_join(thread, &result) && result == PTHREAD_CANCELED);
		REQUIRE(pthread_mutex_trylock(&lock) == 0);
		pthread_mutex_unlock(&lock);
	}
	printf("{\"rounds\": %d}\n", rounds);
	return 0;
}
