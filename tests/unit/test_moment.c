/* test_moment.c - the words for moments, on runs made of infos alone. */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/moment.h"

#define S 1000000000ull

static struct run_entry entries[] = {
	{ .number = 1, .info = { .cut_ns = 60 * S, .rss_bytes = 100 } },
	{ .number = 2, .info = { .cut_ns = 120 * S, .rss_bytes = 900 } },
	{ .number = 4, .info = { .cut_ns = 600 * S, .rss_bytes = 300 }, .label = "loaded" },
	{ .number = 5, .info = { .cut_ns = 660 * S, .rss_bytes = 300 }, .label = "loaded" },
	{ .number = 6, .info = { .cut_ns = 3600 * S, .rss_bytes = 200 } },
};
static struct run_dir run = { .entries = entries, .n_entries = 5 };
static char note[160];

/* Number of the snapshot that when means; -1 for an error whose text holds words. */
static int chosen(const char *when, const char *words)
{
	const struct run_entry *entry = NULL;
	struct fail f = { 0 };

	if (moment_choose(&run, "run", when, &entry, note, sizeof(note), &f) == 0)
		return (int)entry->number;
	if (!words || !strstr(f.text, words))
		printf("# %s: %s\n", when, f.text);
	return words && strstr(f.text, words) ? -1 : -2;
}

static void test_first_last_number(void)
{
	CHECK(chosen("first", NULL) == 1 && !note[0]);
	CHECK(chosen("last", NULL) == 6 && !note[0]);
	CHECK(chosen("4", NULL) == 4);
	CHECK(chosen("3", "no readable snapshot 3 (it has 5, 1..6)") == -1);
}

static void test_times_take_the_nearest(void)
{
	CHECK(chosen("10m", NULL) == 4 && !note[0]);
	CHECK(chosen("9m", NULL) == 4 && strstr(note, "0:10:00"));
	CHECK(chosen("0s", NULL) == 1);
	CHECK(chosen("90s", NULL) == 1);
	CHECK(chosen("100h", NULL) == 6);
	CHECK(chosen("-0s", NULL) == 6 && !note[0]);
	CHECK(chosen("-49m", NULL) == 5 && !note[0]);
	CHECK(chosen("-1d", NULL) == 1);
	CHECK(chosen("250ms", NULL) == 1);
}

static void test_wall_clock(void)
{
	size_t i;

	setenv("TZ", "UTC", 1);
	tzset();
	/* The run starts a minute before midnight. */
	for (i = 0; i < run.n_entries; i++)
		entries[i].info.cut_wall_ns = (1700006400ull - 60) * S + entries[i].info.cut_ns;
	CHECK(chosen("00:09", NULL) == 4);
	CHECK(chosen("00:59", NULL) == 6);
	CHECK(chosen("00:00:00", NULL) == 1 && !note[0]);
	/* The nearest one is told, and where the program had not begun, or is seen no longer. */
	CHECK(chosen("23:58", NULL) == 1 &&
		!strcmp(note, "before the start of the program: the first snapshot, at 2023-11-15 "
			      "00:00:00"));
	CHECK(chosen("23:59", NULL) == 1 &&
		!strcmp(note, "nearest snapshot, at 2023-11-15 00:00:00"));
	CHECK(chosen("01:30", NULL) == 6 &&
		!strcmp(note, "after the last snapshot: it, at 2023-11-15 00:59:00"));
	CHECK(chosen("24:00", "no moment") == -1);
	CHECK(chosen("12:60", "no moment") == -1);
}

/* A time of day comes once a day, and twice where the clock is set back. */
static void test_wall_clock_of_days_and_jumps(void)
{
	struct heapspy_info before[sizeof(entries) / sizeof(entries[0])];
	size_t i;

	for (i = 0; i < run.n_entries; i++) {
		before[i] = entries[i].info;
		entries[i].info.cut_wall_ns = (1700006400ull + 86400 * i + i) * S;
	}
	CHECK(chosen("00:00", NULL) == 6);
	CHECK(!strcmp(note, "of several days the last, 2023-11-19"));
	/* Half a day from all of them: the nearest is told. */
	CHECK(chosen("11:00", NULL) == 6);
	CHECK(strstr(note, ", at 2023-11-19"));
	/* 00:00, 00:10, 00:20, and again from 00:05 on. */
	for (i = 0; i < run.n_entries; i++)
		entries[i].info.cut_wall_ns =
			(1700006400ull + (i < 3 ? 600 * i : 300 + 600 * (i - 3))) * S;
	CHECK(chosen("00:10", NULL) == 2 && !note[0]);
	CHECK(chosen("00:15", NULL) == 6 && !note[0]);
	CHECK(chosen("00:05", NULL) == 5 && !note[0]);
	/* A clock that begins in 1970 and is set later. */
	entries[0].info.cut_wall_ns = 30 * S;
	CHECK(chosen("00:00", NULL) == 1);
	for (i = 0; i < run.n_entries; i++)
		entries[i].info = before[i];
}

static void test_peak(void)
{
	CHECK(chosen("peak", NULL) == 2 && strstr(note, "largest RSS"));
	entries[0].info.reason = HEAPSPY_REASON_PEAK;
	entries[2].info.reason = HEAPSPY_REASON_PEAK;
	CHECK(chosen("peak", NULL) == 4 && !note[0]);
	entries[0].info.reason = entries[2].info.reason = 0;
}

static void test_marks(void)
{
	CHECK(chosen("mark:loaded", NULL) == 5 && strstr(note, "last of 2"));
	CHECK(chosen("mark:unloaded", "has the mark 'unloaded'") == -1);
	CHECK(chosen("mark:", "has the mark ''") == -1);
}

static void test_words_that_are_no_moment(void)
{
	static const char *const words[] = { "", "lasst", "-", "10x", "m", "1:2:3:4", "@", "-3" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		CHECK(chosen(words[i], "is no moment") == -1);
}

static void test_split(void)
{
	struct moment_parts parts = moment_split("no/such/run@10m");

	CHECK(!strcmp(parts.path, "no/such/run") && !strcmp(parts.when, "10m"));
	free(parts.path);
	parts = moment_split("no@such@first");
	CHECK(!strcmp(parts.path, "no@such") && !strcmp(parts.when, "first"));
	free(parts.path);
	parts = moment_split("/");
	CHECK(!strcmp(parts.path, "/") && !parts.when);
	free(parts.path);
	parts = moment_split("@first");
	CHECK(!strcmp(parts.path, "@first") && !parts.when);
	free(parts.path);
}

int main(void)
{
	TAP_RUN(test_first_last_number);
	TAP_RUN(test_times_take_the_nearest);
	TAP_RUN(test_wall_clock);
	TAP_RUN(test_wall_clock_of_days_and_jumps);
	TAP_RUN(test_peak);
	TAP_RUN(test_marks);
	TAP_RUN(test_words_that_are_no_moment);
	TAP_RUN(test_split);
	return tap_done();
}
