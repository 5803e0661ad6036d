/*
 * test_races.c - the library's own tables under ThreadSanitizer, which must have nothing to say:
 * threads that sample made-up blocks and free each other's, threads that begin and end, walks of
 * thinning, growth, and a reader that writes snapshots meanwhile. Whatever is shared is atomic, or
 * belongs to one thread at a time.
 *
 *     test_races [SECONDS]
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "preload/clock.h"
#include "preload/filter.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/stack_table.h"
#include "preload/state/snapshot_writer.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "preload/thread_state.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define THREADS     6
#define N_BLOCKS    20000
#define STATE_BYTES (1u << 20)
#define ROUND_NS    400000000ull
#define DEPTH_MAX   12

/* Blocks are never touched: only their addresses are used. Who holds one has set it to HELD. */
enum { FREE, HELD, LIVE };
static uint32_t blocks[N_BLOCKS];
static int is_over;
static uint64_t n_operations;

static void *address_of(uint32_t i)
{
	return (void *)(0x10000000ull + (uint64_t)i * 48);
}

static bool goes_on(void)
{
	return !__atomic_load_n(&is_over, __ATOMIC_RELAXED);
}

static bool hold(uint32_t i, uint32_t from)
{
	return hs_cas_acq_rel(&blocks[i], &from, HELD);
}

static void let_go(uint32_t i, uint32_t to)
{
	hs_store_release(&blocks[i], to);
}

static void __attribute__((noinline)) allocate(uint32_t i, size_t bytes, unsigned depth)
{
	if (depth) {
		allocate(i, bytes, depth - 1);
		__asm__ volatile("" : : : "memory"); /* a frame of its own */
		return;
	}
	if (thread_state_countdown(bytes)) {
		thread_state_put_back(bytes);
		recorder_allocated(address_of(i), bytes);
	}
}

static void release(uint32_t i)
{
	if (filter_test(address_of(i)))
		recorder_freed(address_of(i));
}

/* As realloc in place does it, one time in two as if it had failed. */
static void change(uint32_t i, bool has_failed)
{
	struct recorder_ticket ticket = { 0 };

	if (!filter_test(address_of(i)))
		return;
	recorder_detach(address_of(i), &ticket);
	if (has_failed) {
		recorder_reattach(address_of(i), &ticket);
		return;
	}
	recorder_settle(&ticket);
	allocate(i, 100, 1);
}

static void operate(struct sample_rng *rng)
{
	uint64_t random = sample_rng_next(rng);
	uint32_t i = (uint32_t)random % N_BLOCKS;
	size_t bytes = 1 + (random >> 32 & 1023) + (random >> 58 ? 0 : 20000);

	if (hold(i, FREE)) {
		allocate(i, bytes, (random >> 44) % DEPTH_MAX);
		let_go(i, LIVE);
	} else if (hold(i, LIVE)) {
		if ((random >> 50 & 7) == 0) {
			change(i, random >> 53 & 1);
			let_go(i, LIVE);
		} else {
			release(i);
			let_go(i, FREE);
		}
	}
}

static void *record(void *number)
{
	struct sample_rng rng;
	uint64_t n = 0;

	sample_rng_seed(&rng, (uint64_t)(uintptr_t)number);
	for (; goes_on(); n++)
		operate(&rng);
	hs_add_relaxed(&n_operations, n);
	return NULL;
}

static void *record_for_a_moment(void *number)
{
	struct sample_rng rng;
	int i;

	sample_rng_seed(&rng, (uint64_t)(uintptr_t)number);
	for (i = 0; i < 500; i++)
		operate(&rng);
	return NULL;
}

static void *begin_and_end(void *unused)
{
	uintptr_t number = 1000;
	pthread_t thread;

	while (goes_on()) {
		pthread_create(&thread, NULL, record_for_a_moment, (void *)++number);
		pthread_join(thread, NULL);
	}
	return NULL;
}

/* Stacks that no walk finds, so that their tables grow as well. */
static void *intern(void *unused)
{
	struct state_header *state = process_state();
	uint64_t frames[20], k;
	struct sample_rng rng;
	uint32_t n, i;

	sample_rng_seed(&rng, 77);
	while (goes_on()) {
		n = (uint32_t)(sample_rng_next(&rng) % 20);
		k = sample_rng_next(&rng) % 3000;
		for (i = 0; i < n; i++)
			frames[i] = HEAPSPY_FRAME_MAKE(0x1000 + k * 64 + i, 0, 1);
		if (!stack_table_intern(state, frames, n, 0, 0))
			abort();
	}
	return NULL;
}

static void *raise_levels(void *unused)
{
	struct state_header *state = process_state();
	uint64_t next_ns = 0;

	while (goes_on()) {
		uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
		uint32_t level = hs_load_relaxed(&state->level);

		if (now_ns < next_ns)
			continue;
		next_ns = now_ns + ROUND_NS / 8;
		thinning_raise_by_cpu(state, level + 1, "test");
	}
	return NULL;
}

static bool swallow(void *context, uint64_t offset, const void *data, size_t bytes)
{
	uint64_t *n_bytes = context;

	*n_bytes += bytes;
	return true;
}

static bool bytes_seen(const struct state_header *state, void *context, uint64_t *bytes_seenp)
{
	*bytes_seenp = hs_load_relaxed(&state->bytes_seen);
	return true;
}

static void *write_snapshots(void *n_bytes)
{
	static uint8_t buffer[SNAPSHOT_BUFFER_BYTES];
	const struct state_header *state = process_state();

	while (goes_on()) {
		struct snapshot_facts facts = { .reason = HEAPSPY_REASON_LABEL,
			.now_ns = clock_ns(CLOCK_MONOTONIC),
			.bytes_seen = bytes_seen };
		struct snapshot_sink sink = { swallow, n_bytes, buffer, sizeof(buffer) };

		if (!snapshot_write(state, &facts, &sink))
			abort();
	}
	return NULL;
}

/* Keys, and those of blocks that do not live. */
static uint64_t count_keys(const struct state_header *state, uint64_t *n_wrongp)
{
	uint32_t c = state_n_chunks(state);
	struct state_live_segment *s;
	uint64_t n = 0;

	while ((s = state_chunk_before(state, STATE_CHUNK_LIVE, &c))) {
		struct state_live_bucket *buckets = (void *)((char *)s + s->buckets);
		uint64_t slot;

		for (slot = 0; slot < s->n_buckets * STATE_BUCKET_SLOTS; slot++) {
			uint64_t key =
				buckets[slot / STATE_BUCKET_SLOTS].key[slot % STATE_BUCKET_SLOTS];

			if (!key)
				continue;
			n++;
			*n_wrongp += blocks[(key - 0x10000000ull) / 48] != LIVE;
		}
	}
	return n;
}

/* One state from empty to thinned. */
static void round_of(uint64_t *n_bytesp)
{
	void *(*const others[])(void *) = { begin_and_end, intern, raise_levels, write_snapshots };
	pthread_t threads[THREADS + 4];
	struct state_header *state = state_fixture(STATE_BYTES, 1);
	struct timespec span = { 0, ROUND_NS };
	uint64_t n_wrong = 0, n;
	uintptr_t i;

	state->due_ns = 0;
	/* Within the round a second ends. */
	state->start_ns -= 1000000000 - ROUND_NS / 2;
	process_generation++;
	memset(blocks, 0, sizeof(blocks));
	memset(filter_words, 0, sizeof(filter_words));
	__atomic_store_n(&is_over, 0, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, record, (void *)(i + 1));
	for (; i < THREADS + 4; i++)
		pthread_create(&threads[i], NULL, others[i - THREADS], n_bytesp);
	nanosleep(&span, NULL);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS + 4; i++)
		pthread_join(threads[i], NULL);
	n = count_keys(state, &n_wrong);
	CHECK(n == state->live_samples && n_wrong == 0);
	CHECK(state->level > 0 && state->walked_level == state->level);
	process_page.state = NULL;
	munmap(state, STATE_BYTES);
}

static double seconds = 3;

static void test_threads_samples_walks_and_a_reader(void)
{
	uint64_t until_ns, n_bytes = 0, n_rounds = 0;

	thread_state_init(NULL);
	until_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	do {
		round_of(&n_bytes);
		n_rounds++;
	} while (clock_ns(CLOCK_MONOTONIC) < until_ns);
	CHECK(n_operations > 1000 && n_bytes > 1000);
	printf("# %lu rounds, %lu operations, %lu bytes of snapshots\n", (unsigned long)n_rounds,
		(unsigned long)n_operations, (unsigned long)n_bytes);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seconds = atof(argv[1]);
	TAP_RUN(test_threads_samples_walks_and_a_reader);
	return tap_done();
}
