/* input.h: the words for an interval, and for what has become of it. */
#include <string.h>
#include "analyzer/input.h"
#include "tests/unit/tap.h"

#define KIB       1024ull
#define SECOND_NS 1000000000ull

static bool reads(const struct snapshot *s, const char *expected)
{
	struct strbuf text = { 0 };
	bool same;

	input_add_intervals(&text, s);
	same = !strcmp(text.data, expected);
	if (!same)
		printf("# %s\n", text.data);
	strbuf_deinit(&text);
	return same;
}

static void test_an_interval_that_stayed(void)
{
	struct snapshot s = { .info.interval_bytes = 512 * KIB };

	CHECK(reads(&s, "mean interval 512 KiB"));
	s.info.interval_bytes = 1;
	CHECK(reads(&s, "every allocation (exact)"));
}

static void test_an_interval_that_rose(void)
{
	struct snapshot s = { .info.interval_bytes = 4 * KIB, .info.level = 4, .level = 4 };

	s.info.level_ns[4] = SECOND_NS;
	CHECK(reads(&s, "mean interval 4 KiB -> 64 KiB at 0:00:01.0"));
	s.info.level_ns[1] = SECOND_NS / 2;
	CHECK(reads(&s, "mean interval 4 KiB -> 8 KiB at 0:00:00.5 -> 64 KiB at 0:00:01.0"));
	s.info.interval_bytes = 1;
	s.info.level_ns[1] = 0;
	CHECK(reads(&s, "every allocation -> 16 B at 0:00:01.0"));
}

static void test_when_is_not_always_known(void)
{
	struct snapshot s = { .info.interval_bytes = 4 * KIB, .info.level = 4, .level = 4 };

	/* A file of before the times were kept. */
	CHECK(reads(&s, "mean interval 4 KiB -> 64 KiB"));
	/* It was about to rise once more: samples stand at a level that INFO does not know yet. */
	s.info.level_ns[4] = 2 * SECOND_NS;
	s.level = 5;
	CHECK(reads(&s, "mean interval 4 KiB -> 64 KiB at 0:00:02.0 -> 128 KiB"));
}

static void test_many_rises_are_not_all_told(void)
{
	struct snapshot s = { .info.interval_bytes = KIB, .info.level = 5, .level = 5 };
	uint32_t level;

	for (level = 1; level <= 5; level++)
		s.info.level_ns[level] = level * SECOND_NS;
	CHECK(reads(&s,
		"mean interval 1 KiB -> 2 KiB at 0:00:01.0 -> (3 more) -> 32 KiB at 0:00:05.0"));
}

int main(void)
{
	TAP_RUN(test_an_interval_that_stayed);
	TAP_RUN(test_an_interval_that_rose);
	TAP_RUN(test_when_is_not_always_known);
	TAP_RUN(test_many_rises_are_not_all_told);
	return tap_done();
}
