/*
 * prog_fork_storm.c - forks while a thread allocates without a pause. A child allocates by itself
 * and by a thread of its own: whatever lock the other thread held at the fork must be free there.
 *
 *     prog_fork_storm CHILDREN
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

static int stop;

static void churn(uint64_t seed, long n_operations)
{
	void *blocks[64] = { 0 };

	for (long i = 0; i < n_operations; i++) {
		void **b = &blocks[draw(&seed) % 64];

		free(*b);
		*b = keep(malloc(draw(&seed) % 5000));
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
}

static void *churn_on(void *unused)
{
	for (uint64_t seed = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); seed++)
		churn(seed, 1000);
	return NULL;
}

static void *churn_once(void *unused)
{
	churn(9, 500);
	return NULL;
}

static void child(void)
{
	pthread_t thread;

	churn(5, 500);
	REQUIRE(!pthread_create(&thread, NULL, churn_once, NULL));
	REQUIRE(!pthread_join(thread, NULL));
	_exit(3);
}

int main(int argc, char **argv)
{
	long n_children = argc > 1 ? atol(argv[1]) : 10;
	pthread_t thread;
	int status;

	REQUIRE(!pthread_create(&thread, NULL, churn_on, NULL));
	for (long i = 0; i < n_children; i++) {
		pid_t pid = fork();

		if (!pid)
			child();
		REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
		REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	REQUIRE(!pthread_join(thread, NULL));
	return 0;
}
