/* test_live_keys.c - bytes to keys, a line being typed, and small pictures of series. */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <math.h>
#include <string.h>

#include "analyzer/live/edit.h"
#include "analyzer/live/keys.h"
#include "analyzer/live/sparkline.h"

static void add(struct keys *keys, const char *bytes)
{
	keys_add(keys, bytes, strlen(bytes));
}

static bool gives(struct keys *keys, enum key_kind kind, uint32_t code)
{
	struct key key;

	return keys_next(keys, false, &key) && key.kind == kind && key.code == code;
}

static void test_sequences(void)
{
	static const struct {
		const char *bytes;
		enum key_kind kind;
	} cases[] = { { "\033[A", KEY_UP }, { "\033OA", KEY_UP }, { "\033[B", KEY_DOWN },
		{ "\033[C", KEY_RIGHT }, { "\033[D", KEY_LEFT }, { "\033[5~", KEY_PAGE_UP },
		{ "\033[6~", KEY_PAGE_DOWN }, { "\033[H", KEY_HOME }, { "\033OF", KEY_END },
		{ "\033[1~", KEY_HOME }, { "\033[4~", KEY_END }, { "\033[7~", KEY_HOME },
		{ "\033[8~", KEY_END }, { "\033[3~", KEY_DELETE }, { "\033[1;5A", KEY_UP },
		{ "\033[15~", KEY_UNKNOWN }, { "\033[200~", KEY_UNKNOWN },
		{ "\033[Z", KEY_UNKNOWN }, { "\033[<0;10;10M", KEY_UNKNOWN }, { "\r", KEY_ENTER },
		{ "\n", KEY_ENTER }, { "\177", KEY_BACKSPACE }, { "\b", KEY_BACKSPACE },
		{ "\377", KEY_UNKNOWN } };
	size_t i, j;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct keys keys = { .n = 0 };
		struct key key;

		/* Whole, and byte by byte as a slow line brings it. */
		add(&keys, cases[i].bytes);
		CHECK(gives(&keys, cases[i].kind, 0) && !keys.n);
		for (j = 0; cases[i].bytes[j]; j++) {
			if (j)
				CHECK(!keys_next(&keys, false, &key));
			keys_add(&keys, cases[i].bytes + j, 1);
		}
		CHECK(keys_next(&keys, false, &key));
		CHECK(key.kind == cases[i].kind && !keys.n);
	}
}

static void test_escape_and_text(void)
{
	struct keys keys = { .n = 0 };
	struct key key;

	add(&keys, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x15");
	CHECK(gives(&keys, KEY_CHARACTER, 'a'));
	CHECK(gives(&keys, KEY_CHARACTER, 0xe9));
	CHECK(gives(&keys, KEY_CHARACTER, 0x20ac));
	CHECK(gives(&keys, KEY_CHARACTER, 0x1f600));
	CHECK(gives(&keys, KEY_CHARACTER, KEYS_CTRL('U')));
	add(&keys, "\033");
	CHECK(!keys_next(&keys, false, &key));
	CHECK(keys_next(&keys, true, &key) && key.kind == KEY_ESCAPE);
	add(&keys, "\033q");
	CHECK(gives(&keys, KEY_ESCAPE, 0));
	CHECK(gives(&keys, KEY_CHARACTER, 'q'));
	add(&keys, "\033[12");
	CHECK(!keys_next(&keys, false, &key));
	CHECK(keys_next(&keys, true, &key) && key.kind == KEY_UNKNOWN && !keys.n);
}

/* More than the buffer holds, without an end: it must not fill up for good. */
static void test_endless_sequence(void)
{
	struct keys keys = { .n = 0 };
	struct key key;
	unsigned i, n = 0;

	add(&keys, "\033[");
	for (i = 0; i < 1000; i++) {
		add(&keys, "1");
		n += keys_next(&keys, false, &key);
	}
	add(&keys, "q");
	while (keys_next(&keys, true, &key))
		n++;
	CHECK(n > 0 && key.kind == KEY_CHARACTER && key.code == 'q');
}

static void edit(struct edit *e, enum key_kind kind, uint32_t code)
{
	struct key key = { kind, code };

	edit_key(e, &key);
}

static void test_edit(void)
{
	struct edit e;
	unsigned i;

	edit_begin(&e, "ab");
	edit(&e, KEY_CHARACTER, 0x20ac);
	edit(&e, KEY_CHARACTER, 0x1f600);
	edit(&e, KEY_CHARACTER, 0xe9);
	CHECK(!strcmp(e.text, "ab\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9"));
	edit(&e, KEY_BACKSPACE, 0);
	edit(&e, KEY_LEFT, 0);
	edit(&e, KEY_LEFT, 0);
	edit(&e, KEY_DELETE, 0);
	CHECK(!strcmp(e.text, "ab\xf0\x9f\x98\x80") && e.cursor == 2);
	edit(&e, KEY_END, 0);
	edit(&e, KEY_CHARACTER, ' ');
	edit(&e, KEY_CHARACTER, 'x');
	edit(&e, KEY_CHARACTER, KEYS_CTRL('W'));
	CHECK(!strcmp(e.text, "ab\xf0\x9f\x98\x80 "));
	edit(&e, KEY_CHARACTER, KEYS_CTRL('A'));
	edit(&e, KEY_BACKSPACE, 0);
	edit(&e, KEY_RIGHT, 0);
	edit(&e, KEY_CHARACTER, KEYS_CTRL('U'));
	CHECK(!strcmp(e.text, "b\xf0\x9f\x98\x80 ") && e.cursor == 0);
	for (i = 0; i < 1000; i++)
		edit(&e, KEY_CHARACTER, 0x20ac);
	CHECK(e.bytes < sizeof(e.text) && e.bytes == strlen(e.text));
	for (i = 0; i < 1000; i++)
		edit(&e, KEY_BACKSPACE, 0);
	CHECK(!strcmp(e.text, "b\xf0\x9f\x98\x80 "));
}

static bool draws(const double *values, size_t n, size_t n_before, int columns, bool from_zero,
	const char *expected)
{
	struct strbuf out = { 0 };
	bool good;

	sparkline_add(&out, values, n, n_before, columns, from_zero, true);
	good = !strcmp(out.data ? out.data : "", expected);
	if (!good)
		printf("# '%s', expected '%s'\n", out.data ? out.data : "", expected);
	strbuf_deinit(&out);
	return good;
}

static void test_sparkline(void)
{
	double values[64], none[3] = { NAN, NAN, NAN };
	unsigned i;

	for (i = 0; i < 64; i++)
		values[i] = i + 1;
	CHECK(draws(values, 8, 0, 8, false, " .:-=+*#"));
	/* Two, four, eight values a column. */
	CHECK(draws(values, 16, 0, 8, false, " .:-=+*#"));
	CHECK(draws(values, 64, 0, 8, false, " .:-=+*#"));
	/* The last column fills. */
	CHECK(draws(values, 15, 0, 8, true, " .:=+*##"));
	CHECK(draws(values, 16, 0, 8, true, " .:-=+*#"));
	/* With an odd number dropped, columns stay on multiples of their width. */
	CHECK(draws(values, 4, 1, 3, true, ":+#"));
	CHECK(draws(none, 3, 0, 8, false, "   "));
	CHECK(draws(values, 8, 0, 0, false, ""));
	/* What hardly changes is drawn as flat. */
	for (i = 0; i < 8; i++)
		values[i] = 1000 + i % 2;
	CHECK(draws(values, 8, 0, 8, false, "========"));
	values[3] = NAN;
	CHECK(draws(values, 8, 0, 8, true, "### ####"));
	for (i = 0; i < 8; i++)
		values[i] = 0;
	CHECK(draws(values, 8, 0, 8, true, "        "));
}

int main(void)
{
	TAP_RUN(test_sequences);
	TAP_RUN(test_escape_and_text);
	TAP_RUN(test_endless_sequence);
	TAP_RUN(test_edit);
	TAP_RUN(test_sparkline);
	return tap_done();
}
