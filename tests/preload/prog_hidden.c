/*
 * prog_hidden.c - leaks inside functions that do not leak as a whole, for heapspy trend.
 *
 *     prog_hidden SECONDS leaks|bounded|brief
 *
 * handle() renews a cache, and leaks at another line; wrapper() allocates for a cache and for
 * somebody who forgets. The caches are full from the start, and their blocks live half of the time
 * on average. All happens in 500 ticks spread over the time; a late tick catches up. "bounded" puts
 * into a cache what is forgotten otherwise; "brief" leaks, and caches for a twentieth of the time.
 * Prints {"leaking": line of handle(), "cache": its line,
 * "forgotten_bytes": by each of the two leaks}.
 */
#include "victim.h"

#define TICKS  500
#define CACHED 80 /* blocks a tick for a cache */
#define FORGOT 6  /* blocks a tick that are forgotten */
#define LIFE   (TICKS / 2)
#define BYTES  563

struct cache {
	size_t n;
	void *blocks[LIFE * CACHED];
};

static struct cache handled = { .n = LIFE * CACHED }, wrapped = { .n = LIFE * CACHED };
static struct cache forgotten[2] = { { .n = LIFE * FORGOT }, { .n = LIFE * FORGOT } };
static uint64_t seed = 1;
static int is_bounded, leaking_line, cache_line;
static unsigned long forgotten_bytes;

/* Puts a block into the place of any. */
static void put(struct cache *cache, void *block)
{
	void **place;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	place = &cache->blocks[(seed >> 33) % cache->n];
	free(*place);
	*place = keep(block);
}

static void forget(int i, void *block)
{
	if (is_bounded)
		put(&forgotten[i], block);
	else
		keep(block);
	forgotten_bytes += i ? 0 : BYTES;
}

SITE static void handle(void)
{
	size_t i;

	for (i = 0; i < CACHED; i++) {
		cache_line = __LINE__ + 1;
		put(&handled, malloc(BYTES));
	}
	for (i = 0; i < FORGOT; i++) {
		leaking_line = __LINE__ + 1;
		forget(0, malloc(BYTES));
	}
}

SITE static void *wrapper(void)
{
	return keep(malloc(BYTES));
}

SITE static void fill_cache(void)
{
	size_t i;

	for (i = 0; i < CACHED; i++)
		put(&wrapped, wrapper());
}

SITE static void forget_some(void)
{
	size_t i;

	for (i = 0; i < FORGOT; i++)
		forget(1, wrapper());
}

/* Two ways to the same: a leak of one caller, and not of one stack. */
SITE static void even(void)
{
	forget_some();
	fill_cache();
}

SITE static void odd(void)
{
	fill_cache();
	forget_some();
}

/* By the same lines as later, before anything is forgotten for good. */
static void fill_all(void)
{
	int bounded = is_bounded;
	size_t tick;

	is_bounded = 1;
	for (tick = 0; tick < 4 * LIFE; tick++) {
		handle();
		(tick % 2 ? odd : even)();
	}
	is_bounded = bounded;
	forgotten_bytes = 0;
}

int main(int argc, char **argv)
{
	double seconds, start_s = now_s();
	size_t tick;

	REQUIRE(argc == 3);
	seconds = atof(argv[1]);
	is_bounded = !strcmp(argv[2], "bounded");
	if (!strcmp(argv[2], "brief"))
		handled.n = wrapped.n = LIFE / 10 * CACHED;
	fill_all();
	for (tick = 0; tick < TICKS; tick++) {
		double due_s = start_s + seconds * (double)tick / TICKS - now_s();

		if (due_s > 0)
			sleep_s(due_s);
		handle();
		(tick % 2 ? odd : even)();
	}
	printf("{\"leaking\": %d, \"cache\": %d, \"forgotten_bytes\": %lu}\n", leaking_line,
		cache_line, forgotten_bytes);
	fflush(stdout);
	/* What the caches hold is not freed: the end of the run is like the rest of it. */
	_exit(0);
}
