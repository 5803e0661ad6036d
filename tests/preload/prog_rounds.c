/*
 * prog_rounds.c - THREADS threads that churn and rest as the standard input says.
 *
 *     prog_rounds THREADS
 *
 * "go" starts them; "rest" waits until all stand still, and prints the account of what each site
 * has made and holds; the end of the input ends it. Says "ready" first.
 */
#include <pthread.h>
#include "sites.h"

#define N_SLOTS 500

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int is_going, n_resting;

/* clang-format off */
SITE static void *by_malloc(void *old, size_t n) { return keep(malloc(n)); }
SITE static void *by_calloc(void *old, size_t n) { return keep(calloc(1, n)); }
SITE static void *by_realloc(void *old, size_t n) { return keep(realloc(old, n)); }
/* clang-format on */

static struct site sites[] = { { "by_malloc", by_malloc }, { "by_calloc", by_calloc },
	{ "by_realloc", by_realloc } };

static void rest(void)
{
	pthread_mutex_lock(&lock);
	n_resting++;
	pthread_cond_broadcast(&changed);
	while (!is_going)
		pthread_cond_wait(&changed, &lock);
	n_resting--;
	pthread_mutex_unlock(&lock);
}

static void *work(void *number)
{
	static _Thread_local struct {
		void *p;
		size_t bytes;
		struct site *site;
	} slots[N_SLOTS];
	uint64_t seed = 7 + (uint64_t)(uintptr_t)number;

	for (;;) {
		struct site *site = &sites[draw(&seed) % 3];
		size_t i = draw(&seed) % N_SLOTS, bytes = 1 + draw(&seed) % 3000;

		if (!__atomic_load_n(&is_going, __ATOMIC_RELAXED))
			rest();
		if (slots[i].p)
			site_death(slots[i].site, slots[i].bytes);
		if (site->make != by_realloc) {
			free(slots[i].p);
			slots[i].p = NULL;
		}
		slots[i].p = site->make(slots[i].p, bytes);
		REQUIRE(slots[i].p);
		slots[i].bytes = bytes;
		slots[i].site = site;
		site_birth(site, bytes);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n_threads = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;
	char line[100];

	for (long i = 0; i < n_threads; i++)
		REQUIRE(!pthread_create(&thread, NULL, work, (void *)i));
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		pthread_mutex_lock(&lock);
		is_going = !strcmp(line, "go\n");
		pthread_cond_broadcast(&changed);
		while (!is_going && n_resting < n_threads)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
		if (!is_going)
			sites_print(sites, 3);
	}
	return 0;
}
