/* thinning.h: what is allocated = what is live + what was thinned, in integers, at each level. */
#include "preload/live_table.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define SAMPLES 5000

struct sums {
	uint64_t n, B, V, C;
};

static struct sums live;

static bool add_live(struct state_header *state, struct state_live_value *value)
{
	unsigned level = (unsigned)(value->birth_level >> 60);
	struct sample_weight w = thinning_weight(state, value, level);

	CHECK(level == state->level);
	live.n++;
	live.B += w.bytes;
	live.V += w.variance;
	live.C += w.count_1024;
	return true;
}

static void nobody(struct state_header *state, const struct state_live_value *value)
{
}

static struct sums thinned_of(struct state_header *state, uint32_t stack)
{
	uint32_t id = stack_table_record(state, stack)->extras;
	struct sums t = { 0 };

	while (id) {
		struct state_extra *e = state_at(state, (uint64_t)id * STATE_ALIGN);

		if (e->group == STATE_EXTRA_THINNED) {
			t.n += e->thinned.n;
			t.B += e->thinned.B;
			t.V += e->thinned.V;
			t.C += e->thinned.C;
		}
		id = e->next;
	}
	return t;
}

static void test_sums_reconcile_at_each_level(void)
{
	static const uint64_t sizes[] = { 16, 300, 4096, 70000, 1 << 20 };
	struct state_header *state = state_fixture(32 << 20, 4096);
	uint64_t frame = 1, i;
	uint32_t stack = stack_table_intern(state, &frame, 1, 0, 0);
	struct state_stack *s = stack_table_record(state, stack);
	struct sample_rng rng;
	unsigned level;

	sample_rng_seed(&rng, 12345);
	for (i = 1; i <= SAMPLES; i++) {
		struct state_live_value value = { .size_thread = sizes[i % 5],
			.birth_level = i,
			.stack = stack,
			.u = (uint32_t)sample_rng_next(&rng) };

		live_table_insert(state, i * 64, &value);
		state->live_samples++;
		site_stats_allocated(state, stack, sizes[i % 5], thinning_weight(state, &value, 0));
	}
	for (level = 1; level <= 6; level++) {
		struct sums thinned;
		uint64_t before = live.n ? live.n : SAMPLES;

		CHECK(thinning_raise(state));
		CHECK(state->level == level);
		memset(&live, 0, sizeof(live));
		live_table_thin(state, add_live, nobody);
		thinned = thinned_of(state, stack);
		CHECK(live.n == state->live_samples && live.n < before);
		CHECK(live.n + thinned.n == s->n);
		CHECK(live.B + thinned.B == s->B);
		CHECK(live.V + thinned.V == s->V);
		CHECK(live.C + thinned.C == s->C);
	}
	/* 1 MiB blocks stay for sure at 256 KiB; of the others about a sixtieth of the small. */
	CHECK(live.n > 1000 && live.n < 2200);
}

static void test_the_last_level_is_the_last(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	unsigned i;

	for (i = 0; i < HEAPSPY_LEVEL_MAX; i++)
		CHECK(thinning_raise(state));
	CHECK(!thinning_raise(state));
	CHECK(state->level == HEAPSPY_LEVEL_MAX);
}

int main(void)
{
	TAP_RUN(test_sums_reconcile_at_each_level);
	TAP_RUN(test_the_last_level_is_the_last);
	return tap_done();
}
