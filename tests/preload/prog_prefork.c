/*
 * prog_prefork.c - a server that forks its workers beforehand.
 *
 *     prog_prefork WORKERS BLOCKS BYTES [SECONDS ROUNDS]
 *
 * Each worker keeps BLOCKS blocks of BYTES bytes in worker_keep(). When all have, "ready" and the
 * pids of the workers are printed, one line; they go on making and freeing blocks until the end of
 * stdin. With SECONDS each worker ends by itself after that time instead, and all are replaced,
 * ROUNDS times.
 */
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

static int ready[2], stop[2];
static double life_s;

SITE static void worker_keep(long n, size_t bytes)
{
	void **blocks = malloc((size_t)n * sizeof(*blocks));

	for (long i = 0; i < n; i++)
		blocks[i] = keep(malloc(bytes));
	keep(blocks);
}

SITE static void worker_serve(void)
{
	free(keep(malloc(2000)));
}

/* Whether the parent has closed its end; waits a moment for that. */
static int is_over(int fd)
{
	struct timeval moment = { 0, 20000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &moment) > 0;
}

static void worker(long n, size_t bytes)
{
	double until_s = now_s() + life_s;

	close(stop[1]);
	worker_keep(n, bytes);
	REQUIRE(write(ready[1], "r", 1) == 1);
	while (life_s ? now_s() < until_s : !is_over(stop[0])) {
		worker_serve();
		if (life_s)
			sleep_s(0.005);
	}
	exit(0);
}

static void wait_for_all(long n)
{
	int status;

	while (n-- > 0)
		REQUIRE(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	long n_workers, n_blocks, rounds = 1;
	char c, pids[16384];
	size_t at = 0;

	REQUIRE(argc == 4 || argc == 6);
	n_workers = atol(argv[1]);
	n_blocks = atol(argv[2]);
	if (argc == 6) {
		life_s = atof(argv[4]);
		rounds = atol(argv[5]);
	}
	REQUIRE(n_workers <= 1000 && !pipe(ready) && !pipe(stop));
	/* So that workers inherit what heapspy knows of a thread that allocates. */
	free(keep(malloc(100)));
	for (long round = 0; round < rounds; round++) {
		for (long i = 0; i < n_workers; i++) {
			pid_t pid = fork();

			REQUIRE(pid >= 0);
			if (!pid)
				worker(n_blocks, (size_t)atol(argv[3]));
			at += (size_t)(round ? 0 : sprintf(pids + at, " %d", pid));
		}
		for (long i = 0; i < n_workers; i++)
			REQUIRE(read(ready[0], &c, 1) == 1);
		if (!life_s) {
			printf("ready%s\n", pids);
			fflush(stdout);
			REQUIRE(read(0, &c, 1) == 0);
			close(stop[1]);
		}
		wait_for_all(n_workers);
	}
	return 0;
}
