/*
 * prog_flood.c - THREADS threads that allocate and free tiny blocks as fast as they can, beside
 * blocks that 64 sites hold from the beginning.
 *
 *     prog_flood THREADS [held BLOCKS BYTES] [fork]
 *
 * Each thread holds a window of its last blocks; the sites hold BLOCKS of up to BYTES in all. Lines
 * on the standard input: "still" makes all threads stand still, "free" frees every second of the
 * held blocks, "go" lets them go on; each is answered by what lives then:
 * {"site": [bytes, blocks], ...}. With "fork" the main thread makes children that end at once, all
 * the while. Says "ready" first; ends with its input.
 */
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include "victim.h"

#define WINDOW      65536
#define THREADS_MAX 64
#define SITES       64

/* clang-format off */
SITE static void *flood(size_t n) { return keep(malloc(n)); }

/* The digits keep the compiler from making one function of all. */
#define HOLD(n) SITE static void *hold_##n(size_t bytes) \
	{ __asm__ volatile("" : : "i"(0##n)); return keep(malloc(bytes)); }
#define FOUR(what, n) what(n##0) what(n##1) what(n##2) what(n##3)
#define EIGHT(what, n) FOUR(what, n) what(n##4) what(n##5) what(n##6) what(n##7)
#define ALL(what) EIGHT(what, 0) EIGHT(what, 1) EIGHT(what, 2) EIGHT(what, 3) \
	EIGHT(what, 4) EIGHT(what, 5) EIGHT(what, 6) EIGHT(what, 7)
ALL(HOLD)

#define NAMED(n) { "hold_" #n, hold_##n },
static const struct {
	const char *name;
	void *(*make)(size_t bytes);
} sites[SITES] = { ALL(NAMED) };
/* clang-format on */

struct flooder {
	void *block[WINDOW];
	uint16_t bytes[WINDOW];
	uint64_t seed;
};
static struct flooder *flooders[THREADS_MAX];

struct held {
	void *block;
	uint32_t bytes, site;
};
static struct held *held;
static long n_held;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_still;
static int n_threads, n_still;

static void stand_still(void)
{
	pthread_mutex_lock(&lock);
	n_still++;
	pthread_cond_broadcast(&changed);
	while (is_still)
		pthread_cond_wait(&changed, &lock);
	n_still--;
	pthread_mutex_unlock(&lock);
}

static void *flood_on(void *argument)
{
	struct flooder *f = argument;
	unsigned i;

	for (i = 0;; i = (i + 1) % WINDOW) {
		free(f->block[i]);
		f->bytes[i] = (uint16_t)(1 + draw(&f->seed) % 64);
		f->block[i] = flood(f->bytes[i]);
		if (__atomic_load_n(&is_still, __ATOMIC_RELAXED))
			stand_still();
	}
	return NULL;
}

static void hold(long n, uint64_t bytes_max)
{
	uint64_t seed = 4711;

	held = calloc((size_t)n + 1, sizeof(*held));
	for (n_held = 0; n_held < n; n_held++) {
		held[n_held].site = (uint32_t)(draw(&seed) % SITES);
		held[n_held].bytes = (uint32_t)(1 + draw(&seed) % bytes_max);
		held[n_held].block = sites[held[n_held].site].make(held[n_held].bytes);
	}
}

static void free_half(void)
{
	for (long i = 0; i < n_held; i += 2) {
		free(held[i].block);
		held[i].block = NULL;
	}
}

static void print_live(void)
{
	uint64_t bytes[SITES] = { 0 }, n[SITES] = { 0 }, flooded[2] = { 0 };

	for (int i = 0; i < n_threads; i++)
		for (unsigned j = 0; j < WINDOW; j++) {
			flooded[0] += flooders[i]->bytes[j];
			flooded[1] += flooders[i]->bytes[j] != 0;
		}
	for (long i = 0; i < n_held; i++)
		if (held[i].block) {
			bytes[held[i].site] += held[i].bytes;
			n[held[i].site]++;
		}
	printf("{\"flood\": [%lu, %lu]", flooded[0], flooded[1]);
	for (int i = 0; i < SITES; i++)
		printf(", \"%s\": [%lu, %lu]", sites[i].name, bytes[i], n[i]);
	printf("}\n");
	fflush(stdout);
}

static void obey(const char *line)
{
	pthread_mutex_lock(&lock);
	if (!strcmp(line, "free\n"))
		free_half();
	else
		is_still = !strcmp(line, "still\n");
	pthread_cond_broadcast(&changed);
	while (is_still && n_still < n_threads)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	print_live();
}

static void fork_until_told(void)
{
	struct pollfd input = { 0, POLLIN, 0 };

	while (poll(&input, 1, 0) == 0) {
		pid_t child = fork();

		REQUIRE(child >= 0);
		if (!child)
			_exit(0);
		REQUIRE(waitpid(child, NULL, 0) == child);
	}
}

int main(int argc, char **argv)
{
	bool forks = !strcmp(argv[argc - 1], "fork");
	char line[100];

	n_threads = argc > 1 ? atoi(argv[1]) : 0;
	REQUIRE(n_threads > 0 && n_threads <= THREADS_MAX);
	if (argc > 4 && !strcmp(argv[2], "held"))
		hold(atol(argv[3]), (uint64_t)atol(argv[4]));
	for (int i = 0; i < n_threads; i++) {
		pthread_t thread;

		flooders[i] = calloc(1, sizeof(*flooders[i]));
		flooders[i]->seed = 99 + (uint64_t)i;
		REQUIRE(!pthread_create(&thread, NULL, flood_on, flooders[i]));
	}
	printf("ready\n");
	fflush(stdout);
	if (forks)
		fork_until_told();
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
