/*
 * prog_verdicts.c - memory that behaves in a known way over time, for heapspy trend.
 *
 *     prog_verdicts SECONDS BEHAVIOUR...
 *     prog_verdicts SECONDS all
 *
 * Each behaviour has a thread and a function that allocates, and runs through 500 ticks spread over
 * the time. What happens in a tick is fixed; only when it happens comes from the clock, so that a
 * late thread catches up. A snapshot "ready" is taken before the first tick. Prints
 * {"ready": its number, "functions": {"behaviour": "function", ..}}.
 */
#include <math.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define TICKS 500
#define NEVER (TICKS + 1)

struct block {
	struct block *next;
};

struct behaviour {
	const char *name, *function;
	void *(*make)(size_t bytes);
	void (*begin)(struct behaviour *b); /* before the first tick; may be NULL */
	void (*tick)(struct behaviour *b, unsigned now);
	uint64_t seed;
	struct block *dying[NEVER + 1]; /* blocks by the tick that frees them */
};

static double seconds, start_s;

/* Its own number in a function keeps the compiler from making one of two that are equal. */
#define MAKER(name)                                                                                \
	SITE static void *name(size_t bytes)                                                       \
	{                                                                                          \
		__asm__ volatile("" : : "i"(__COUNTER__));                                         \
		return keep(malloc(bytes));                                                        \
	}
/* clang-format off */
MAKER(session_open)
MAKER(request_buffer)
MAKER(pool_take)
MAKER(cache_fill)
MAKER(lru_insert)
MAKER(batch_row)
MAKER(job_start)
MAKER(index_load)
MAKER(connection_accept)
MAKER(table_make)
/* clang-format on */

/* n blocks of 64 to 1063 bytes, which are freed in that tick. */
static void make(struct behaviour *b, unsigned n, unsigned dies)
{
	if (dies > NEVER)
		dies = NEVER;
	while (n--) {
		struct block *block = b->make(64 + draw(&b->seed) % 1000);

		REQUIRE(block);
		block->next = b->dying[dies];
		b->dying[dies] = block;
	}
}

static void free_dying(struct behaviour *b, unsigned now)
{
	while (b->dying[now]) {
		struct block *block = b->dying[now];

		b->dying[now] = block->next;
		free(block);
	}
}

/* A lifetime that is exponential, in whole ticks. */
static unsigned drawn_life(struct behaviour *b, double mean)
{
	return (unsigned)(-log((double)((draw(&b->seed) >> 11) + 1) / (double)(1ull << 53)) * mean);
}

static void leak(struct behaviour *b, unsigned now)
{
	(void)now;
	make(b, 8, NEVER);
}

/* Of 200 blocks made at one place 8 are kept, the others live a tick. */
static void leak_in_churn(struct behaviour *b, unsigned now)
{
	make(b, 192, now + 1);
	make(b, 8, NEVER);
}

/* Every fifth block never comes back; the others do soon. */
static void leak_in_pool(struct behaviour *b, unsigned now)
{
	for (unsigned i = 0; i < 40; i++)
		make(b, 1, draw(&b->seed) % 5 ? now + 1 + drawn_life(b, TICKS * .03) : NEVER);
}

static void warm_up(struct behaviour *b, unsigned now)
{
	if (now <= TICKS * .35)
		make(b, 20, NEVER);
}

/* Three times as much as the cache holds goes through it. */
#define LRU_LIFE (TICKS / 3)
static void lru_full(struct behaviour *b)
{
	for (unsigned i = 1; i <= LRU_LIFE; i++)
		make(b, 20, i);
}

static void lru(struct behaviour *b, unsigned now)
{
	make(b, 20, now + LRU_LIFE);
}

#define BATCH_TICKS 83
static void batch(struct behaviour *b, unsigned now)
{
	make(b, 50, now + BATCH_TICKS - now % BATCH_TICKS);
}

/* The load becomes four times as high; each job takes the same time. */
static void ramp(struct behaviour *b, unsigned now)
{
	make(b, 100 + 300 * now / TICKS, now + TICKS / 25);
}

static void load_once(struct behaviour *b, unsigned now)
{
	if (now == TICKS * 2 / 5)
		make(b, 8000, NEVER);
}

SITE static void *vector_reserve(void *old, size_t bytes)
{
	return keep(realloc(old, bytes));
}

/* A vector that doubles: 256 KiB at first, 16 MiB at last. */
static void push_back(struct behaviour *b, unsigned now)
{
	static void *vector;
	static size_t capacity = 128 * KIB;
	size_t wanted = 200 * KIB + 12 * MIB * now / TICKS;

	(void)b;
	while (capacity < wanted)
		vector = vector_reserve(vector, capacity *= 2);
	REQUIRE(vector);
}

/* As many come as go: 13 a tick, each for 150 ticks on average. */
#define STAY (TICKS * .3)
static void connections_open(struct behaviour *b)
{
	for (unsigned i = 0; i < 13 * STAY; i++)
		make(b, 1, 1 + drawn_life(b, STAY));
}

static void connections(struct behaviour *b, unsigned now)
{
	for (unsigned i = 0; i < 13; i++)
		make(b, 1, now + 1 + drawn_life(b, STAY));
}

static void make_table(struct behaviour *b)
{
	make(b, 4000, NEVER);
}

static struct behaviour behaviours[] = {
	{ "linear leak", "session_open", session_open, NULL, leak },
	{ "leak in churn", "request_buffer", request_buffer, NULL, leak_in_churn },
	{ "leak in a pool", "pool_take", pool_take, NULL, leak_in_pool },
	{ "warm-up", "cache_fill", cache_fill, NULL, warm_up },
	{ "lru cache", "lru_insert", lru_insert, lru_full, lru },
	{ "batches", "batch_row", batch_row, NULL, batch },
	{ "load ramp", "job_start", job_start, NULL, ramp },
	{ "one-off load", "index_load", index_load, NULL, load_once },
	{ "doubling vector", "vector_reserve", NULL, NULL, push_back },
	{ "connections", "connection_accept", connection_accept, connections_open, connections },
	{ "nothing", "table_make", table_make, make_table, NULL },
};
#define N_BEHAVIOURS (sizeof(behaviours) / sizeof(behaviours[0]))

static void *live(void *behaviour)
{
	struct behaviour *b = behaviour;

	for (unsigned now = 1; now <= TICKS; now++) {
		sleep_s(start_s + seconds * now / TICKS - now_s());
		free_dying(b, now);
		if (b->tick)
			b->tick(b, now);
	}
	return NULL;
}

static int is_wanted(const struct behaviour *b, char **names)
{
	for (; *names; names++)
		if (!strcmp(*names, b->name) || !strcmp(*names, "all"))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[N_BEHAVIOURS];
	struct behaviour *wanted[N_BEHAVIOURS];
	unsigned n = 0;
	int ready;

	REQUIRE(argc > 2);
	seconds = atof(argv[1]);
	for (size_t i = 0; i < N_BEHAVIOURS; i++)
		if (is_wanted(&behaviours[i], argv + 2))
			wanted[n++] = &behaviours[i];
	for (unsigned i = 0; i < n; i++) {
		wanted[i]->seed = i + 1;
		if (wanted[i]->begin)
			wanted[i]->begin(wanted[i]);
	}
	ready = heapspy_snapshot("ready");
	start_s = now_s();
	for (unsigned i = 0; i < n; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, live, wanted[i]));
	for (unsigned i = 0; i < n; i++)
		REQUIRE(!pthread_join(threads[i], NULL));
	printf("{\"ready\": %d, \"functions\": {", ready);
	for (unsigned i = 0; i < n; i++)
		printf("%s\"%s\": \"%s\"", i ? ", " : "", wanted[i]->name, wanted[i]->function);
	printf("}}\n");
	return 0;
}
