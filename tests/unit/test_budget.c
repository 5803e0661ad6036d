/* test_budget.c - budget files: what lines mean, where errors are, and which line is of a site. */
#undef NDEBUG
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/check/budget.h"
#include "tests/unit/tap.h"

#define MIB (UINT64_C(1) << 20)

static struct budget budget;
static struct budget_errors errors;

static void parse(const char *text)
{
	budget_deinit(&budget);
	budget_parse(&budget, text, strlen(text), &errors);
}

/* Whether the text has just this error. */
static bool has_error(const char *text, unsigned line, unsigned column, const char *words)
{
	parse(text);
	if (errors.n == 1 && errors.first[0].line == line && errors.first[0].column == column &&
		strstr(errors.first[0].text, words))
		return true;
	printf("# %zu errors; %u:%u: %s\n", errors.n, errors.first[0].line, errors.first[0].column,
		errors.n ? errors.first[0].text : "");
	return false;
}

static void test_every_word(void)
{
	parse("# what it may use\n"
	      "total +5% 10GiB\n"
	      "\n"
	      "\tpeak 2GiB   # at most\r\n"
	      "peak +10%\n"
	      "site parse_header +20% 4MiB\n"
	      "growth 5MiB/h\n"
	      "no-leaks\n"
	      "ignore third_party/.*");
	CHECK(errors.n == 0);
	CHECK(budget.total.has_relative && budget.total.has_bytes && budget.total.line == 2);
	CHECK_NEAR(budget.total.relative, .05, 1e-15);
	CHECK(budget.total.bytes == 10240 * MIB);
	CHECK(budget.peak.bytes == 2048 * MIB);
	CHECK_NEAR(budget.peak.relative, .1, 1e-15);
	CHECK(budget.n_sites == 1 && !strcmp(budget.sites[0].name, "parse_header"));
	CHECK(budget.sites[0].limit.bytes == 4 * MIB && budget.sites[0].limit.line == 6);
	CHECK(budget.has_growth && budget.growth_line == 7);
	CHECK_NEAR(budget.growth, 5. * MIB / 3600, 1e-9);
	CHECK(budget.no_leaks && budget.no_leaks_line == 8);
	CHECK(budget.n_ignores == 1);
	CHECK(budget_ignores(&budget, "f", "/src/third_party/zip/zip.c", NULL));
	CHECK(!budget_ignores(&budget, "f", "/src/party.c", "/lib/libparty.so"));
}

static void test_nothing_is_sound(void)
{
	parse("");
	CHECK(errors.n == 0 && !budget.peak.has_bytes && !budget.n_sites);
	parse("\xef\xbb\xbf# a mark of byte order\n\n   \n");
	CHECK(errors.n == 0);
}

static void test_quotes(void)
{
	parse("site \"operator new[]\" +30%\nsite \"a \\\"b\\\" \\\\c\" 1MiB\nsite x#1 +1%");
	CHECK(errors.n == 0 && budget.n_sites == 3);
	CHECK(!strcmp(budget.sites[0].name, "operator new[]"));
	CHECK(!strcmp(budget.sites[1].name, "a \"b\" \\c"));
	CHECK(!strcmp(budget.sites[2].name, "x#1"));
}

static void test_errors_have_their_place(void)
{
	CHECK(has_error("total 5%", 1, 7, "'5%' has no sign"));
	CHECK(has_error("peak 2GiB\n\n  paek 2GiB\n", 3, 3, "did you mean peak?"));
	CHECK(has_error("wombat", 1, 1, "the words are total, peak,"));
	CHECK(has_error("peak", 1, 1, "peak needs a limit"));
	CHECK(has_error("peak -5MiB", 1, 6, "below nothing"));
	CHECK(has_error("peak 0", 1, 6, "no limit"));
	CHECK(has_error("peak +1e3%", 1, 6, "no limit"));
	CHECK(has_error("peak +99999999%", 1, 6, "no limit"));
	CHECK(has_error("peak nan", 1, 6, "no limit"));
	CHECK(has_error("peak 1GiB 2GiB", 1, 11, "second limit"));
	CHECK(has_error("peak 1GiB +5% x", 1, 15, "no limit"));
	CHECK(has_error("peak 1GiB\npeak 1GiB", 2, 1, "line 1 has such a limit"));
	CHECK(has_error("site", 1, 1, "site needs a name"));
	CHECK(has_error("site \"\" +5%", 1, 6, "site needs a name"));
	CHECK(has_error("site x", 1, 1, "site needs a limit"));
	CHECK(has_error("site operator new +5%", 1, 15, "double quotes"));
	CHECK(has_error("site x +5%\nsite y +5%\nsite x +6%", 3, 1, "line 1 has"));
	CHECK(has_error("growth", 1, 1, "one limit"));
	CHECK(has_error("growth 5MiB", 1, 8, "5MiB/h"));
	CHECK(has_error("growth 5MiB/y", 1, 8, "5MiB/h"));
	CHECK(has_error("growth 1MiB/h 2MiB/h", 1, 15, "one limit"));
	CHECK(has_error("growth 1MiB/h\ngrowth 1MiB/h", 2, 1, "line 1 has"));
	CHECK(has_error("no-leaks please", 1, 10, "stands alone"));
	CHECK(has_error("ignore", 1, 1, "needs an expression"));
	CHECK(has_error("ignore \"\"", 1, 8, "every site"));
	CHECK(has_error("ignore a b", 1, 10, "one expression"));
	CHECK(has_error("ignore a(", 1, 8, "no regular expression"));
	CHECK(has_error("ignore (a)\\1", 1, 8, "too costly"));
	CHECK(has_error("ignore a{99}{99}", 1, 8, "too costly"));
	CHECK(has_error("ignore a++++++++++++++", 1, 8, "too costly"));
	CHECK(has_error("ignore ((((a{9}){9}){9}){9})", 1, 8, "too costly"));
	CHECK(has_error("ignore a{2000000000}", 1, 8, "too costly"));
	CHECK(has_error("site \"x +5%", 1, 6, "does not close"));
	/* Columns are characters. */
	CHECK(has_error("site \"\xc3\xa4\xe2\x82\xac\" 5%", 1, 11, "no sign"));
	CHECK(has_error("peak 1GiB\npeak\x01 2", 2, 5, "byte 0x01 is no text"));
	CHECK(has_error("peak \xff", 1, 6, "byte 0xff is no text"));
}

static void test_all_errors_are_counted(void)
{
	char text[25 * 8 + 1] = "";
	int i;

	for (i = 0; i < 25; i++)
		strcat(text, i % 2 ? "peek 1\n" : "tptal\n");
	parse(text);
	CHECK(errors.n == 25);
	CHECK(errors.first[0].line == 1 && errors.first[BUDGET_ERRORS_MAX - 1].line == 10);
	/* What is sound stays in force beside. */
	parse("peak 1GiB\nwombat\ntotal +5%");
	CHECK(errors.n == 1 && budget.peak.has_bytes && budget.total.has_relative);
}

static void test_long_words_are_cut(void)
{
	char text[4000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	CHECK(has_error(text, 1, 1, "..."));
	CHECK(strlen(errors.first[0].text) < 200);
}

/* Of several lines the most specific: the name itself, then the longest expression. */
static void test_the_line_of_a_site(void)
{
	const struct budget_site *line;

	parse("site .* +90%\nsite json::.* +40%\nsite json::parse +10%\nsite operator[] +15%\n"
	      "site \"vector<int>::push_back\" +25%");
	CHECK(errors.n == 0);
	line = budget_find_site(&budget, "json::parse", "json::parse");
	CHECK(line && line->limit.line == 3);
	line = budget_find_site(&budget, "json::write(char const*)", "json::write");
	CHECK(line && line->limit.line == 2);
	line = budget_find_site(&budget, "myjson::write", "myjson::write");
	CHECK(line && line->limit.line == 1);
	/* No expression, and yet a name. */
	line = budget_find_site(&budget, "operator[]", NULL);
	CHECK(line && line->limit.line == 4);
	/* In full or as shown. */
	line = budget_find_site(&budget, "vector<int>::push_back", "vector<>::push_back");
	CHECK(line && line->limit.line == 5);
	CHECK(budget_find_site(&budget, NULL, NULL) == NULL);
	parse("site abc +5%");
	CHECK(!budget_find_site(&budget, "xabc", "abcx"));
}

static void test_values_of_options(void)
{
	struct budget_limit limit = { 0 };
	double growth = 0;

	CHECK(budget_parse_limit("2GiB", &limit) && limit.bytes == 2048 * MIB);
	CHECK(budget_parse_limit("+2.5%", &limit) && fabs(limit.relative - .025) < 1e-15);
	CHECK(!budget_parse_limit("", &limit) && !budget_parse_limit("+%", &limit));
	CHECK(!budget_parse_limit("+5", &limit) && !budget_parse_limit("+1.2.3%", &limit));
	CHECK(budget_parse_growth("60KiB/min", &growth) && growth == 1024);
	CHECK(budget_parse_growth("0/s", &growth) && growth == 0);
	CHECK(!budget_parse_growth("5MiB/", &growth) && !budget_parse_growth("/h", &growth));
}

int main(void)
{
	TAP_RUN(test_every_word);
	TAP_RUN(test_nothing_is_sound);
	TAP_RUN(test_quotes);
	TAP_RUN(test_errors_have_their_place);
	TAP_RUN(test_all_errors_are_counted);
	TAP_RUN(test_long_words_are_cut);
	TAP_RUN(test_the_line_of_a_site);
	TAP_RUN(test_values_of_options);
	budget_deinit(&budget);
	return tap_done();
}
