/*
 * prog_peak.c BASE PEAK BLOCK THREADS - holds BASE blocks of BLOCK bytes, and PEAK more for a
 * while, which THREADS threads make (0: the main thread). Says "up" when it holds most, "down" when
 * only the base is left, and goes on by a line of its standard input after each. Prints the truth.
 */
#include <pthread.h>
#include "victim.h"

#define THREADS_MAX 16

static void ***blocks; /* of each thread */
static long block_bytes, per_thread;

SITE static void *base_block(void)
{
	return memset(keep(malloc((size_t)block_bytes)), 1, (size_t)block_bytes);
}

/* Not the same code as base_block(), or the two might become one. */
SITE static void *peak_block(void)
{
	return memset(keep(malloc((size_t)block_bytes)), 2, (size_t)block_bytes);
}

static void *rise(void *argument)
{
	void **mine = argument;
	long i;

	for (i = 0; i < per_thread; i++)
		mine[i] = peak_block();
	return NULL;
}

static void go_on(const char *word)
{
	char line[80];

	fprintf(stderr, "%s\n", word);
	if (!fgets(line, sizeof(line), stdin))
		return;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	long base, n_threads, i, j;
	void **bases;

	REQUIRE(argc == 5);
	base = atol(argv[1]);
	block_bytes = atol(argv[3]);
	n_threads = atol(argv[4]);
	REQUIRE(n_threads <= THREADS_MAX);
	per_thread = atol(argv[2]) / (n_threads ? n_threads : 1);
	bases = calloc((size_t)base, sizeof(*bases));
	blocks = calloc((size_t)n_threads + 1, sizeof(*blocks));
	for (i = 0; i <= n_threads; i++)
		blocks[i] = calloc((size_t)per_thread, sizeof(**blocks));
	for (i = 0; i < base; i++)
		bases[i] = base_block();
	for (i = 0; i < n_threads; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, rise, blocks[i]));
	if (!n_threads)
		rise(blocks[0]);
	for (i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	go_on("up");
	for (i = 0; i <= n_threads; i++)
		for (j = 0; j < per_thread; j++)
			free(blocks[i][j]);
	go_on("down");
	printf("{\"base\": %ld, \"most\": %ld}\n", base * block_bytes,
		(base + per_thread * (n_threads ? n_threads : 1)) * block_bytes);
	return 0;
}
