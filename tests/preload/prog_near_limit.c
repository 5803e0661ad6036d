/*
 * prog_near_limit.c - memory that is touched, up to a limit, beyond it, or close to it.
 *
 *     prog_near_limit leak MIB KIB MS [THREAD]
 *                                              MIB are lost at once, then KIB every MS ms, for ever
 *     prog_near_limit hold MIB SECONDS [THREAD]
 *                                              MIB in blocks of 64 KiB, then some churn so long
 *     prog_near_limit dense MIB N SECONDS      one block of MIB, then N of 24 bytes by 4096 paths,
 *                                              then some churn so long
 *     prog_near_limit wave LOW HIGH N          N times up to HIGH MiB and down to LOW, 600 ms each
 *
 * THREAD: any word; there is a second thread then, which sleeps. Prints how it went at the end.
 */
#include <pthread.h>
#include <string.h>
#include "victim.h"

#define BLOCK_BYTES (64u << 10)
#define BLOCKS_MAX  4096

static void *blocks[BLOCKS_MAX];
static unsigned n_blocks;

static void touch(void *block, size_t bytes)
{
	REQUIRE(block);
	memset(block, 1, bytes);
}

SITE static void lose_session(size_t bytes)
{
	touch(keep(malloc(bytes)), bytes);
}

SITE static void fill_cache(size_t bytes)
{
	while (n_blocks * (size_t)BLOCK_BYTES < bytes) {
		blocks[n_blocks] = keep(malloc(BLOCK_BYTES));
		touch(blocks[n_blocks++], BLOCK_BYTES);
	}
}

static void drain_cache(size_t bytes)
{
	while (n_blocks * (size_t)BLOCK_BYTES > bytes)
		free(blocks[--n_blocks]);
}

static void small_block(unsigned path, unsigned depth);

SITE static void turn_left(unsigned path, unsigned depth)
{
	small_block(path, depth);
	__asm__ volatile("");
}

SITE static void turn_right(unsigned path, unsigned depth)
{
	small_block(path, depth);
	__asm__ volatile("");
}

/* Each path, the low depth bits, is a stack of its own. */
SITE static void small_block(unsigned path, unsigned depth)
{
	if (!depth)
		touch(keep(malloc(24)), 24);
	else if (path & 1)
		turn_left(path >> 1, depth - 1);
	else
		turn_right(path >> 1, depth - 1);
	__asm__ volatile("");
}

static void churn(double seconds)
{
	double end_s = now_s() + seconds;

	while (now_s() < end_s) {
		unsigned i;

		for (i = 0; i < 100; i++)
			free(keep(malloc(4096)));
		sleep_s(0.001);
	}
}

static void *sleep_on(void *nothing)
{
	for (;;)
		sleep_s(1);
	return nothing;
}

int main(int argc, char **argv)
{
	double a = argc > 2 ? atof(argv[2]) : 0, b = argc > 3 ? atof(argv[3]) : 0;
	double c = argc > 4 ? atof(argv[4]) : 0;
	pthread_t thread;
	unsigned i;

	REQUIRE(argc > 3);
	if ((argc > 5 && !strcmp(argv[1], "leak")) || (argc > 4 && !strcmp(argv[1], "hold")))
		REQUIRE(!pthread_create(&thread, NULL, sleep_on, NULL));
	if (!strcmp(argv[1], "leak")) {
		for (i = 0; i < a * 1024 / b; i++)
			lose_session((size_t)(b * 1024));
		for (;;) {
			lose_session((size_t)(b * 1024));
			sleep_s(c / 1000);
		}
	} else if (!strcmp(argv[1], "hold")) {
		fill_cache((size_t)(a * MIB));
		churn(b);
	} else if (!strcmp(argv[1], "dense")) {
		lose_session((size_t)(a * MIB));
		for (i = 0; i < b; i++)
			small_block(i, 12);
		churn(c);
	} else {
		for (i = 0; i < c; i++) {
			fill_cache((size_t)(b * MIB));
			churn(0.6);
			drain_cache((size_t)(a * MIB));
			churn(0.6);
		}
	}
	printf("{\"function\": \"lose_session\"}\n");
	return 0;
}
