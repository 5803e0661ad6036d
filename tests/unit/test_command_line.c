/* test_command_line.c - parsing by an option table, and the help made from it. */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <string.h>

#include "analyzer/options.h"
#include "analyzer/strbuf.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows" },
	{ OPTION_BY, 0, "by", "function|line", "what a row is" },
	{ OPTION_METRIC, 0, "metric", "live|allocated|objects", "which figure,\nand more" },
	{ OPTION_MIN, 0, "min", "SIZE", "least" },
	{ OPTION_FOCUS, 0, "focus", "RE", "only these" },
	{ OPTION_STACKS, 0, "stacks", "N", "stacks" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "silence" },
	{ OPTION_COLOR, 0, "color", "WHEN", "colour" },
	{ OPTION_OUTPUT, 'o', "output", "FILE", "file" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static struct options o;
static struct fail f;

/* Words are separated by single spaces. */
static int parse(const char *line)
{
	static char text[256];
	static char *argv[32];
	int argc = 0;
	char *word, *rest = text;

	snprintf(text, sizeof(text), "%s", line);
	memset(&f, 0, sizeof(f));
	while ((word = strsep(&rest, " ")) != NULL && argc < 31)
		argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(&o, rows, N_ROWS, argc, argv, &f);
}

static int refused(const char *line, const char *words)
{
	if (parse(line) == 0 || f.exit_code != EXIT_CODE_USAGE || !strstr(f.text, words)) {
		printf("# %s: %s\n", line, f.text);
		return 0;
	}
	return 1;
}

static void test_defaults(void)
{
	CHECK(parse("diff") == 0);
	CHECK(o.n_args == 0 && o.n_rows == 20 && o.by == SITES_BY_FUNCTION && !o.by_thread);
	CHECK(o.metric == METRIC_LIVE && !o.filter.focus && !o.quiet && !o.has_stacks);
	CHECK(!strcmp(o.color, "auto"));
}

static void test_options_and_arguments_mix(void)
{
	CHECK(parse("diff A -n 5 B --by=line --min 1.5MiB -q -oout --stacks 0 --focus a|b") == 0);
	CHECK(o.n_args == 2 && !strcmp(o.args[0], "A") && !strcmp(o.args[1], "B"));
	CHECK(o.n_rows == 5 && o.by == SITES_BY_LINE && o.min_bytes == 1572864 && o.quiet);
	CHECK(!strcmp(o.output, "out") && o.has_stacks && o.n_stacks == 0);
	CHECK(!strcmp(o.filter.focus, "a|b"));
	CHECK(parse("diff -- -q --by") == 0);
	CHECK(o.n_args == 2 && !o.quiet && !strcmp(o.args[1], "--by"));
}

static void test_mistakes(void)
{
	CHECK(refused("diff --metrics live", "unknown option '--metrics'; did you mean --metric?"));
	CHECK(refused("diff --wombat", "unknown option '--wombat'"));
	CHECK(refused("diff -x", "unknown option '-x'"));
	CHECK(refused("diff -qx", "unknown option '-x'"));
	CHECK(refused("diff --quiet=1", "--quiet takes no value"));
	CHECK(refused("diff A -n", "option '-n' needs a value"));
	CHECK(refused("diff A --by", "option --by needs a value"));
	CHECK(refused("diff -n x", "-n: 'x' is not a number of rows"));
	CHECK(refused("diff -n -1", "-n: '-1' is not"));
	CHECK(refused("diff --by thread", "--by: 'thread' is not"));
	CHECK(refused(
		"diff --by nothing", "--by: 'nothing' is not function, line, site or module"));
	CHECK(refused("diff --metric rate", "live, allocated or objects"));
	CHECK(refused("diff --min lots", "is not a size"));
	CHECK(refused("diff --color blue", "auto, always or never"));
}

static void test_help(void)
{
	struct strbuf b = { 0 };
	const char *line, *end;

	options_add_help(&b, rows, N_ROWS);
	CHECK(strstr(b.data, "  -n N                rows\n") != NULL);
	CHECK(strstr(b.data, "  -o, --output FILE   file\n") != NULL);
	CHECK(strstr(b.data, "  --metric live|allocated|objects\n"
			     "                      which figure,\n"
			     "                      and more\n") != NULL);
	for (line = b.data; *line; line = end + 1) {
		end = strchr(line, '\n');
		CHECK(end - line <= 80);
	}
	strbuf_deinit(&b);
}

int main(void)
{
	TAP_RUN(test_defaults);
	TAP_RUN(test_options_and_arguments_mix);
	TAP_RUN(test_mistakes);
	TAP_RUN(test_help);
	return tap_done();
}
