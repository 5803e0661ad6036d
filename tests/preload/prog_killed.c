/*
 * prog_killed.c - threads that allocate, resize and free for ever under ever new stacks, to be
 * killed at any moment. The truth outlives it in a file that it maps:
 *
 *     prog_killed TRUTH THREADS SLOTS SEED FORKS DEPTH
 *
 * TRUTH holds struct truth, then THREADS * SLOTS times struct slot, each written by one thread:
 * what a slot had before the operation that it is in, and what it shall have after. Sizes of its
 * blocks are 9 modulo 16 and above 200, which nobody else in the process asks for. FORKS: every
 * so many ms a child that allocates, too, and stays until it is killed; 0 none. DEPTH: frames
 * below its operations, at most: four times as many stacks for each.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim.h"

#define READY 0x6b696c6c6564ull

struct truth {
	uint64_t ready;
	uint32_t n_threads, n_slots;
	uint64_t seed;
};

/* Size 0: nothing. While CHANGING the block of before may be gone, and that of after be there. */
struct slot {
	uint64_t address; /* of the block before; 0 none */
	uint32_t size_before, size_after;
	uint32_t state;
	uint32_t reserved;
};

enum { SETTLED, CHANGING };

static struct truth *truth;
static struct slot *slots;
static unsigned depth_max;

typedef void *operation(void *block, size_t size);

static void *step_a(operation *what, void *block, size_t size, uint64_t way, unsigned depth);
static void *step_b(operation *what, void *block, size_t size, uint64_t way, unsigned depth);
static void *step_c(operation *what, void *block, size_t size, uint64_t way, unsigned depth);
static void *step_d(operation *what, void *block, size_t size, uint64_t way, unsigned depth);

/* Two bits of the way choose the next function: 4^12 stacks. */
static inline void *go_on(operation *what, void *block, size_t size, uint64_t way, unsigned depth)
{
	void *(*const steps[])(operation *, void *, size_t, uint64_t, unsigned) = { step_a, step_b,
		step_c, step_d };

	return depth ? keep(steps[way & 3](what, block, size, way >> 2, depth - 1))
		     : what(block, size);
}

SITE static void *step_a(operation *what, void *block, size_t size, uint64_t way, unsigned depth)
{
	return keep(go_on(what, block, size, way, depth));
}

SITE static void *step_b(operation *what, void *block, size_t size, uint64_t way, unsigned depth)
{
	return keep(go_on(what, block, size, way, depth));
}

SITE static void *step_c(operation *what, void *block, size_t size, uint64_t way, unsigned depth)
{
	return keep(go_on(what, block, size, way, depth));
}

SITE static void *step_d(operation *what, void *block, size_t size, uint64_t way, unsigned depth)
{
	return keep(go_on(what, block, size, way, depth));
}

SITE static void *resize(void *block, size_t size)
{
	return keep(realloc(block, size));
}

SITE static void *make(void *block, size_t size)
{
	return keep(malloc(size));
}

static void operate(struct slot *slot, uint64_t *seed)
{
	uint64_t dice = draw(seed), way = draw(seed);
	uint32_t size = (uint32_t)(201 + dice % 20 * 16);
	uint64_t before = slot->address;
	void *block;

	/* Filling up at first, then as many frees as births. */
	if (!before)
		slot->size_after = size;
	else
		slot->size_after = (dice >> 32) % 8 ? 0 : size;
	__atomic_store_n(&slot->state, CHANGING, __ATOMIC_RELEASE);
	if (slot->size_after) {
		block = go_on(before ? resize : make, (void *)before, slot->size_after, way,
			(unsigned)(way >> 40) % depth_max);
	} else {
		free((void *)before);
		block = NULL;
	}
	slot->address = (uint64_t)(uintptr_t)block;
	slot->size_before = slot->size_after;
	__atomic_store_n(&slot->state, SETTLED, __ATOMIC_RELEASE);
}

static void *work(void *argument)
{
	struct slot *mine = argument;
	uint64_t seed = (uint64_t)(mine - slots + 1) * 0x9E3779B97F4A7C15ull + truth->seed;

	for (;;)
		operate(&mine[draw(&seed) % truth->n_slots], &seed);
	return NULL;
}

static void *map_truth(const char *path, unsigned n_threads, unsigned n_slots)
{
	size_t bytes = sizeof(struct truth) + (size_t)n_threads * n_slots * sizeof(struct slot);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	void *map;

	REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)bytes));
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(map != MAP_FAILED);
	close(fd);
	return map;
}

int main(int argc, char **argv)
{
	unsigned n_threads, n_slots, i;
	uint64_t seed;
	double pause_s;

	REQUIRE(argc == 7);
	n_threads = (unsigned)atoi(argv[2]);
	n_slots = (unsigned)atoi(argv[3]);
	seed = strtoull(argv[4], NULL, 10) | 1;
	pause_s = atoi(argv[5]) * 1e-3;
	depth_max = (unsigned)atoi(argv[6]) + 1;
	truth = map_truth(argv[1], n_threads, n_slots);
	slots = (struct slot *)(truth + 1);
	truth->n_threads = n_threads;
	truth->n_slots = n_slots;
	truth->seed = seed;
	__atomic_store_n(&truth->ready, READY, __ATOMIC_RELEASE);
	for (i = 0; i < n_threads; i++) {
		pthread_t thread;

		REQUIRE(!pthread_create(&thread, NULL, work, slots + i * n_slots));
	}
	for (;;) {
		sleep_s(pause_s > 0 ? pause_s : 10);
		if (pause_s > 0 && fork() == 0) {
			for (i = 0; i < 300; i++)
				go_on(make, NULL, 201 + draw(&seed) % 20 * 16, draw(&seed), 5);
			sleep_s(10);
			_exit(0);
		}
	}
}
