/* live_table.h: nothing lost or doubled while it grows, is thinned, and many threads use it. */
#include <pthread.h>
#include <stdlib.h>
#include "preload/filter.h"
#include "preload/live_table.h"
#include "preload/state/state_map.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define THREADS 4
#define ROUNDS  20000

static struct state_live_value value_of(uint64_t address)
{
	return (struct state_live_value){ address & 0xffff, address * 3 & 0xffffffffull,
		(uint32_t)address, (uint32_t)(address >> 4) };
}

static bool same(const struct state_live_value *a, const struct state_live_value *b)
{
	return a->size_thread == b->size_thread && a->birth_level == b->birth_level &&
	       a->stack == b->stack && a->u == b->u;
}

static uint64_t count_of(struct state_header *state)
{
	uint32_t i = state_n_chunks(state);
	struct state_live_segment *s;
	uint64_t n = 0;

	while ((s = state_chunk_before(state, STATE_CHUNK_LIVE, &i)))
		n += s->count;
	return n;
}

static void test_what_goes_in_comes_out_once(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	struct state_live_value value, out;
	uint64_t i, n = 40000, missing = 0, wrong = 0, twice = 0;

	CHECK(state != NULL);
	for (i = 1; i <= n; i++) {
		value = value_of(i * 48);
		CHECK(live_table_insert(state, i * 48, &value) == LIVE_INSERTED);
	}
	CHECK(count_of(state) == n);
	for (i = 1; i <= n; i++) {
		value = value_of(i * 48);
		if (!live_table_remove(state, i * 48, &out))
			missing++;
		else
			wrong += !same(&value, &out);
		twice += live_table_remove(state, i * 48, &out);
	}
	CHECK(missing == 0 && wrong == 0 && twice == 0);
	CHECK(count_of(state) == 0);
}

/* A wild store of the program, or another process of its user. */
static void test_damage_to_what_describes_the_tables_is_not_followed(void)
{
	static const uint8_t patterns[] = { 0x00, 0x01, 0x41, 0xff };
	struct state_header *state = state_fixture(32 << 20, 4096);
	struct state_live_value value, out;
	uint64_t i, n = 4000, missing = 0;
	unsigned p;

	for (p = 0; p < sizeof(patterns); p++) {
		uint32_t at = state_tables_end(state);
		struct state_live_segment *s;

		while ((s = state_chunk_before(state, STATE_CHUNK_LIVE, &at))) {
			memset(&s->n_buckets, patterns[p], sizeof(s->n_buckets));
			memset(&s->buckets, patterns[p], sizeof(s->buckets));
		}
		memset(state->chunk, patterns[p], sizeof(state->chunk));
		memset(&state->n_chunks, patterns[p], sizeof(state->n_chunks));
		/* Grows, too. */
		for (i = 1; i <= n; i++) {
			value = value_of(i * 48);
			CHECK(live_table_insert(state, i * 48, &value) == LIVE_INSERTED);
		}
		for (i = 1; i <= n; i++) {
			value = value_of(i * 48);
			missing += !live_table_remove(state, i * 48, &out) || !same(&value, &out);
		}
		CHECK(missing == 0);
		n *= 2;
	}
}

static void test_addresses_of_one_filter_bit_find_each_other(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	struct state_live_value value = value_of(1), out;
	uint64_t base = 0x7f0000000040, i, n = 100;
	uint32_t index = filter_index((void *)base);

	CHECK(!live_table_has_index(state, index));
	for (i = 0; i < n; i++)
		CHECK(live_table_insert(state, base + (i << 28), &value) == LIVE_INSERTED);
	for (i = 0; i < n; i++) {
		CHECK(live_table_has_index(state, index));
		CHECK(live_table_remove(state, base + (i << 28), &out));
	}
	CHECK(!live_table_has_index(state, index));
}

/* With every block a sample, bits stay; they must go once the interval has been raised. */
static void test_bits_left_behind_go_when_asked_for(void)
{
	struct state_header *state = state_fixture(32 << 20, 1);
	struct state_live_value value = value_of(1), out;
	void *gone = (void *)0x7e0000000040, *alive = (void *)0x7e0000000080;
	/* One that shares its bit with a sample that lives. */
	void *alias = (void *)(0x7e0000000080 + (1ull << 28));

	CHECK(live_table_insert(state, (uintptr_t)gone, &value) == LIVE_INSERTED);
	CHECK(live_table_insert(state, (uintptr_t)alive, &value) == LIVE_INSERTED);
	CHECK(live_table_remove(state, (uintptr_t)gone, &out));
	CHECK(filter_test(gone) && filter_test(alias));
	CHECK(!live_table_remove(state, (uintptr_t)gone, &out) && filter_test(gone));
	state->level = 1;
	CHECK(!live_table_remove(state, (uintptr_t)gone, &out) && !filter_test(gone));
	CHECK(!live_table_remove(state, (uintptr_t)alias, &out) && filter_test(alias));
	CHECK(live_table_remove(state, (uintptr_t)alive, &out) && !filter_test(alive));
}

static void test_full_is_said(void)
{
	struct state_header *state = state_fixture(256 << 10, 4096);
	struct state_live_value value = value_of(1), out;
	uint64_t i = 1;

	while (i < 100000 && live_table_insert(state, i * 64, &value) == LIVE_INSERTED)
		i++;
	CHECK(i > 300 && i < 10000);
	CHECK(live_table_remove(state, 64, &out));
}

static void walk_all(struct state_header *state,
	bool (*visit)(struct state_header *state, struct state_live_value *value),
	void (*died)(struct state_header *state, const struct state_live_value *value))
{
	struct live_position at = live_table_begin(state);

	while (live_table_thin(state, &at, visit, died))
		;
}

static bool keep_odd(struct state_header *state, struct state_live_value *value)
{
	return value->stack & 64;
}

static void never(struct state_header *state, const struct state_live_value *value)
{
	CHECK(!"a death during a walk in one thread");
}

static void test_a_walk_removes_what_it_is_told(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	struct state_live_value value, out;
	uint64_t i;

	for (i = 1; i <= 1000; i++) {
		value = value_of(i * 64);
		live_table_insert(state, i * 64, &value);
	}
	walk_all(state, keep_odd, never);
	CHECK(count_of(state) == 500);
	for (i = 1; i <= 1000; i++)
		CHECK(live_table_remove(state, i * 64, &out) == (i % 2 == 1));
}

static void add_up(void *context, uint64_t size)
{
	uint64_t *sums = context;

	sums[0]++;
	sums[1] += size;
}

static void test_a_survey_sees_some_of_all_segments(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	struct state_live_value value = { 0 };
	uint64_t all[2] = { 0 }, some[2] = { 0 }, i;

	for (i = 1; i <= 40000; i++) {
		value.size_thread = i | 7ull << 48;
		live_table_insert(state, i * 64, &value);
	}
	live_table_survey(state, 1u << 20, add_up, all);
	CHECK(all[0] == 40000 && all[1] == 40000ull * 40001 / 2);
	live_table_survey(state, 200, add_up, some);
	CHECK(some[0] > 500 && some[0] < 200 * STATE_BUCKET_SLOTS);
	/* The oldest have the smallest sizes, and the first segments to themselves. */
	CHECK_NEAR(some[1] / some[0], 20000, 2000);
}

/* Threads insert and remove their own addresses while a walk claims every slot in turn. */
static struct state_header *shared_state;
static uint64_t died_in_walk;
static int stop;

static bool keep_all(struct state_header *state, struct state_live_value *value)
{
	return true;
}

static void died(struct state_header *state, const struct state_live_value *value)
{
	hs_add_relaxed(&died_in_walk, 1);
}

static void *churn(void *argument)
{
	uint64_t base = (uint64_t)(uintptr_t)argument << 32, handed_over = 0, i;
	unsigned seed = (unsigned)(uintptr_t)argument;
	static __thread uint64_t held[64];

	for (i = 0; i < ROUNDS; i++) {
		unsigned slot = (unsigned)rand_r(&seed) % 64;
		struct state_live_value value, out;

		if (held[slot])
			handed_over += !live_table_remove(shared_state, held[slot], &out);
		held[slot] = base + ((i + 1) << 6);
		value = value_of(held[slot]);
		live_table_insert(shared_state, held[slot], &value);
	}
	for (i = 0; i < 64; i++) {
		struct state_live_value out;

		if (held[i])
			handed_over += !live_table_remove(shared_state, held[i], &out);
	}
	return (void *)(uintptr_t)handed_over;
}

static void *walk(void *argument)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		walk_all(shared_state, keep_all, died);
	return NULL;
}

static void test_threads_and_a_walker(void)
{
	pthread_t threads[THREADS], walker;
	uint64_t handed_over = 0;
	unsigned i;

	shared_state = state_fixture(32 << 20, 4096);
	pthread_create(&walker, NULL, walk, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < THREADS; i++) {
		void *n;

		pthread_join(threads[i], &n);
		handed_over += (uint64_t)(uintptr_t)n;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(walker, NULL);
	/* Each block died once: by its owner, or by the walk that held it at the moment. */
	CHECK(handed_over == died_in_walk);
	CHECK(count_of(shared_state) == 0);
	printf("# %lu of %d deaths were finished by the walk\n", (unsigned long)handed_over,
		THREADS * ROUNDS);
}

int main(void)
{
	TAP_RUN(test_what_goes_in_comes_out_once);
	TAP_RUN(test_damage_to_what_describes_the_tables_is_not_followed);
	TAP_RUN(test_addresses_of_one_filter_bit_find_each_other);
	TAP_RUN(test_bits_left_behind_go_when_asked_for);
	TAP_RUN(test_full_is_said);
	TAP_RUN(test_a_walk_removes_what_it_is_told);
	TAP_RUN(test_a_survey_sees_some_of_all_segments);
	TAP_RUN(test_threads_and_a_walker);
	return tap_done();
}
