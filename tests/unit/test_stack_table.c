/* stack_table.h, site_stats.h: one id a stack, folding when full, sums that add up. */
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

static void test_equal_stacks_have_one_id(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	uint64_t a[] = { 1, 2, 3 }, b[] = { 1, 2, 4 };
	uint32_t id = stack_table_intern(state, a, 3, 0, 0);

	CHECK(id != 0);
	CHECK(stack_table_intern(state, a, 3, 0, 0) == id);
	CHECK(stack_table_intern(state, b, 3, 0, 0) != id);
	CHECK(stack_table_intern(state, a, 2, 0, 0) != id);
	CHECK(stack_table_intern(state, a, 3, HEAPSPY_STACK_CUT, 0) != id);
	CHECK(stack_table_intern(state, a, 3, HEAPSPY_STACK_APPROX, 1) !=
		stack_table_intern(state, a, 3, HEAPSPY_STACK_APPROX, 2));
	CHECK(stack_table_record(state, id)->n_frames == 3);
	CHECK(stack_table_record(state, id)->frame[2] == 3);
}

static void test_many_stacks_stay_apart(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	static uint32_t id[20000];
	uint64_t frames[10] = { 0 };
	uint32_t i, wrong = 0;

	for (i = 0; i < 20000; i++) {
		frames[0] = i;
		frames[9] = i * 7;
		id[i] = stack_table_intern(state, frames, 10, 0, 0);
	}
	for (i = 0; i < 20000; i++) {
		frames[0] = i;
		frames[9] = i * 7;
		wrong += stack_table_intern(state, frames, 10, 0, 0) != id[i] || !id[i];
	}
	CHECK(wrong == 0);
	CHECK(state->losses[HEAPSPY_LOSS_FOLDED] == 0);
	printf("# %.0f bytes of state a stack of 10 frames\n", (double)state->used_bytes / 20000);
}

/* Places near each other fill up long before the first table does. */
static void test_chance_folds_nothing(void)
{
	uint64_t frames[10] = { 0 };
	uint32_t round, i, folded = 0;

	for (round = 0; round < 1000; round++) {
		struct state_header *state = state_fixture(1 << 20, 4096);

		for (i = 0; i < 500; i++) {
			frames[0] = (uint64_t)round * 500 + i;
			stack_table_intern(state, frames, 10, 0, 0);
		}
		folded += (uint32_t)state->losses[HEAPSPY_LOSS_FOLDED];
	}
	printf("# %u folded\n", folded);
	CHECK(folded == 0);
}

static void test_a_full_state_folds_and_never_refuses(void)
{
	struct state_header *state = state_fixture(256 << 10, 4096);
	uint64_t frames[40];
	uint32_t i, j, id, refused = 0, shortest = 40;

	for (i = 0; i < 20000; i++) {
		for (j = 0; j < 40; j++)
			frames[j] = (uint64_t)i * 40 + j + 1;
		id = stack_table_intern(state, frames, 40, 0, 0);
		refused += id == 0;
		if (id && stack_table_record(state, id)->n_frames < shortest)
			shortest = stack_table_record(state, id)->n_frames;
	}
	CHECK(refused == 0);
	CHECK(shortest == 0);
	CHECK(state->losses[HEAPSPY_LOSS_FOLDED] > 0);
	CHECK(state->used_bytes <= state->max_bytes);
}

static void test_counters_add_up(void)
{
	struct state_header *state = state_fixture(32 << 20, 4096);
	uint64_t frame = 42, n = 0, B = 0, C = 0;
	uint32_t id = stack_table_intern(state, &frame, 1, 0, 0), extra;
	struct state_stack *s = stack_table_record(state, id);
	struct sample_weight w = { 100, 2048, 7, 0 }, smaller = { 130, 1024, 9, 0 };
	unsigned j;

	for (j = 0; j < 64; j++) {
		site_stats_allocated(state, id, 90, w);
		site_stats_died(state, id, 1ull << j, w);
	}
	CHECK(s->n == 64 && s->S == 64 * 90 && s->B == 6400 && s->V == 64 * 7 && s->C == 64 * 2048);
	site_stats_thinned(state, id, 90, w, NULL);
	site_stats_thinned(state, id, 90, w, &smaller);
	for (extra = s->extras; extra;) {
		struct state_extra *e = state_at(state, (uint64_t)extra * STATE_ALIGN);

		for (j = 0; e->group < STATE_EXTRA_THINNED && j < STATE_EXTRA_BUCKETS; j++) {
			n += e->died[j].n;
			B += e->died[j].B;
			C += e->died[j].C;
			/* Lifetimes beyond the last bucket are in it. */
			CHECK(e->died[j].n == (e->group * 4 + j == 47 ? 17 : 1));
		}
		if (e->group == STATE_EXTRA_THINNED) {
			CHECK(e->thinned.n == 1 && e->thinned.S == 90);
			CHECK((int64_t)e->thinned.B == 100 - 30);
			CHECK((int64_t)e->thinned.V == 7 - 2);
			CHECK((int64_t)e->thinned.C == 2048 + 1024);
		}
		extra = e->next;
	}
	CHECK(n == 64 && B == 6400 && C == 64 * 2048);
}

int main(void)
{
	TAP_RUN(test_equal_stacks_have_one_id);
	TAP_RUN(test_many_stacks_stay_apart);
	TAP_RUN(test_chance_folds_nothing);
	TAP_RUN(test_a_full_state_folds_and_never_refuses);
	TAP_RUN(test_counters_add_up);
	return tap_done();
}
