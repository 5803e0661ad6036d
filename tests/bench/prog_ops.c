/*
 * prog_ops.c - times single allocation operations; tests/bench/compare.py runs it bare and under
 * each profiler. Linked with ops_new.cc it is prog_ops_cxx, which knows "new" too.
 *
 *     prog_ops [-n OPERATIONS] [-t THREADS] [-l LIVE] OPERATION...
 *
 * Prints one JSON object a line: {"op": "pair", "threads": 1, "live": 0, "ns": 5.02}. ns is the
 * thread's CPU time for one operation with its free, in slices that nothing disturbed. LIVE
 * samples are there beforehand, scattered in the heap. "hold" and "threads" say "kib", what is
 * resident.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "prog_ops.h"

#define MAX_THREADS 2
#define N_SLICES    61
#define N_SIZES     4096
#define BATCH       1024
#define OTHERS      8      /* blocks between two live samples */
#define SMALL_HEAP  100000 /* blocks that "replace" works on without live samples */
#define GROWTHS     3

/* glibc's own realloc, a door that heapspy does not watch. */
void *__libc_realloc(void *block, size_t size);

struct op {
	const char *name;
	long n;                                  /* operations, unless -n says otherwise */
	unsigned threads;                        /* how many may do it at a time */
	double (*run)(struct worker *w, long n); /* returns ns for one operation, or KiB */
	bool is_kib;
};

static struct worker workers[MAX_THREADS];
static const struct op *current_op;
static long n_operations;
static pthread_barrier_t start;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

double ops_now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void *ops_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("prog_ops: mmap");
		exit(1);
	}
	return p;
}

/*
 * Half of all requests are of 16 to 31 bytes, each doubling is half as frequent, up to 2 KiB; 96
 * bytes on average.
 */
static size_t draw_size(uint64_t *random)
{
	uint64_t r = next_random(random);
	unsigned k = (unsigned)__builtin_ctzll(r | 1u << 6);

	return ((size_t)16 << k) + (r >> 32) % ((size_t)16 << k);
}

static void make_worker(struct worker *w, unsigned number)
{
	uint64_t random = 0x9e3779b97f4a7c15u + number;
	unsigned i, j;
	unsigned short kept;

	w->size = ops_map(N_SIZES * sizeof(*w->size));
	w->block = ops_map(BATCH * sizeof(*w->block));
	w->order = ops_map(BATCH * sizeof(*w->order));
	for (i = 0; i < N_SIZES; i++)
		w->size[i] = draw_size(&random);
	for (i = 0; i < BATCH; i++)
		w->order[i] = (unsigned short)i;
	for (i = BATCH - 1; i > 0; i--) {
		j = (unsigned)(next_random(&random) % (i + 1));
		kept = w->order[i];
		w->order[i] = w->order[j];
		w->order[j] = kept;
	}
	w->random = random;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double ops_undisturbed(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare_doubles);
	return values[n / 10];
}

double ops_slices(struct worker *w, long n, void (*slice)(struct worker *w, long n))
{
	double ns[N_SLICES], begin;
	long each = n / N_SLICES + 1;

	slice(w, each / 8 + 1); /* caches, bins, branch predictors */
	for (unsigned i = 0; i < N_SLICES; i++) {
		begin = ops_now_ns(CLOCK_THREAD_CPUTIME_ID);
		slice(w, each);
		ns[i] = (ops_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)each;
	}
	return ops_undisturbed(ns, N_SLICES);
}

static void slice_pair(struct worker *w, long n)
{
	while (n-- > 0)
		free(ops_keep(malloc(64)));
}

static void slice_mix(struct worker *w, long n)
{
	while (n-- > 0)
		free(ops_keep(malloc(w->size[n % N_SIZES])));
}

static void slice_calloc(struct worker *w, long n)
{
	while (n-- > 0)
		free(ops_keep(calloc(4, 16)));
}

static void slice_realloc(struct worker *w, long n)
{
	while (n-- > 0)
		free(ops_keep(realloc(ops_keep(malloc(40)), 200)));
}

static void slice_batch(struct worker *w, long n_batches)
{
	while (n_batches-- > 0) {
		for (unsigned i = 0; i < BATCH; i++)
			w->block[i] = malloc(w->size[i]);
		for (unsigned i = 0; i < BATCH; i++)
			free(w->block[w->order[i]]);
	}
}

static void slice_replace(struct worker *w, long n)
{
	uint64_t random = w->random;

	while (n-- > 0) {
		void **place = &w->others[next_random(&random) % w->n_others];

		free(*place);
		*place = malloc(w->size[n % N_SIZES]);
	}
	w->random = random;
}

static double run_pair(struct worker *w, long n)
{
	return ops_slices(w, n, slice_pair);
}

static double run_mix(struct worker *w, long n)
{
	return ops_slices(w, n, slice_mix);
}

static double run_calloc(struct worker *w, long n)
{
	return ops_slices(w, n, slice_calloc);
}

static double run_realloc(struct worker *w, long n)
{
	return ops_slices(w, n, slice_realloc);
}

static double run_batch(struct worker *w, long n)
{
	return ops_slices(w, n / BATCH + 1, slice_batch) / BATCH;
}

static double run_replace(struct worker *w, long n)
{
	if (!w->n_others) {
		w->n_others = SMALL_HEAP;
		w->others = ops_map(w->n_others * sizeof(*w->others));
		for (size_t i = 0; i < w->n_others; i++)
			w->others[i] = malloc(w->size[i % N_SIZES]);
	}
	return ops_slices(w, n, slice_replace);
}

/* By mremap, as in a program that leaves the thresholds alone; each page is written once. */
static double run_growth(struct worker *w, long n)
{
	double ns[GROWTHS], begin;
	char *block;

	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	if (n > GROWTHS)
		n = GROWTHS;
	for (long i = 0; i < n; i++) {
		begin = ops_now_ns(CLOCK_THREAD_CPUTIME_ID);
		block = NULL;
		for (size_t size = MIB; size <= 256 * MIB; size += MIB) {
			block = ops_keep(realloc(block, size));
			for (size_t at = size - MIB; at < size; at += 4096)
				block[at] = 1;
		}
		free(block);
		ns[i] = ops_now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	}
	return ops_undisturbed(ns, (unsigned)n);
}

/* What is resident now, counted page by page: the kernel's running totals are approximate. */
static double resident_kib(void)
{
	char line[128];
	double kib = 0;
	FILE *file = fopen("/proc/self/smaps_rollup", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %lf", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* Has n blocks live, of mixed sizes. */
static double run_hold(struct worker *w, long n)
{
	for (long i = 0; i < n; i++)
		*(char *)ops_keep(malloc(w->size[i % N_SIZES])) = 1;
	return resident_kib();
}

static void *allocate_and_wait(void *ready)
{
	for (unsigned i = 0; i < 100000; i++)
		free(ops_keep(malloc(1000)));
	pthread_barrier_wait(ready);
	pthread_barrier_wait(ready);
	return NULL;
}

/* Has n threads at a time, each of which has been sampled some 190 times. */
static double run_threads(struct worker *w, long n)
{
	pthread_t *thread = ops_map((size_t)n * sizeof(*thread));
	pthread_barrier_t ready;
	pthread_attr_t attr;
	double kib;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_barrier_init(&ready, NULL, (unsigned)n + 1);
	for (long i = 0; i < n; i++) {
		if (pthread_create(&thread[i], &attr, allocate_and_wait, &ready)) {
			fprintf(stderr, "prog_ops: no thread\n");
			exit(1);
		}
	}
	pthread_barrier_wait(&ready);
	kib = resident_kib();
	pthread_barrier_wait(&ready);
	for (long i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return kib;
}

static const struct op ops[] = {
	{ "pair", 9000000, 2, run_pair },
	{ "mix", 9000000, 2, run_mix },
	{ "calloc", 6000000, 2, run_calloc },
	{ "realloc", 3000000, 2, run_realloc },
	{ "batch", 2000000, 2, run_batch },
	{ "replace", 500000, 1, run_replace },
	{ "growth", GROWTHS, 1, run_growth },
	{ "sampled", 90000, 1, ops_run_sampled },
	{ "sampled-near-cold", OPS_COLD_REPEATS, 1, ops_run_cold_near },
	{ "sampled-cold", OPS_COLD_REPEATS, 1, ops_run_cold_all },
	{ "sampled-new", 7000, 1, ops_run_new_stacks },
	{ "hold", 1000000, 1, run_hold, true },
	{ "threads", 100, 1, run_threads, true },
	{ "new", 9000000, 2, NULL },
};

/*
 * Live samples among ordinary blocks: each begins as 8 MiB at the end of the heap, which makes it a
 * sample, and is cut to its size through a door that is not watched; the bytes behind go back to
 * the heap untouched. Without a profiler the same calls give the same heap.
 */
static void make_live(struct worker *w, size_t n_live)
{
	static const char *const not_glibc[] = { "mallctl", "tc_version", "mi_version" };
	uint64_t random = 88172645463325252u;

	for (size_t i = 0; i < sizeof(not_glibc) / sizeof(*not_glibc); i++) {
		if (dlsym(RTLD_DEFAULT, not_glibc[i])) {
			fprintf(stderr, "prog_ops: -l works with glibc's malloc only\n");
			exit(2);
		}
	}
	w->n_others = n_live * OTHERS;
	w->others = ops_map(w->n_others * sizeof(*w->others));
	for (size_t i = 0; i < w->n_others; i++) {
		if (i % OTHERS == 0)
			ops_keep(__libc_realloc(malloc(8 * MIB), draw_size(&random)));
		w->others[i] = malloc(draw_size(&random));
	}
}

static const struct op *find_op(const char *name)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (!strcmp(ops[i].name, name) && (ops[i].run || ops_run_new))
			return &ops[i];
	fprintf(stderr, "prog_ops: there is no operation \"%s\"\n", name);
	exit(2);
}

static void *thread_main(void *worker)
{
	struct worker *w = worker;

	pthread_barrier_wait(&start);
	w->ns = (current_op->run ? current_op->run : ops_run_new)(w, n_operations);
	return NULL;
}

/* Worker 0 is the main thread: its arena is the one with the live samples. */
static double run_op(unsigned n_threads)
{
	pthread_t thread;

	if (n_threads == 1) {
		pthread_barrier_init(&start, NULL, 1);
		thread_main(&workers[0]);
		return workers[0].ns;
	}
	pthread_barrier_init(&start, NULL, 2);
	if (pthread_create(&thread, NULL, thread_main, &workers[1])) {
		fprintf(stderr, "prog_ops: no thread\n");
		exit(1);
	}
	thread_main(&workers[0]);
	pthread_join(thread, NULL);
	return (workers[0].ns + workers[1].ns) / 2;
}

static long number(const char *text, long least, long most)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < least || n > most) {
		fprintf(stderr, "prog_ops: expected a number from %ld to %ld, not \"%s\"\n", least,
			most, text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	long n = 0, n_live = 0;
	unsigned n_threads = 1;
	int option;

	while ((option = getopt(argc, argv, "n:t:l:")) != -1) {
		if (option == 'n')
			n = number(optarg, 1, 1l << 40);
		else if (option == 't')
			n_threads = (unsigned)number(optarg, 1, MAX_THREADS);
		else if (option == 'l')
			n_live = number(optarg, 0, 1000000);
		else
			return 2;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: prog_ops [-n OPERATIONS] [-t THREADS] [-l LIVE] "
				"OPERATION...\n");
		return 2;
	}
	/* Large blocks come from the heap, and it never shrinks: no system call is timed. */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 64 << 20);
	for (unsigned i = 0; i < n_threads; i++)
		make_worker(&workers[i], i);
	if (n_live)
		make_live(&workers[0], (size_t)n_live);
	for (int i = optind; i < argc; i++) {
		current_op = find_op(argv[i]);
		if (n_threads > current_op->threads) {
			fprintf(stderr, "prog_ops: %s is for one thread\n", argv[i]);
			return 2;
		}
		n_operations = n ? n : current_op->n;
		printf("{\"op\": \"%s\", \"threads\": %u, \"live\": %ld, \"%s\": %.4f}\n",
			current_op->name, n_threads, n_live, current_op->is_kib ? "kib" : "ns",
			run_op(n_threads));
	}
	return 0;
}
