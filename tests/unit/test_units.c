/* test_units.c - figures as text, and text as figures. */
#undef NDEBUG
#include <math.h>
#include "tests/unit/tap.h"

#include <string.h>

#include "analyzer/suggest.h"
#include "analyzer/units.h"

static struct strbuf b;

static int reads(const char *expected)
{
	int ok = b.data && !strcmp(b.data, expected);

	if (!ok)
		printf("# got '%s', expected '%s'\n", b.data ? b.data : "", expected);
	strbuf_clear(&b);
	return ok;
}

static void test_bytes(void)
{
	static const struct {
		double bytes;
		const char *text;
	} cases[] = { { 0, "0 B" }, { 1, "1 B" }, { 999, "999 B" }, { 1000, "0.98 KiB" },
		{ 1023, "1 KiB" }, { 1024, "1 KiB" }, { 1536, "1.5 KiB" }, { 9961472, "9.5 MiB" },
		{ 12582912, "12 MiB" }, { 431 * 1048576.0, "431 MiB" },
		{ 1.31 * 1073741824, "1.31 GiB" }, { -524288, "-512 KiB" }, { 0x1p60, "1 EiB" },
		{ 0x1.8p63, "12 EiB" }, { -0.2, "0 B" } };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		units_add_bytes(&b, cases[i].bytes);
		CHECK(reads(cases[i].text));
	}
}

static void test_ranges_keep_the_unit_of_their_figure(void)
{
	units_add_range(&b, 369 * 1048576.0, 425 * 1048576.0, 396 * 1048576.0);
	CHECK(reads("369..425"));
	units_add_range(&b, 5.7 * 1048576, 15 * 1048576.0, 9.5 * 1048576);
	CHECK(reads("5.7..15"));
	units_add_range(&b, -33 * 1048576.0, -16 * 1048576.0, -24 * 1048576.0);
	CHECK(reads("-33..-16"));
	units_add_range(&b, 900 * 1048576.0, 1100 * 1048576.0, 1024 * 1048576.0);
	CHECK(reads("0.88..1.07"));
	units_add_range(&b, -7019402, 7019402, 0);
	CHECK(reads("-6.69..6.69 MiB"));
	units_add_range(&b, 0, 900, 0);
	CHECK(reads("0..900"));
}

static void test_counts_and_times(void)
{
	units_add_count(&b, 0);
	CHECK(reads("0"));
	units_add_count(&b, 999);
	CHECK(reads("999"));
	units_add_count(&b, 1204);
	CHECK(reads("1 204"));
	units_add_count(&b, UINT64_MAX);
	CHECK(reads("18 446 744 073 709 551 615"));
	units_add_rounded(&b, 1203.6);
	CHECK(reads("1 204"));
	units_add_rounded(&b, -3);
	CHECK(reads("0"));
	units_add_rounded(&b, NAN);
	CHECK(reads("0"));
	units_add_rounded(&b, 1e30);
	CHECK(reads("18 446 744 073 709 551 615"));
	units_add_clock(&b, 4200ull * 1000000000);
	CHECK(reads("1:10:00"));
	units_add_clock(&b, 3250000000ull);
	CHECK(reads("0:00:03.2"));
	units_add_duration(&b, 9e9);
	CHECK(reads("9 s"));
	units_add_duration(&b, 1100000);
	CHECK(reads("1.1 ms"));
	units_add_duration(&b, 32 * 60e9);
	CHECK(reads("32 min"));
	units_add_duration(&b, 70 * 60e9);
	CHECK(reads("70 min"));
	units_add_duration(&b, 5 * 3600e9);
	CHECK(reads("5 h"));
	units_add_duration(&b, 999.4e6);
	CHECK(reads("999 ms"));
	units_add_duration(&b, 999.9e6);
	CHECK(reads("1.0 s"));
	units_add_duration(&b, 0);
	CHECK(reads("0 ns"));
}

static void test_parsed_sizes(void)
{
	static const struct {
		const char *text;
		int ok;
		uint64_t bytes;
	} cases[] = { { "0", 1, 0 }, { "4096", 1, 4096 }, { "64KiB", 1, 65536 },
		{ "64k", 1, 65536 }, { "1.5MiB", 1, 1572864 }, { "2 GB", 1, 2147483648u },
		{ "1b", 1, 1 }, { "", 0, 0 }, { "MiB", 0, 0 }, { "-1", 0, 0 }, { "1e3", 0, 0 },
		{ "0x10", 0, 0 }, { "1.2.3", 0, 0 }, { "12 apples", 0, 0 },
		{ "99999999999999999999", 0, 0 }, { "16E", 0, 0 }, { ".", 0, 0 } };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;

		if (units_parse_bytes(cases[i].text, &bytes) != cases[i].ok ||
			bytes != cases[i].bytes) {
			tap_bad++;
			printf("# '%s'\n", cases[i].text);
		}
	}
}

static void test_parsed_durations(void)
{
	static const struct {
		const char *text;
		int ok;
		uint64_t ms;
	} cases[] = { { "10m", 1, 600000 }, { "90s", 1, 90000 }, { "1h30m", 1, 5400000 },
		{ "250ms", 1, 250 }, { "1.5h", 1, 5400000 }, { "2d", 1, 172800000 }, { "10", 0, 0 },
		{ "", 0, 0 }, { "10x", 0, 0 }, { "-5m", 0, 0 }, { "5m-", 0, 0 },
		{ "99999999999d", 0, 0 } };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 0;

		if (units_parse_duration(cases[i].text, &ns) != cases[i].ok ||
			ns != cases[i].ms * 1000000) {
			tap_bad++;
			printf("# '%s' %llu\n", cases[i].text, (unsigned long long)ns);
		}
	}
}

static void test_suggestions(void)
{
	static const char *const words[] = { "diff", "top", "dump", "metric", "SessionStore::put" };
	static const struct {
		const char *wanted, *best;
	} cases[] = { { "dif", "diff" }, { "dmup", "dump" }, { "tpo", "top" },
		{ "metrics", "metric" }, { "sesionstore::put", "SessionStore::put" },
		{ "wombat", NULL }, { "", NULL } };
	size_t i, j;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct suggest s;

		suggest_init(&s, cases[i].wanted);
		for (j = 0; j < sizeof(words) / sizeof(words[0]); j++)
			suggest_offer(&s, words[j]);
		if (!cases[i].best)
			CHECK(!s.best);
		else
			CHECK(s.best && !strcmp(s.best, cases[i].best));
		suggest_deinit(&s);
	}
}

int main(void)
{
	TAP_RUN(test_bytes);
	TAP_RUN(test_ranges_keep_the_unit_of_their_figure);
	TAP_RUN(test_counts_and_times);
	TAP_RUN(test_parsed_sizes);
	TAP_RUN(test_parsed_durations);
	TAP_RUN(test_suggestions);
	strbuf_deinit(&b);
	return tap_done();
}
