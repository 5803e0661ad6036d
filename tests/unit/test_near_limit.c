/* test_near_limit.c - when a process that comes near its memory limit gets a snapshot. */
#include "heapspy/snapshot.h"
#include "preload/state/near_limit.h"
#include "tests/unit/tap.h"

#define MIB      (1ull << 20)
#define SECOND   1000000000ull
#define INTERVAL (60 * SECOND)
#define SHARE    900000

static struct memory_limit at(uint64_t used_bytes)
{
	return (struct memory_limit){ HEAPSPY_LIMIT_CGROUP_V2, 1000 * MIB, used_bytes };
}

static bool due(struct near_limit *near, uint64_t used_mib, uint64_t seconds)
{
	struct memory_limit limit = at(used_mib * MIB);

	return near_limit_is_due(near, SHARE, &limit, seconds * SECOND, INTERVAL);
}

static void test_a_leak_gets_each_step_once(void)
{
	struct near_limit near = { 0 };
	uint64_t used;
	unsigned n = 0;

	for (used = 0; used <= 1100 * MIB; used += MIB / 4) {
		struct memory_limit limit = at(used);
		bool is_due = near_limit_is_due(&near, SHARE, &limit, SECOND + used, INTERVAL);

		CHECK(is_due == (used == 900 * MIB || used == 950 * MIB || used == 975 * MIB ||
					used == 9875 * MIB / 10 || used == 99375 * MIB / 100));
		n += is_due;
	}
	CHECK(n == NEAR_LIMIT_STEPS);
}

static void test_steps_that_are_passed_at_once_are_one(void)
{
	struct near_limit near = { 0 };

	CHECK(due(&near, 980, 1));
	CHECK(!due(&near, 980, 2));
	CHECK(!due(&near, 985, 3));
	CHECK(due(&near, 988, 4));
	CHECK(!due(&near, 901, 5));
	CHECK(!due(&near, 988, 500));
	CHECK(due(&near, 2000, 501));
	CHECK(!due(&near, 3000, 502));
}

static void test_staying_near_is_not_news(void)
{
	struct near_limit near = { 0 };
	unsigned i, n = 0;

	for (i = 0; i < 100000; i++)
		n += due(&near, i % 2 ? 905 : 805, 1 + i);
	CHECK(n == 1);
}

static void test_coming_back_is_news_once_an_interval(void)
{
	struct near_limit near = { 0 };
	unsigned second, n = 0;

	CHECK(due(&near, 900, 10));
	CHECK(!due(&near, 800, 11));
	CHECK(!due(&near, 900, 12));
	CHECK(due(&near, 900, 70));
	/* A sawtooth of four seconds for an hour. */
	for (second = 100; second < 3700; second++)
		n += due(&near, second % 4 < 2 ? 300 : 920, second);
	CHECK(n >= 58 && n <= 60);
	/* Without snapshots on time a minute serves. */
	near = (struct near_limit){ 0 };
	for (n = 0, second = 100; second < 3700; second++) {
		struct memory_limit limit = at((second % 4 < 2 ? 300 : 920) * MIB);

		n += near_limit_is_due(&near, SHARE, &limit, second * SECOND, 0);
	}
	CHECK(n >= 58 && n <= 60);
}

static void test_a_limit_that_changes(void)
{
	struct near_limit near = { 0 };
	struct memory_limit limit = at(500 * MIB);

	CHECK(!near_limit_is_due(&near, SHARE, &limit, SECOND, INTERVAL));
	limit.limit_bytes = 550 * MIB;
	CHECK(near_limit_is_due(&near, SHARE, &limit, 2 * SECOND, INTERVAL));
	limit.limit_bytes = 510 * MIB;
	CHECK(near_limit_is_due(&near, SHARE, &limit, 3 * SECOND, INTERVAL));
	/* Raised: the climb is over, and the next begins where it should. */
	limit.limit_bytes = 1000 * MIB;
	CHECK(!near_limit_is_due(&near, SHARE, &limit, 100 * SECOND, INTERVAL));
	limit.used_bytes = 905 * MIB;
	CHECK(near_limit_is_due(&near, SHARE, &limit, 101 * SECOND, INTERVAL));
	/* Gone. */
	limit = (struct memory_limit){ HEAPSPY_LIMIT_NONE, 0, 0 };
	CHECK(!near_limit_is_due(&near, SHARE, &limit, 102 * SECOND, INTERVAL));
	limit = at(905 * MIB);
	CHECK(!near_limit_is_due(&near, SHARE, &limit, 103 * SECOND, INTERVAL));
	CHECK(near_limit_is_due(&near, SHARE, &limit, 161 * SECOND, INTERVAL));
}

static void test_shares(void)
{
	static const uint32_t never[] = { 0, 1000000, 1000001, UINT32_MAX };
	struct near_limit near = { 0 };
	struct memory_limit limit = at(1000 * MIB);
	unsigned i;

	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		CHECK(!near_limit_is_due(&near, never[i], &limit, SECOND, INTERVAL));
	/* A low one: over at half of it. */
	limit = at(200 * MIB);
	CHECK(near_limit_is_due(&near, 200000, &limit, SECOND, INTERVAL));
	limit = at(101 * MIB);
	CHECK(!near_limit_is_due(&near, 200000, &limit, 100 * SECOND, INTERVAL));
	limit = at(201 * MIB);
	CHECK(!near_limit_is_due(&near, 200000, &limit, 101 * SECOND, INTERVAL));
	limit = at(100 * MIB);
	CHECK(!near_limit_is_due(&near, 200000, &limit, 102 * SECOND, INTERVAL));
	limit = at(201 * MIB);
	CHECK(near_limit_is_due(&near, 200000, &limit, 103 * SECOND, INTERVAL));
	/* The largest that there can be. */
	near = (struct near_limit){ 0 };
	limit = (struct memory_limit){ HEAPSPY_LIMIT_AS, UINT64_MAX, UINT64_MAX / 100 * 89 };
	CHECK(!near_limit_is_due(&near, SHARE, &limit, SECOND, INTERVAL));
	limit.used_bytes = UINT64_MAX / 100 * 91;
	CHECK(near_limit_is_due(&near, SHARE, &limit, SECOND, INTERVAL));
}

static uint64_t pause_ms(struct near_limit *near, uint64_t used_mib, uint64_t now_ms)
{
	struct memory_limit limit = at(used_mib * MIB);

	return near_limit_pause_ns(near, SHARE, &limit, now_ms * 1000000) / 1000000;
}

/* The faster, and the less is left, the sooner. */
static void test_pauses(void)
{
	struct near_limit near = { 0 };
	struct memory_limit none = { 0 };

	CHECK(pause_ms(&near, 100, 1000) == 50);
	CHECK(pause_ms(&near, 100, 1200) == 500);
	CHECK(pause_ms(&near, 150, 1400) == 500);
	CHECK(pause_ms(&near, 600, 1600) == 88);
	CHECK(pause_ms(&near, 800, 1680) == 40);
	CHECK(pause_ms(&near, 990, 1720) == 10);
	CHECK(pause_ms(&near, 980, 1730) == 500);
	/* Nothing more would be written. */
	near.steps = NEAR_LIMIT_STEPS;
	CHECK(pause_ms(&near, 995, 1740) == 500);
	near.steps = 0;
	CHECK(near_limit_pause_ns(&near, 0, &none, 1750000000) == NEAR_LIMIT_PAUSE_NS_MAX);
	CHECK(near_limit_pause_ns(&near, SHARE, &none, 1760000000) == NEAR_LIMIT_PAUSE_NS_MAX);
}

int main(void)
{
	TAP_RUN(test_a_leak_gets_each_step_once);
	TAP_RUN(test_steps_that_are_passed_at_once_are_one);
	TAP_RUN(test_staying_near_is_not_news);
	TAP_RUN(test_coming_back_is_news_once_an_interval);
	TAP_RUN(test_a_limit_that_changes);
	TAP_RUN(test_shares);
	TAP_RUN(test_pauses);
	return tap_done();
}
