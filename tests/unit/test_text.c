/* test_text.c - escaping, tables and JSON: what hostile text becomes. */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <math.h>
#include <string.h>

#include "analyzer/out/json.h"
#include "analyzer/out/table.h"

static int same(struct strbuf *b, const char *expected)
{
	int ok = b->data && !strcmp(b->data, expected);

	if (!ok)
		printf("# got '%s', expected '%s'\n", b->data ? b->data : "", expected);
	strbuf_deinit(b);
	return ok;
}

static void test_terminal_sees_no_control_characters(void)
{
	static const struct {
		const char *text, *safe;
	} cases[] = { { "plain name", "plain name" }, { "a\033[31mb", "a\\x1b[31mb" },
		{ "line\nbreak\t", "line\\x0abreak\\x09" }, { "\x7f", "\\x7f" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\xc2\x9b"
		  "1m",
			"\\xc2\\x9b1m" },
		{ "bad \xff\xc3", "bad \\xff\\xc3" },
		{ "\xe2\x80\xae"
		  "x",
			"\\xe2\\x80\\xaex" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, { "\xc0\xaf", "\\xc0\\xaf" },
		{ "\xf0\x9f\x90\x9b", "\xf0\x9f\x90\x9b" } };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf b = { 0 };

		strbuf_add_escaped(&b, cases[i].text, strlen(cases[i].text));
		CHECK(same(&b, cases[i].safe));
	}
}

static void test_words_of_a_shell(void)
{
	static const struct {
		const char *text, *word;
	} cases[] = { { "run@10m", "run@10m" }, { "a/b.c_D-9:+,=", "a/b.c_D-9:+,=" }, { "", "''" },
		{ "my run", "'my run'" }, { "$HOME", "'$HOME'" }, { "it's", "'it'\\''s'" },
		{ "~", "'~'" }, { "a\033[1mb'7", "$'a\\033[1mb\\0477'" },
		{ "\xc2\x9b\xff", "$'\\302\\233\\377'" },
		{ "\xc3\xa9 \xc3\xa9", "'\xc3\xa9 \xc3\xa9'" } };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf b = { 0 };

		strbuf_add_shell_word(&b, cases[i].text);
		CHECK(same(&b, cases[i].word));
	}
}

static void test_long_names_are_cut_in_the_middle(void)
{
	struct strbuf b = { 0 };

	table_add_cut(&b, "short", 10);
	CHECK(same(&b, "short"));
	table_add_cut(&b, "abcdefghijklmnopqrstuvwxyz", 12);
	CHECK(same(&b, "abc...uvwxyz"));
	table_add_cut(
		&b, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 8);
	CHECK(same(&b, "\xc3\xa9...\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"));
	table_add_cut(&b, "", 8);
	CHECK(!b.bytes);
	strbuf_deinit(&b);
}

static void test_table(void)
{
	struct table_style plain = { .columns = 80 }, colored = { .columns = 80, .color = true };
	struct strbuf b = { 0 };
	struct table t;

	table_init(&t, "lrl");
	table_add(&t, "+");
	table_add(&t, "1 B");
	table_add(&t, "first");
	table_add(&t, "-");
	table_add(&t, "10 \xc2\xb5");
	table_add(&t, "");
	CHECK(table_left_columns(&t, 2) == 2 + 1 + 2 + 4 + 2);
	table_render(&t, 0, 2, &plain, TABLE_PLAIN, &b);
	table_render(&t, 1, 2, &plain, TABLE_PLAIN, &b);
	CHECK(same(&b, "  +   1 B  first\n  -  10 \xc2\xb5\n"));
	table_render(&t, 0, 0, &colored, TABLE_RED, &b);
	CHECK(same(&b, "\033[1;31m+\033[0m   1 B  first\n"));
	table_deinit(&t);
}

static void test_json(void)
{
	struct interval range = { -1.4, INFINITY };
	struct strbuf b = { 0 };
	struct json j = { .out = &b };

	json_object_begin(&j, NULL);
	json_text(&j, "t\"", "a\\\n\xff\xc3\xa9");
	json_text(&j, "n", NULL);
	json_unsigned(&j, "u", UINT64_MAX);
	json_signed(&j, "i", INT64_MIN);
	json_whole(&j, "w", -0.3);
	json_whole(&j, "x", NAN);
	json_interval(&j, "r", &range);
	json_time(&j, "z", 0);
	json_time(&j, "d", 1700000000123456789ull);
	json_array_begin(&j, "a");
	json_array_end(&j);
	json_array_begin(&j, "o");
	json_object_begin(&j, NULL);
	json_bool(&j, "b", true);
	json_object_end(&j);
	json_array_end(&j);
	json_object_end(&j);
	CHECK(same(&b, "{\n \"t\\\"\":\"a\\\\\\u000a\\ufffd\xc3\xa9\",\n \"n\":null,\n"
		       " \"u\":18446744073709551615,\n \"i\":-9223372036854775808,\n \"w\":0,\n "
		       "\"x\":null,\n"
		       " \"r\":[-1, null],\n \"z\":null,\n \"d\":\"2023-11-14T22:13:20.123Z\",\n "
		       "\"a\":[],\n"
		       " \"o\":[\n  {\n   \"b\":true}]}\n"));
}

int main(void)
{
	TAP_RUN(test_terminal_sees_no_control_characters);
	TAP_RUN(test_words_of_a_shell);
	TAP_RUN(test_long_names_are_cut_in_the_middle);
	TAP_RUN(test_table);
	TAP_RUN(test_json);
	return tap_done();
}
