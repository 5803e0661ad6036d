/* test_run_end.c - memory freed at the end of a run, told from the noise and from a cache's swings.
 */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <string.h>

#include "analyzer/run_end.h"

#define S        1000000000ull
#define KIB      1024ull
#define MIB      (1024 * KIB)
#define N        40
#define INTERVAL (16 * KIB)

static struct run_entry entries[N];
static const struct run_entry *order[N];

static struct heapspy_info live(uint64_t bytes, uint64_t interval_bytes)
{
	return (struct heapspy_info){ .live_bytes = bytes, .interval_bytes = interval_bytes };
}

static double freed(uint64_t was, uint64_t is, uint64_t interval_bytes)
{
	struct heapspy_info before = live(was, interval_bytes), after = live(is, interval_bytes);

	return run_end_freed(&before, &after);
}

static void test_freed_at_exit(void)
{
	struct heapspy_info before = live(64 * MIB, INTERVAL), after = live(60 * MIB, INTERVAL);

	CHECK(freed(26 * MIB, 26 * MIB, INTERVAL) == 0);
	CHECK(freed(26 * MIB, 30 * MIB, INTERVAL) == 0);
	CHECK(freed(100 * MIB, 95 * MIB, INTERVAL) == 0);
	CHECK_NEAR(freed(100 * MIB, 90 * MIB, INTERVAL), .1, 1e-9);
	/* 6.4 MiB of 64 MiB, read at 512 KiB: less than two standard errors, which are 11.3. */
	CHECK(freed(64 * MIB, 64 * MIB - 6 * MIB, 512 * KIB) == 0);
	CHECK(freed(64 * MIB, 64 * MIB - 11 * MIB, 512 * KIB) == 0);
	CHECK(freed(64 * MIB, 64 * MIB - 12 * MIB, 512 * KIB) > 0);
	/* A half is a half. */
	CHECK_NEAR(freed(9000, 100, 512 * KIB), 8900. / 9000, 1e-9);
	CHECK(freed(9000, 0, 1) == 1 && freed(0, 0, 1) == 0);
	/* The interval in force counts. */
	CHECK(run_end_freed(&before, &after) > 0);
	before.level = 4;
	CHECK(run_end_freed(&before, &after) == 0);
}

/* kib: what is live at a cut, cuts a second apart. */
static struct run_fall fall_of(uint64_t (*kib)(size_t), size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		entries[i] =
			(struct run_entry){ .number = i + 1, .info = live(kib(i) * KIB, INTERVAL) };
		entries[i].info.cut_ns = (i + 1) * S;
		order[i] = &entries[i];
	}
	return run_end_find_fall(order, n);
}

static uint64_t growing(size_t i)
{
	return 65536 + 256 * i;
}

/* A leak for 34 s, then six in which all that was lost is freed. */
static uint64_t shutting_down(size_t i)
{
	return i < 34 ? growing(i) : growing(33) - 1450 * (i - 33);
}

static uint64_t emptied_at_once(size_t i)
{
	return i < N - 1 ? growing(i) : 1024;
}

static uint64_t swinging(size_t i)
{
	return 65536 + 2048 * (7 - i % 8);
}

static void test_fall_at_the_end(void)
{
	struct strbuf text = { 0 };
	struct run_fall fall;

	CHECK(fall_of(growing, N).share == 0);
	CHECK(fall_of(swinging, N).share == 0);
	CHECK(fall_of(shutting_down, 2).share == 0);
	fall = fall_of(emptied_at_once, N);
	CHECK(fall.number == N - 1 && fall.share > .9);
	fall = fall_of(shutting_down, N);
	CHECK(fall.number == 34);
	CHECK_NEAR(fall.share, 8700. / growing(33), 1e-9);
	run_end_add_hint(&text, &fall, "diff", "my run");
	CHECK(!strcmp(text.data, "live fell by 12 % at the end (shutting down?): heapspy diff "
				 "'my run' --until 34"));
	strbuf_deinit(&text);
}

int main(void)
{
	TAP_RUN(test_freed_at_exit);
	TAP_RUN(test_fall_at_the_end);
	return tap_done();
}
