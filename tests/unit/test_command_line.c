/* test_command_line.c - parsing by an option table, and the help made from it. */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <string.h>

#include "analyzer/commands.h"
#include "analyzer/options.h"
#include "analyzer/strbuf.h"
#include "preload/state/settings.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows" },
	{ OPTION_BY, 0, "by", "function|line|site|module", "what a row is" },
	{ OPTION_METRIC, 0, "metric", "live|allocated|objects", "which figure,\nand more" },
	{ OPTION_MIN, 0, "min", "SIZE", "least" },
	{ OPTION_FOCUS, 0, "focus", "RE", "only these" },
	{ OPTION_STACKS, 0, "stacks", "N", "stacks" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "silence" },
	{ OPTION_COLOR, 0, "color", "auto|always|never", "colour" },
	{ OPTION_OUTPUT, 'o', "output", "FILE", "file" },
	{ OPTION_EVERY, 0, "every", "TIME", "pace" },
	{ OPTION_COUNT, 0, "count", "N", "how often" },
	{ OPTION_DEBUGINFOD, 0, "debuginfod", "WHEN", "whom to ask", .values = "auto|off" },
	{ OPTION_SETTING, 0, "sample", "SIZE", "interval", .setting = "HEAPSPY_SAMPLE" },
	{ OPTION_SETTING, 'v', NULL, NULL, "say more", .setting = "HEAPSPY_VERBOSE" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static struct options o;
static bool stops_at_word;
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
	options_deinit(&o);
	return options_parse(&o, rows, N_ROWS, stops_at_word, argc, argv, &f);
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

static void test_options_end_at_the_first_word(void)
{
	stops_at_word = true;
	CHECK(parse("run -q --sample 1 ./a -v --every x -- b") == 0);
	CHECK(o.quiet && o.n_args == 6 && !strcmp(o.args[0], "./a") && !strcmp(o.args[1], "-v"));
	CHECK(!strcmp(o.args[4], "--") && o.n_settings == 1);
	CHECK(parse("run -v -- -v") == 0);
	CHECK(o.n_args == 1 && !strcmp(o.args[0], "-v") && o.n_settings == 1);
	CHECK(parse("run -v -") == 0 && o.n_args == 1);
	CHECK(refused("run --wombat ./a", "unknown option '--wombat'"));
	stops_at_word = false;
}

static void test_settings_are_collected_in_order(void)
{
	CHECK(parse("run --sample 64KiB -v A --sample=no,sense") == 0);
	CHECK(o.n_settings == 3 && o.n_args == 1);
	CHECK(!strcmp(o.settings[0].variable, "HEAPSPY_SAMPLE"));
	CHECK(!strcmp(o.settings[0].value, "64KiB"));
	CHECK(!strcmp(o.settings[0].row->name, "sample"));
	CHECK(!strcmp(o.settings[1].variable, "HEAPSPY_VERBOSE"));
	CHECK(!strcmp(o.settings[1].value, "1"));
	CHECK(!strcmp(o.settings[2].value, "no,sense"));
}

static void test_pace(void)
{
	CHECK(parse("live --every 250ms --count 3 --debuginfod off") == 0);
	CHECK(o.every_ns == 250000000 && o.count == 3 && o.no_debuginfod);
	CHECK(parse("live --debuginfod=auto") == 0 && !o.no_debuginfod && o.every_ns == 0);
	CHECK(refused("live --every 0s", "--every: '0s' is not a time like"));
	CHECK(refused("live --every soon", "is not a time like"));
	CHECK(refused("live --count 0", "--count: '0' is not a number from 1"));
	CHECK(refused("live --debuginfod on", "'on' is not auto or off"));
	CHECK(!strcmp(options_values(&rows[1]), "function|line|site|module"));
	CHECK(!strcmp(options_values(&rows[11]), "auto|off") && !options_values(&rows[0]));
}

static void test_mistakes(void)
{
	CHECK(refused("diff --metrics live", "unknown option '--metrics'; did you mean --metric?"));
	CHECK(refused("diff --wombat", "unknown option '--wombat'"));
	CHECK(refused("diff --m 1", "'--m' is short for more than one: --metric, --min"));
	CHECK(refused("diff --=1", "unknown option '--'"));
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

static int rows_are_sound(const struct command *c)
{
	size_t i, j;

	for (i = 0; i < c->n_rows; i++) {
		const struct options_row *row = &c->rows[i];

		if (!row->help[0] || (!row->name && !row->letter) ||
			(row->id == OPTION_SETTING) != (row->setting != NULL) ||
			(row->values && !row->arg))
			return 0;
		for (j = 0; j < i; j++)
			if ((row->name && c->rows[j].name && !strcmp(row->name, c->rows[j].name)) ||
				(row->letter && row->letter == c->rows[j].letter))
				return 0;
	}
	return c->n_rows > 0 && c->rows[c->n_rows - 1].id == OPTION_HELP;
}

static void test_table_of_commands(void)
{
	const struct command *const *c, *const *other;

	for (c = commands_all; *c; c++) {
		if (!rows_are_sound(*c))
			printf("# rows of %s\n", (*c)->name);
		CHECK(rows_are_sound(*c));
		CHECK((*c)->run && (*c)->min_args <= (*c)->max_args);
		CHECK(strlen((*c)->brief) <= 48 && strlen((*c)->args) <= 18);
		CHECK((*c)->about[strlen((*c)->about) - 1] == '\n');
		for (other = commands_all; other < c; other++)
			CHECK(strcmp((*c)->name, (*other)->name));
	}
}

/* The option of a command that sets a variable; NULL: none. */
static const struct options_row *row_setting(const struct command *c, const char *variable)
{
	size_t i;

	for (i = 0; i < c->n_rows; i++)
		if (c->rows[i].setting && !strcmp(c->rows[i].setting, variable))
			return &c->rows[i];
	return NULL;
}

static void test_run_has_an_option_for_each_setting(void)
{
	const struct command *run = commands_find("run", &f);
	const char *name, *expected, *standard;
	unsigned i, n_rows = 0;
	size_t j;

	CHECK(run != NULL);
	for (i = 0; settings_describe(i, &name, &expected, &standard); i++) {
		const struct options_row *row = row_setting(run, name);

		if (!row)
			printf("# %s\n", name);
		CHECK(row != NULL);
		/* The help names the default where it is a figure or a place. */
		if (row && (standard[0] == '/' || (standard[0] >= '1' && standard[0] <= '9')))
			CHECK(strstr(row->help, standard) != NULL);
	}
	CHECK(i >= 11);
	for (j = 0; j < run->n_rows; j++)
		n_rows += run->rows[j].setting != NULL;
	CHECK(n_rows == i);
}

/* Each word of a closed list is one that the library takes; what is none it refuses. */
static void test_lists_of_settings_are_those_of_the_library(void)
{
	const struct command *run = commands_find("run", &f);
	size_t i;

	for (i = 0; i < run->n_rows; i++) {
		const struct options_row *row = &run->rows[i];
		char words[128], *word, *rest = words;

		if (!row->setting || !options_values(row))
			continue;
		snprintf(words, sizeof(words), "%s", options_values(row));
		while ((word = strsep(&rest, "|")) != NULL)
			CHECK(!settings_refuse(row->setting, word));
		CHECK(settings_refuse(row->setting, options_values(row)) != NULL);
	}
}

int main(void)
{
	TAP_RUN(test_defaults);
	TAP_RUN(test_options_and_arguments_mix);
	TAP_RUN(test_options_end_at_the_first_word);
	TAP_RUN(test_settings_are_collected_in_order);
	TAP_RUN(test_pace);
	TAP_RUN(test_mistakes);
	TAP_RUN(test_help);
	TAP_RUN(test_table_of_commands);
	TAP_RUN(test_run_has_an_option_for_each_setting);
	TAP_RUN(test_lists_of_settings_are_those_of_the_library);
	return tap_done();
}
