/*
 * prog_truth.cc - the workload of the truth test: many sites, the same blocks in each run.
 *
 *     prog_truth          makes them
 *     prog_truth serial   the same, one thread after the other: the peak is the same each time, too
 *     prog_truth list     prints its sites: {"name": {"group": .., "sizes": [least, most]}, ..}
 *
 * Two rounds of four threads, a snapshot behind each ("first", "second"). A site makes a given
 * number of bytes in each round, and lets the oldest of its blocks go: what it holds above its
 * bound, and before the second round a given part. In the second round a thread frees what another
 * one made. Each thread draws the sizes for each site from a generator of their own, so that what
 * is made does not depend on how threads take turns.
 */
#include <math.h>
#include <string>
#include <thread>
#include <vector>
#include "heapspy/heapspy.h"
#include "victim.h"

#define THREADS 4
#define SLICES  16 /* of a round: sites take turns by them */

/* What each block begins with. */
struct node {
	node *next;
	size_t bytes;
};

struct list {
	node *oldest, *newest;
	size_t bytes;
};

struct site {
	const char *name, *group;
	node *(*make)(size_t bytes);
	void (*drop)(node *block);
	size_t least, most; /* bytes of a block; log-uniform in between, but .. */
	unsigned rare;      /* .. if not 0: one block in so many is of most, the others of least */
	size_t first, second, freed, bound; /* bytes, of all threads together */
};

static void drop_block(node *block)
{
	free(block);
}

/* Its own number in a function keeps the compiler from making one of two that are equal. */
#define BODY(call)                                                                                 \
	{                                                                                          \
		__asm__ volatile("" : : "i"(__COUNTER__));                                         \
		return static_cast<node *>(keep(call));                                            \
	}
#define MALLOC(name) SITE static node *name(size_t bytes) BODY(malloc(bytes))
#define CALLOC(name) SITE static node *name(size_t bytes) BODY(calloc(1, bytes))
#define NEW(name)    SITE static node *name(size_t bytes) BODY(operator new(bytes))

/* A buffer that grows by step, or doubles if step is 0. */
static inline __attribute__((always_inline)) void *grown(size_t bytes, size_t step)
{
	size_t now = 64;
	void *p = keep(malloc(now));

	while (now < bytes) {
		now += step ? step : now;
		p = keep(realloc(p, now < bytes ? now : bytes));
	}
	return p;
}
#define DOUBLED(name)  SITE static node *name(size_t bytes) BODY(grown(bytes, 0))
#define APPENDED(name) SITE static node *name(size_t bytes) BODY(grown(bytes, 3000))

static void drop_new(node *block)
{
	operator delete(block);
}

struct vector_node {
	node head;
	std::vector<char> data;
};

static inline __attribute__((always_inline)) vector_node *pushed(size_t bytes)
{
	vector_node *n = new vector_node;

	while (n->data.size() < bytes)
		n->data.insert(n->data.end(), 40, 'v');
	return n;
}
#define VECTOR(name) SITE static node *name(size_t bytes) BODY(pushed(bytes))

static void drop_vector(node *block)
{
	delete reinterpret_cast<vector_node *>(block);
}

#define EACH_SIZE(X)   X(16) X(32) X(48) X(64) X(96) X(128) X(192) X(256) X(384) X(512) X(768) X(1024)
#define EACH_FEW(X)    X(1) X(2) X(4) X(8) X(16) X(32)
#define DEFINE_SIZE(n) MALLOC(keep_##n) MALLOC(churn_##n) MALLOC(queue_##n)
#define DEFINE_FEW(n)  MALLOC(few_a_##n) MALLOC(few_b_##n) MALLOC(few_c_##n)
/* clang-format off */
EACH_SIZE(DEFINE_SIZE)
EACH_FEW(DEFINE_FEW)
MALLOC(small_keep_a) MALLOC(small_keep_b) MALLOC(small_churn_a) MALLOC(small_churn_b)
MALLOC(small_queue_a) MALLOC(small_queue_b)
MALLOC(wide_keep_a) MALLOC(wide_keep_b) MALLOC(wide_churn_a) MALLOC(wide_churn_b)
MALLOC(wide_queue_a) MALLOC(wide_queue_b)
MALLOC(near_keep_a) MALLOC(near_keep_b) MALLOC(near_churn) MALLOC(near_queue)
MALLOC(large_keep_a) MALLOC(large_keep_b) MALLOC(large_churn) MALLOC(large_queue)
MALLOC(rare_keep_a) MALLOC(rare_keep_b) MALLOC(rare_churn) MALLOC(rare_queue)
CALLOC(calloc_keep) CALLOC(calloc_churn) CALLOC(calloc_wide) CALLOC(calloc_queue)
DOUBLED(doubled_keep) DOUBLED(doubled_churn) APPENDED(appended_keep) APPENDED(appended_churn)
NEW(new_keep) NEW(new_churn) NEW(new_queue) NEW(new_wide)
VECTOR(vector_keep) VECTOR(vector_churn) VECTOR(vector_queue)

#define ALL SIZE_MAX
#define ROW(name, group, drop, ...) { #name, group, name, drop, __VA_ARGS__ },
#define PLAIN(name, ...) PLAIN_ROW(name, __VA_ARGS__)
#define PLAIN_ROW(name, group, ...) ROW(name, group, drop_block, __VA_ARGS__)
/* Bytes made in the first round, in the second, freed in between, held at most. */
#define KEEP(mib)  (mib) * MIB, (mib) * MIB, (mib) * MIB / 4, ALL
#define CHURN(mib) (mib) * MIB, (mib) * MIB * 3 / 2, 0, 0
#define QUEUE(mib) (mib) * MIB, (mib) * MIB * 3 / 4, 0, (mib) * MIB
/* n expected samples of 64 KiB live, half of them from each round. */
#define FEW(n)     (n) * 32 * KIB, (n) * 32 * KIB, 0, ALL

static const struct site sites[] = {
#define LIST_SIZE(n)                                                                               \
	PLAIN(keep_##n, "one size", n, n, 0, KEEP(2)) PLAIN(churn_##n, "one size", n, n, 0, CHURN(4)) \
	PLAIN(queue_##n, "one size", n, n, 0, QUEUE(4))
	EACH_SIZE(LIST_SIZE)
#define LIST_FEW(n)                                                                                \
	PLAIN(few_a_##n, "one size", 32, 32, 0, FEW(n)) PLAIN(few_b_##n, "one size", 64, 64, 0, FEW(n)) \
	PLAIN(few_c_##n, "one size", 256, 256, 0, FEW(n))
	EACH_FEW(LIST_FEW)
#define SMALL "mixed, 16 B to 1 KiB", 16, 1024, 0
	PLAIN(small_keep_a, SMALL, KEEP(4)) PLAIN(small_keep_b, SMALL, KEEP(1))
	PLAIN(small_churn_a, SMALL, CHURN(6)) PLAIN(small_churn_b, SMALL, CHURN(2))
	PLAIN(small_queue_a, SMALL, QUEUE(4)) PLAIN(small_queue_b, SMALL, QUEUE(1))
#define WIDE "mixed, 16 B to 8 MiB", 16, 8 * MIB, 0
	PLAIN(wide_keep_a, WIDE, KEEP(16)) PLAIN(wide_keep_b, WIDE, KEEP(32))
	PLAIN(wide_churn_a, WIDE, CHURN(16)) PLAIN(wide_churn_b, WIDE, CHURN(64))
	PLAIN(wide_queue_a, WIDE, QUEUE(16)) PLAIN(wide_queue_b, WIDE, QUEUE(32))
#define NEAR "mixed, 16 KiB to 256 KiB", 16 * KIB, 256 * KIB, 0
	PLAIN(near_keep_a, NEAR, KEEP(4)) PLAIN(near_keep_b, NEAR, KEEP(16))
	PLAIN(near_churn, NEAR, CHURN(16)) PLAIN(near_queue, NEAR, QUEUE(8))
#define LARGE "large, 256 KiB to 8 MiB", 256 * KIB, 8 * MIB, 0
	PLAIN(large_keep_a, LARGE, KEEP(32)) PLAIN(large_keep_b, LARGE, KEEP(64))
	PLAIN(large_churn, LARGE, CHURN(128)) PLAIN(large_queue, LARGE, QUEUE(32))
#define RARE "64 B, one in 20 000 of 1 MiB", 64, MIB, 20000
	PLAIN(rare_keep_a, RARE, KEEP(4)) PLAIN(rare_keep_b, RARE, KEEP(8))
	PLAIN(rare_churn, RARE, CHURN(8)) PLAIN(rare_queue, RARE, QUEUE(4))
	PLAIN(calloc_keep, "calloc", 200, 200, 0, KEEP(2))
	PLAIN(calloc_churn, "calloc", 100, 4000, 0, CHURN(8))
	PLAIN(calloc_wide, "calloc", 64, 2 * MIB, 0, KEEP(8))
	PLAIN(calloc_queue, "calloc", 200, 200, 0, QUEUE(4))
	PLAIN(doubled_keep, "realloc", 2000, 200000, 0, KEEP(8))
	PLAIN(doubled_churn, "realloc", 2000, 200000, 0, CHURN(8))
	PLAIN(appended_keep, "realloc", 2000, 100000, 0, KEEP(4))
	PLAIN(appended_churn, "realloc", 2000, 100000, 0, CHURN(2))
	ROW(new_keep, "C++", drop_new, 48, 48, 0, KEEP(2))
	ROW(new_churn, "C++", drop_new, 24, 2000, 0, CHURN(8))
	ROW(new_queue, "C++", drop_new, 64, 64, 0, QUEUE(4))
	ROW(new_wide, "C++", drop_new, 64, 2 * MIB, 0, KEEP(8))
	ROW(vector_keep, "C++", drop_vector, 100, 20000, 0, KEEP(4))
	ROW(vector_churn, "C++", drop_vector, 100, 20000, 0, CHURN(2))
	ROW(vector_queue, "C++", drop_vector, 100, 20000, 0, QUEUE(4))
};
/* clang-format on */
#define N_SITES        (sizeof(sites) / sizeof(sites[0]))

static list held[THREADS][N_SITES];

static void pop(const struct site *site, list *blocks)
{
	node *block = blocks->oldest;

	blocks->oldest = block->next;
	blocks->bytes -= block->bytes;
	site->drop(block);
}

static void push(list *blocks, node *block, size_t bytes)
{
	REQUIRE(block);
	*block = { nullptr, bytes };
	(blocks->oldest ? blocks->newest->next : blocks->oldest) = block;
	blocks->newest = block;
	blocks->bytes += bytes;
}

static size_t drawn_size(const struct site *site, uint64_t *seed)
{
	double part;

	if (site->least == site->most)
		return site->least;
	if (site->rare)
		return draw(seed) % site->rare ? site->least : site->most;
	part = double(draw(seed) >> 11) / double(1ull << 53);
	return size_t(double(site->least) * pow(double(site->most) / double(site->least), part));
}

static void work(unsigned thread, bool second)
{
	list *mine = held[second ? (thread + 1) % THREADS : thread];
	uint64_t seed[N_SITES];
	size_t made[N_SITES] = { 0 };

	for (size_t i = 0; i < N_SITES; i++) {
		seed[i] = (i * THREADS + thread) * 2 + second + 1;
		size_t rest = mine[i].bytes - (second ? sites[i].freed / THREADS : 0);
		while (mine[i].bytes > rest && mine[i].oldest)
			pop(&sites[i], &mine[i]);
	}
	for (size_t slice = 1; slice <= SLICES; slice++) {
		for (size_t i = 0; i < N_SITES; i++) {
			const struct site *site = &sites[i];
			size_t wanted =
				(second ? site->second : site->first) / THREADS * slice / SLICES;

			while (made[i] < wanted) {
				size_t bytes = drawn_size(site, &seed[i]);

				push(&mine[i], site->make(bytes), bytes);
				made[i] += bytes;
				while (site->bound != ALL && mine[i].bytes > site->bound / THREADS)
					pop(site, &mine[i]);
			}
		}
	}
}

static void all_threads(bool second, bool serial)
{
	std::thread threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = std::thread(work, i, second);
		if (serial)
			threads[i].join();
	}
	for (auto &thread : threads)
		if (thread.joinable())
			thread.join();
}

static void list_sites()
{
	for (size_t i = 0; i < N_SITES; i++)
		printf("%s\"%s\": {\"group\": \"%s\", \"sizes\": [%zu, %zu]}", i ? ", " : "{",
			sites[i].name, sites[i].group, sites[i].least, sites[i].most);
	printf("}\n");
}

int main(int argc, char **argv)
{
	bool serial = argc > 1 && !strcmp(argv[1], "serial");

	if (argc > 1 && !serial) {
		list_sites();
		return 0;
	}
	all_threads(false, serial);
	heapspy_snapshot("first");
	all_threads(true, serial);
	heapspy_snapshot("second");
	return 0;
}
