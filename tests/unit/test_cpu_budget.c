/* cpu_budget.h, self_time.h: when the interval rises, how far, and what is not believed. */
#include "preload/cpu_budget.h"
#include "preload/self_time.h"
#include "preload/state/state_map.h"
#include "sample_math.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define SECOND_NS 1000000000ull
#define PER_EVENT 16 /* a timed event stands for so many */

/* A state that started now, with a budget in millionths of a core. */
static struct state_header *state_with(uint64_t max_ppm)
{
	struct state_header *state = state_fixture(1 << 20, 4096);

	cpu_budget_begin(state, max_ppm);
	return state;
}

/* Sampling that takes ns in all, in events of 1 us each. */
static void sample_for(struct state_header *state, uint64_t ns)
{
	for (; ns >= PER_EVENT * 1000; ns -= PER_EVENT * 1000)
		self_time_add_event(state, 1000 - SELF_TIME_UNSEEN_NS);
}

/* A second, in which sampling takes ns; then a sample comes along. */
static void second(struct state_header *state, uint64_t ns)
{
	sample_for(state, ns);
	fake_now_ns += SECOND_NS;
	cpu_budget_check(state, fake_now_ns);
}

static void tenth(struct state_header *state, uint64_t ns)
{
	sample_for(state, ns);
	fake_now_ns += SECOND_NS / 10;
	cpu_budget_check(state, fake_now_ns);
}

/* A process that lives for less than a second must not cost more than one that lives for one. */
static void test_the_first_second_ends_when_its_budget_is_spent(void)
{
	struct state_header *state = state_with(10000);
	unsigned i;

	sample_for(state, SECOND_NS / 10);
	fake_now_ns += SECOND_NS / 40 - 1000;
	cpu_budget_check(state, fake_now_ns);
	CHECK(state->level == 0);
	fake_now_ns += 1000;
	cpu_budget_check(state, fake_now_ns);
	CHECK_NEAR(state->level, 9, 0); /* all of the time of four processors, / 2^9 */
	CHECK(state->level_ns[9] == SECOND_NS / 40);
	/* Few events are no proof; once there are enough of them, it need not be a second later. */
	state = state_with(10000);
	state->event_ns_x16 = 300000 * 16;
	for (i = 0; i < 15; i++)
		self_time_add_event(state, 300000);
	tenth(state, 0);
	CHECK(state->level == 0);
	self_time_add_event(state, 300000);
	tenth(state, 0);
	CHECK(state->level > 0);
	/* A burst that a second has room for; then one tenth too much. */
	state = state_with(10000);
	tenth(state, 9 * SECOND_NS / 1000);
	CHECK(state->level == 0);
	for (i = 2; i <= 6; i++)
		tenth(state, 0);
	tenth(state, 2 * SECOND_NS / 1000);
	CHECK_NEAR(state->level, 1, 0); /* 11 ms in 0.7 s, / 2 */
	/* From there on by seconds. */
	for (i = 1; i < 10; i++)
		tenth(state, 5 * SECOND_NS / 1000);
	CHECK_NEAR(state->level, 1, 0);
	tenth(state, 5 * SECOND_NS / 1000);
	CHECK(state->level > 1);
}

static void test_the_level_follows_the_overshoot(void)
{
	/* Own time in a second, and the doublings that bring it to 80 % of 1 % or below. */
	static const struct {
		uint64_t us;
		uint32_t level;
	} steps[] = { { 100, 0 }, { 9900, 0 }, { 10200, 1 }, { 15900, 1 }, { 16500, 2 },
		{ 31900, 2 }, { 32500, 3 }, { 160000, 5 }, { 999000, 7 } };
	unsigned i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct state_header *state = state_with(10000);

		second(state, steps[i].us * 1000);
		CHECK_NEAR(state->level, steps[i].level, 0);
	}
}

static void test_each_window_is_judged_by_itself(void)
{
	struct state_header *state = state_with(10000);
	unsigned i;

	for (i = 0; i < 100; i++)
		second(state, 9 * SECOND_NS / 1000);
	CHECK(state->level == 0);
	second(state, 19 * SECOND_NS / 1000);
	CHECK(state->level == 2);
	for (i = 0; i < 100; i++)
		second(state, 9 * SECOND_NS / 1000);
	CHECK(state->level == 2);
	/* After a long rest: a look tells of all the time since the last. */
	fake_now_ns += 1000 * SECOND_NS;
	second(state, 100 * SECOND_NS / 1000);
	CHECK(state->level == 2);
	second(state, 100 * SECOND_NS / 1000);
	CHECK(state->level == 6);
}

static void test_the_budget_is_what_was_asked_for(void)
{
	struct state_header *state = state_with(1000);

	second(state, 9 * SECOND_NS / 1000);
	CHECK(state->level == 4);    /* 0.9 % * 1.25 / 2^4 is below 0.1 % */
	state = state_with(2000000); /* two cores */
	second(state, 1900 * SECOND_NS / 1000);
	CHECK(state->level == 0);
	second(state, 2100 * SECOND_NS / 1000);
	CHECK(state->level == 1);
	state = state_with(0);
	second(state, 900 * SECOND_NS / 1000);
	second(state, 900 * SECOND_NS / 1000);
	CHECK(state->level == 0 && state->levels_by_cpu == 0);
}

static void test_levels_and_their_times_are_kept(void)
{
	struct state_header *state = state_with(10000);
	unsigned level;

	second(state, 30 * SECOND_NS / 1000);
	second(state, 1000);
	second(state, 15 * SECOND_NS / 1000);
	CHECK(state->level == 3);
	CHECK(state->levels_by_cpu == (1 << 2 | 1 << 3));
	CHECK(state->level_ns[2] == fake_now_ns - state->start_ns - 2 * SECOND_NS);
	CHECK(state->level_ns[3] == fake_now_ns - state->start_ns);
	for (level = 0; level <= HEAPSPY_LEVEL_MAX; level++)
		CHECK(level == 2 || level == 3 || state->level_ns[level] == 0);
}

static void test_the_last_level_is_the_last(void)
{
	struct state_header *state = state_with(1);
	unsigned i;

	for (i = 0; i < 10; i++)
		second(state, 900 * SECOND_NS / 1000);
	CHECK(state->level == HEAPSPY_LEVEL_MAX);
	CHECK(state_interval_bytes(state) == 4096ull << HEAPSPY_LEVEL_MAX);
	CHECK(state->cpu_due_ns == UINT64_MAX);
}

/* Neither can be made less by a larger interval, and a walk comes of one. */
static void test_walks_and_snapshots_count_but_do_not_drive(void)
{
	struct state_header *state = state_with(10000);
	uint64_t before = state->self_ns, i;

	self_time_add(state, SECOND_NS / 2);
	for (i = 0; i < 10000; i++)
		self_time_add_walked(state, 50000);
	CHECK(state->self_ns == before + SECOND_NS);
	CHECK(state->sampling_ns == 0);
	second(state, 9 * SECOND_NS / 1000);
	CHECK(state->level == 0);
}

static void test_a_few_events_decide_nothing(void)
{
	struct state_header *state = state_with(10000);
	unsigned i;

	/* Ten timed in a second, of 0.3 ms each: five times the budget, if they are not chance. */
	state->event_ns_x16 = 300000 * 16;
	for (i = 0; i < 10; i++)
		self_time_add_event(state, 300000);
	second(state, 0);
	CHECK(state->level == 0);
	for (i = 0; i < 10; i++)
		self_time_add_event(state, 300000);
	second(state, 0);
	CHECK(state->level > 0);
}

/* A thread that is put off the processor in a timed event, once in a while. */
static void test_an_interruption_is_not_our_time(void)
{
	struct state_header *state = state_with(10000);
	uint64_t before;
	unsigned i;

	for (i = 0; i < 1000; i++)
		self_time_add_event(state, 700);
	before = state->self_ns;
	for (i = 0; i < 1000; i++)
		self_time_add_event(state, i % 500 ? 700 : 4000000);
	CHECK(state->self_ns - before < 1000 * PER_EVENT * (700 + SELF_TIME_UNSEEN_NS) * 11 / 10);
	CHECK(state->self_ns - before > 1000 * PER_EVENT * (700 + SELF_TIME_UNSEEN_NS));
}

/* A processor, or an unwinder, for which each event is a long one. */
static void test_what_is_long_as_a_rule_is_believed(void)
{
	struct state_header *state = state_with(10000);
	uint64_t before;
	unsigned i;

	for (i = 0; i < 100; i++)
		self_time_add_event(state, 400000);
	before = state->self_ns;
	for (i = 0; i < 100; i++)
		self_time_add_event(state, 400000);
	CHECK(state->self_ns - before == 100 * PER_EVENT * (400000ull + SELF_TIME_UNSEEN_NS));
}

/* A thread that was ended in the middle of a look keeps the others from looking, but not for good.
 */
static void test_a_looker_that_never_comes_back(void)
{
	struct state_header *state = state_with(10000);

	fake_now_ns += SECOND_NS;
	state->cpu_due_ns = fake_now_ns + 10 * SECOND_NS;
	second(state, SECOND_NS / 10);
	CHECK(state->level == 0);
	fake_now_ns += 10 * SECOND_NS;
	second(state, SECOND_NS);
	CHECK(state->level > 0);
}

static void test_one_event_in_sixteen_is_timed(void)
{
	struct sample_rng rng;
	unsigned timed = 0, i;

	sample_rng_seed(&rng, 1);
	for (i = 0; i < 160000; i++)
		timed += self_time_is_timed(sample_rng_next(&rng));
	CHECK_NEAR(timed, 10000, 400);
	for (i = 0, timed = 0; i < 10000; i++) {
		uint16_t decisions = self_time_decide(sample_rng_next(&rng));
		unsigned n = 0;

		for (; decisions > 1; decisions >>= 1, n++)
			timed += decisions & 1;
		CHECK(n == 15);
	}
	CHECK_NEAR(timed, 150000 / 16., 400);
}

int main(void)
{
	TAP_RUN(test_the_first_second_ends_when_its_budget_is_spent);
	TAP_RUN(test_the_level_follows_the_overshoot);
	TAP_RUN(test_each_window_is_judged_by_itself);
	TAP_RUN(test_the_budget_is_what_was_asked_for);
	TAP_RUN(test_levels_and_their_times_are_kept);
	TAP_RUN(test_the_last_level_is_the_last);
	TAP_RUN(test_walks_and_snapshots_count_but_do_not_drive);
	TAP_RUN(test_a_few_events_decide_nothing);
	TAP_RUN(test_an_interruption_is_not_our_time);
	TAP_RUN(test_what_is_long_as_a_rule_is_believed);
	TAP_RUN(test_a_looker_that_never_comes_back);
	TAP_RUN(test_one_event_in_sixteen_is_timed);
	return tap_done();
}
