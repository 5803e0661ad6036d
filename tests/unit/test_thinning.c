/*
 * thinning.h: what is allocated = what is live + what has died + what was thinned, in integers, at
 * each level, in the middle of a walk, and with threads that free under it.
 */
#include <pthread.h>
#include <stdlib.h>
#include "preload/live_table.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define SAMPLES   5000
#define SECOND_NS 1000000000ull

static const uint64_t sizes[] = { 16, 300, 4096, 70000, 1 << 20 };

struct sums {
	uint64_t n, S, B, V, C;
};

static void add(struct sums *sums, uint64_t size, struct sample_weight w)
{
	sums->n++;
	sums->S += size;
	sums->B += w.bytes;
	sums->V += w.variance;
	sums->C += w.count_1024;
}

static bool are_equal(struct sums a, struct sums b)
{
	return a.n == b.n && a.S == b.S && a.B == b.B && a.V == b.V && a.C == b.C;
}

static uint64_t size_of(const struct state_live_value *value)
{
	return value->size_thread & 0xffffffffffffull;
}

/* The live samples, at the levels they stand at, or, as a reader has it, all at the one in force.
 */
static struct sums live_of(struct state_header *state, bool is_lifted)
{
	uint32_t i = state_n_chunks(state);
	struct state_live_segment *s;
	struct sums live = { 0 };

	while ((s = state_chunk_before(state, STATE_CHUNK_LIVE, &i))) {
		struct state_live_bucket *buckets = (void *)((char *)s + s->buckets);
		uint64_t slot;

		for (slot = 0; slot < s->n_buckets * STATE_BUCKET_SLOTS; slot++) {
			struct state_live_bucket *b = &buckets[slot / STATE_BUCKET_SLOTS];
			const struct state_live_value *v = &b->value[slot % STATE_BUCKET_SLOTS];
			unsigned level = (unsigned)(v->birth_level >> 60);

			if (!b->key[slot % STATE_BUCKET_SLOTS])
				continue;
			if (is_lifted)
				level = state->level;
			if (!is_lifted ||
				sample_belongs(v->u, size_of(v),
					state->interval_bytes << ((v->birth_level >> 56) & 15),
					state->interval_bytes << level))
				add(&live, size_of(v), thinning_weight(state, v, level));
		}
	}
	return live;
}

/* What has left: thinned, and with deaths too (which tell neither S nor V). */
static struct sums gone_of(struct state_header *state, uint32_t stack, struct sums *died)
{
	uint32_t id = stack_table_record(state, stack)->extras, i;
	struct sums thinned = { 0 };

	memset(died, 0, sizeof(*died));
	while (id) {
		struct state_extra *e = state_at(state, (uint64_t)id * STATE_ALIGN);

		if (e->group == STATE_EXTRA_THINNED) {
			thinned.n += e->thinned.n;
			thinned.S += e->thinned.S;
			thinned.B += e->thinned.B;
			thinned.V += e->thinned.V;
			thinned.C += e->thinned.C;
		}
		for (i = 0; e->group < STATE_EXTRA_THINNED && i < STATE_EXTRA_BUCKETS; i++) {
			died->n += e->died[i].n;
			died->B += e->died[i].B;
			died->C += e->died[i].C;
		}
		id = e->next;
	}
	return thinned;
}

/* Whether allocated - live - thinned is what has died; only_nbc: S and V are not known of deaths.
 */
static bool reconciles(struct state_header *state, uint32_t stack, bool has_deaths)
{
	const struct state_stack *s = stack_table_record(state, stack);
	struct sums live = live_of(state, false), died, thinned = gone_of(state, stack, &died);

	return live.n + thinned.n + died.n == s->n && live.B + thinned.B + died.B == s->B &&
	       live.C + thinned.C + died.C == s->C &&
	       (has_deaths ||
		       (died.n == 0 && live.S + thinned.S == s->S && live.V + thinned.V == s->V));
}

static uint32_t stack_in(struct state_header *state)
{
	uint64_t frame = 1;

	return stack_table_intern(state, &frame, 1, 0, 0);
}

static void born(struct state_header *state, uint64_t address, uint32_t stack, uint64_t size,
	uint64_t birth_ns, uint32_t u)
{
	uint64_t level = state->level;
	struct state_live_value value = { .size_thread = size,
		.birth_level = birth_ns | level << 56 | level << 60,
		.stack = stack,
		.u = u };
	struct sample_weight weight = thinning_weight(state, &value, (unsigned)level);

	if (live_table_insert(state, address, &value) != LIVE_INSERTED)
		exit(1);
	site_stats_allocated(state, stack, size, weight);
	site_stats_joined(state, u, weight, birth_ns);
}

/* A state with the same samples each time. */
static struct state_header *filled(uint32_t *stackp)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	struct sample_rng rng;
	uint64_t i;

	*stackp = stack_in(state);
	sample_rng_seed(&rng, 12345);
	for (i = 1; i <= SAMPLES; i++)
		born(state, i * 64, *stackp, sizes[i % 5], i, (uint32_t)sample_rng_next(&rng));
	return state;
}

static void test_sums_reconcile_at_each_level(void)
{
	uint32_t stack, level;
	struct state_header *state = filled(&stack);
	struct sums live = { .n = SAMPLES };

	for (level = 0; level < 6; level = state->level) {
		uint64_t before = live.n;

		CHECK(thinning_make_room(state, level));
		CHECK(state->level > level && state->walked_level == state->level);
		live = live_of(state, false);
		CHECK(are_equal(live, live_of(state, true)));
		CHECK(live.n == state->live_samples);
		/* What is kept is 3/4 on average; 0.3 standard errors and what few buckets tell. */
		CHECK(live.n < before * 8 / 10);
		CHECK(live.B == state_live_bytes(state));
		CHECK(reconciles(state, stack, false));
	}
	/* 1 MiB blocks stay as good as for sure at 256 KiB, and mostly at twice that. */
	CHECK(live.n > 800 && live.n < 2200);
}

static void test_one_walk_over_many_levels_is_the_same(void)
{
	uint32_t stack, level;
	struct state_header *steps = filled(&stack), *jump;
	struct sums live, died, thinned[2];

	for (level = 1; level <= 6; level++)
		thinning_raise_by_cpu(steps, level, "test");
	CHECK(steps->levels_by_cpu == 0x7e);
	live = live_of(steps, false);
	thinned[0] = gone_of(steps, stack, &died);
	jump = filled(&stack); /* from here on the process has only this one */
	fake_now_ns = jump->start_ns + 3 * SECOND_NS;
	thinning_raise_by_cpu(jump, 6, "test");
	CHECK(jump->level == 6 && jump->walked_level == 6);
	CHECK(are_equal(live, live_of(jump, false)));
	thinned[1] = gone_of(jump, stack, &died);
	CHECK(are_equal(thinned[0], thinned[1]));
	for (level = 0; level <= HEAPSPY_LEVEL_MAX; level++)
		CHECK(jump->level_ns[level] == (level == 6 ? 3 * SECOND_NS : 0));
	CHECK(jump->levels_by_cpu == 1 << 6);
	thinning_raise_by_cpu(jump, 6, "test");
	thinning_raise_by_cpu(jump, 5, "test");
	CHECK(jump->level == 6);
	thinning_raise_by_cpu(jump, 100, "test");
	CHECK(jump->level == HEAPSPY_LEVEL_MAX);
	CHECK(reconciles(jump, stack, false));
}

static void test_the_last_level_is_the_last(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	uint32_t level;

	for (level = 0; level < HEAPSPY_LEVEL_MAX; level++)
		CHECK(thinning_make_room(state, level));
	CHECK(!thinning_make_room(state, HEAPSPY_LEVEL_MAX));
	CHECK(state->level == HEAPSPY_LEVEL_MAX && state->walked_level == HEAPSPY_LEVEL_MAX);
}

/* The walk looks at the clock between its parts: there a reader comes by. */
static struct {
	struct state_header *state;
	uint32_t stack;
	unsigned n_looks, n_half_walked, n_wrong;
	struct sums lifted;
} reader;

static void read_in_the_middle(void)
{
	struct sums lifted;

	if (!reader.state || !reader.state->level)
		return;
	lifted = live_of(reader.state, true);
	if (!reader.n_looks++)
		reader.lifted = lifted;
	reader.n_half_walked += !are_equal(lifted, live_of(reader.state, false));
	reader.n_wrong += !are_equal(lifted, reader.lifted) ||
			  reader.state->walked_level >= reader.state->level ||
			  !reader.state->level_ns[reader.state->level] ||
			  !reconciles(reader.state, reader.stack, false);
}

static void test_a_reader_finishes_a_walk_under_way(void)
{
	reader.state = filled(&reader.stack);
	fake_now_ns += SECOND_NS;
	fake_clock_seen = read_in_the_middle;
	thinning_raise_by_cpu(reader.state, 3, "test");
	fake_clock_seen = NULL;
	CHECK(reader.n_looks > 5 && reader.n_half_walked > 5);
	CHECK(reader.n_wrong == 0);
	CHECK(are_equal(reader.lifted, live_of(reader.state, false)));
}

/* A thread was killed, or jumped out of the walk: the next walk does what it has left. */
static void test_a_walk_that_was_given_up(void)
{
	uint32_t stack;
	struct state_header *state = filled(&stack);
	struct sums half, lifted;

	state->level = 2; /* and no walk */
	half = live_of(state, false);
	lifted = live_of(state, true);
	CHECK(!are_equal(half, lifted) && reconciles(state, stack, false));
	/* It makes the room that is wanted: no need for another level. */
	CHECK(thinning_make_room(state, 2) && state->level == 2 && state->walked_level == 2);
	CHECK(are_equal(live_of(state, false), lifted) && reconciles(state, stack, false));
	CHECK(thinning_make_room(state, 2) && state->level > 2);
}

/* In the middle of a walk, another thread comes that needs room. */
static struct {
	struct state_header *state;
	unsigned n_looks;
} helper;

static void help(void)
{
	uint32_t level = helper.state->level;

	if (!level || helper.n_looks++ != 3)
		return;
	fake_clock_seen = NULL;
	CHECK(helper.state->walked_level < level);
	CHECK(thinning_make_room(helper.state, level));
	CHECK(helper.state->level == level && helper.state->walked_level == level);
	CHECK(are_equal(live_of(helper.state, false), live_of(helper.state, true)));
}

static void test_who_finds_a_walk_under_way_walks_too(void)
{
	uint32_t stack;

	helper.state = filled(&stack);
	fake_clock_seen = help;
	CHECK(thinning_make_room(helper.state, 0));
	CHECK(!fake_clock_seen && helper.n_looks == 4);
	CHECK(reconciles(helper.state, stack, false));
	CHECK(live_of(helper.state, false).n == helper.state->live_samples);
}

/* With every block a sample, the first doublings take next to none of them away. */
static void test_a_full_table_rises_as_far_as_it_takes(void)
{
	static const struct {
		uint64_t size_bytes;
		uint32_t level;
	} cases[] = { { 16, 4 }, { 1000, 10 }, { 100000, HEAPSPY_LEVEL_MAX } };
	struct state_header *state;
	struct sample_rng rng;
	uint32_t stack;
	unsigned c;
	uint64_t i;

	sample_rng_seed(&rng, 1);
	for (c = 0; c < 3; c++) {
		state = state_fixture(32 << 20, 1);
		stack = stack_in(state);
		for (i = 1; i <= SAMPLES; i++)
			born(state, i * 64, stack, cases[c].size_bytes, i,
				(uint32_t)sample_rng_next(&rng));
		CHECK(thinning_make_room(state, 0));
		CHECK_NEAR(state->level, cases[c].level, 0);
		/* 1 - exp(-1) of each, or 1 - exp(-1000/1024) */
		if (cases[c].level < HEAPSPY_LEVEL_MAX)
			CHECK_NEAR(state->live_samples, SAMPLES * .63, SAMPLES * .03);
		CHECK(reconciles(state, stack, false));
	}
}

static void test_who_comes_late_raises_nothing(void)
{
	uint32_t stack;
	struct state_header *state = filled(&stack);

	CHECK(thinning_make_room(state, 0));
	/* Another thread had found the table full at level 0, too. */
	CHECK(thinning_make_room(state, 0));
	CHECK(state->level == 1 && state->walked_level == 1);
}

/* Threads that allocate and free, while others raise the level, from both reasons. */
#define THREADS 3
#define HELD    1024
#define ROUNDS  100000

static struct state_header *shared;
static uint32_t shared_stack;
static int n_churning;

static void free_sample(uint64_t address)
{
	struct state_live_value value;
	struct sample_weight weight;

	if (!live_table_remove(shared, address, &value))
		return; /* thinned, or the walker's to book */
	weight = thinning_weight(shared, &value, (unsigned)(value.birth_level >> 60));
	site_stats_died(shared, value.stack, 1000, weight);
	site_stats_left(shared, value.u, weight);
	hs_add_relaxed(&shared->deaths, 1);
}

static void *churn(void *number)
{
	static __thread uint64_t held[HELD];
	uint64_t base = (uint64_t)(uintptr_t)number << 32, i;
	struct sample_rng rng;

	sample_rng_seed(&rng, (uint64_t)(uintptr_t)number);
	for (i = 1; i <= ROUNDS; i++) {
		uint64_t random = sample_rng_next(&rng);
		uint64_t *slot = &held[random >> 40 & (HELD - 1)];

		if (*slot)
			free_sample(*slot);
		*slot = base + (i << 6);
		/* Most are so large that they stay at each level. */
		born(shared, *slot, shared_stack, random >> 62 ? 1 << 30 : sizes[random >> 60 & 3],
			i, (uint32_t)random);
	}
	__atomic_fetch_sub(&n_churning, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *raise_levels(void *by_cpu)
{
	while (__atomic_load_n(&n_churning, __ATOMIC_ACQUIRE)) {
		uint32_t level = hs_load_relaxed(&shared->level);

		/* At the last level the walks go on, by the way that does not look. */
		if (level == HEAPSPY_LEVEL_MAX)
			hs_store_relaxed(&shared->level, 0);
		else if (by_cpu)
			thinning_raise_by_cpu(shared, level + 2, "test");
		else
			thinning_make_room(shared, level);
	}
	return NULL;
}

static void test_threads_that_free_under_the_walk(void)
{
	pthread_t threads[THREADS + 2];
	unsigned i;

	shared = state_fixture(64 << 20, 4096);
	shared_stack = stack_in(shared);
	n_churning = THREADS;
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(uintptr_t)(i + 1));
	for (; i < THREADS + 2; i++)
		pthread_create(&threads[i], NULL, raise_levels, (void *)(uintptr_t)(i % 2));
	for (i = 0; i < THREADS + 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(reconciles(shared, shared_stack, true));
	CHECK(live_of(shared, false).n == shared->live_samples);
	CHECK(live_of(shared, false).B == state_live_bytes(shared));
}

int main(void)
{
	TAP_RUN(test_sums_reconcile_at_each_level);
	TAP_RUN(test_one_walk_over_many_levels_is_the_same);
	TAP_RUN(test_the_last_level_is_the_last);
	TAP_RUN(test_a_reader_finishes_a_walk_under_way);
	TAP_RUN(test_a_walk_that_was_given_up);
	TAP_RUN(test_who_finds_a_walk_under_way_walks_too);
	TAP_RUN(test_a_full_table_rises_as_far_as_it_takes);
	TAP_RUN(test_who_comes_late_raises_nothing);
	TAP_RUN(test_threads_that_free_under_the_walk);
	return tap_done();
}
