/*
 * prog_months.c - what a process may meet in months, in seconds.
 *
 *     prog_months soak SECONDS     a peak after a fifth of the time, marked "early" before it;
 *                                  then half of it, with blocks that come and go
 *     prog_months stacks N         N blocks of 48 bytes from N distinct stacks, each freed at once
 *     prog_months hold MIB THREADS that much in blocks of 8 KiB, a share by each thread; "ready";
 *                                  ends with its input
 */
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define PEAK_BLOCKS 4000
#define HELD_BYTES  8192

static void *block[PEAK_BLOCKS];

SITE static void *peak_block(void)
{
	return keep(malloc(16 * KIB));
}

SITE static void *passing_block(size_t bytes)
{
	return keep(malloc(bytes));
}

static int soak(double seconds)
{
	double begin_s = now_s(), age_s;
	uint64_t seed = 11;
	int n = 0, i;

	while ((age_s = now_s() - begin_s) < seconds) {
		int wanted = age_s < seconds / 5 ? (int)(PEAK_BLOCKS * 5 * age_s / seconds)
						 : PEAK_BLOCKS / 2;

		if (n == 0)
			heapspy_snapshot("early");
		for (; n <= wanted && n < PEAK_BLOCKS; n++)
			block[n] = peak_block();
		while (n > wanted + 1)
			free(block[--n]);
		for (i = 0; i < 100; i++)
			free(passing_block(draw(&seed) % 4096));
		sleep_s(.001);
	}
	printf("{\"kept\": %d}\n", n);
	return 0;
}

#define STEPS 20

SITE static void step(uint32_t path, int left);

/* Two call sites for each bit of the path: as many stacks as there are paths. */
SITE static void left_turn(uint32_t path, int left)
{
	step(path, left);
	keep(NULL);
}

SITE static void right_turn(uint32_t path, int left)
{
	step(path, left);
	keep(NULL);
}

SITE static void step(uint32_t path, int left)
{
	if (!left)
		free(passing_block(48));
	else if (path & 1)
		left_turn(path >> 1, left - 1);
	else
		right_turn(path >> 1, left - 1);
	keep(NULL);
}

static int stacks(uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		step(i, STEPS);
	printf("{\"blocks\": %u, \"bytes\": %lu}\n", n, n * 48ul);
	return 0;
}

static long share;

static void *holder(void *argument)
{
	static pthread_barrier_t *barrier;
	long i;

	barrier = argument;
	for (i = 0; i < share; i++)
		memset(passing_block(HELD_BYTES), 1, HELD_BYTES);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier); /* never */
	return NULL;
}

static int hold(long bytes, int n_threads)
{
	pthread_barrier_t barrier;
	pthread_attr_t attributes;
	pthread_t thread;
	char line[8];
	int i;

	share = bytes / HELD_BYTES / n_threads;
	pthread_barrier_init(&barrier, NULL, (unsigned)n_threads + 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * KIB);
	for (i = 0; i < n_threads; i++)
		REQUIRE(!pthread_create(&thread, &attributes, holder, &barrier));
	pthread_barrier_wait(&barrier);
	printf("{\"bytes\": %ld}\n", share * HELD_BYTES * n_threads);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}

int main(int argc, char **argv)
{
	REQUIRE(argc > 2);
	if (!strcmp(argv[1], "soak"))
		return soak(atof(argv[2]));
	if (!strcmp(argv[1], "stacks"))
		return stacks((uint32_t)atol(argv[2]));
	REQUIRE(!strcmp(argv[1], "hold") && argc > 3);
	return hold(atol(argv[2]) * (long)MIB, atoi(argv[3]));
}
