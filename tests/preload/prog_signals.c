/*
 * prog_signals.c - four threads allocate while SIGPROF and SIGALRM handlers allocate as well.
 * To be run above lib_bump.so: other mallocs may not be called from handlers.
 *
 *     prog_signals SECONDS
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include "victim.h"

static volatile int stop;
static unsigned long handled;

SITE static void allocate(size_t n)
{
	free(keep(malloc(n)));
	free(keep(realloc(keep(calloc(1, n)), n + 100)));
}

static void handler(int sig)
{
	allocate(200);
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

static void *work(void *unused)
{
	while (!stop)
		allocate(100);
	return NULL;
}

int main(int argc, char **argv)
{
	struct itimerval every_100us = { { 0, 100 }, { 0, 100 } };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER };
	double until_s = now_s() + atof(argc > 1 ? argv[1] : "2");
	pthread_t threads[4];

	sigaction(SIGPROF, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, work, NULL));
	setitimer(ITIMER_PROF, &every_100us, NULL);
	setitimer(ITIMER_REAL, &every_100us, NULL);
	while (now_s() < until_s)
		allocate(50);
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	setitimer(ITIMER_PROF, &(struct itimerval){ 0 }, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	printf("{\"handled\": %lu}\n", handled);
	return 0;
}
