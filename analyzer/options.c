/*
 * options.c - owns parsing of command lines and the layout of --help. Which
 * options a command has is its own table's business.
 */
#include "analyzer/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/strbuf.h"
#include "analyzer/suggest.h"
#include "analyzer/target/allocators.h"
#include "analyzer/units.h"

#define HELP_COLUMN 22
#define ROWS_SHOWN  20
/* getopt_long() returns these for rows, so that letters and names meet in one place. */
#define ROW_BASE    1000

static int wrong_value(
	const struct options_row *row, const char *value, const char *expected, struct fail *f)
{
	return fail_set(f, EXIT_CODE_USAGE, "%s%s: '%s' is not %s", row->name ? "--" : "-",
		row->name ? row->name : (char[]){ row->letter, '\0' }, value, expected);
}

/* The same, for rows that list the words there are: "a|b|c" as "a, b or c". */
static int wrong_word(const struct options_row *row, const char *value, struct fail *f)
{
	struct strbuf words = { 0 };
	const char *at;

	for (at = options_values(row); *at; at++)
		if (*at == '|')
			strbuf_add_text(&words, strchr(at + 1, '|') ? ", " : " or ");
		else
			strbuf_add_char(&words, *at);
	wrong_value(row, value, words.data, f);
	strbuf_deinit(&words);
	return -1;
}

static int set_by(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	/* Only a command whose row offers it groups by thread. */
	if (!strcmp(value, "thread") && strstr(row->arg, "thread")) {
		o->by_thread = true;
		return 0;
	}
	o->by_thread = false;
	if (sites_parse_by(value, &o->by))
		return 0;
	return wrong_word(row, value, f);
}

static int set_metric(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	static const char *const words[] = { "live", "allocated", "objects" };
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		/* Not each command has all of them. */
		if (!strcmp(value, words[i]) && strstr(row->arg, value)) {
			o->has_metric = true;
			o->metric = (enum options_metric)i;
			return 0;
		}
	return wrong_word(row, value, f);
}

static int set_color(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	o->color = value;
	if (!strcmp(value, "auto") || !strcmp(value, "always") || !strcmp(value, "never"))
		return 0;
	return wrong_word(row, value, f);
}

static int set_min(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	const char *slash = strchr(value, '/');
	struct strbuf size = { 0 };
	int rc = 0;

	if (units_parse_bytes(value, &o->min_bytes))
		return 0;
	strbuf_add(&size, value, slash ? (size_t)(slash - value) : 0);
	/* A rate, where it is known of what time: say it without that. */
	if (size.bytes && units_parse_bytes(size.data, &o->min_bytes))
		rc = fail_set(f, EXIT_CODE_USAGE, "--min: '%s' is not a size; did you mean %s?",
			value, size.data);
	else
		rc = wrong_value(row, value, "a size like 4096, 64KiB or 1.5MiB", f);
	strbuf_deinit(&size);
	return rc;
}

static int set_every(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	if (units_parse_duration(value, &o->every_ns) && o->every_ns > 0)
		return 0;
	return wrong_value(row, value, "a time like 1s, 250ms or 5m", f);
}

static int set_count(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	if (units_parse_number(value, UINT32_MAX, &o->count) && o->count > 0)
		return 0;
	return wrong_value(row, value, "a number from 1", f);
}

static int set_debuginfod(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	o->no_debuginfod = !strcmp(value, "off");
	if (o->no_debuginfod || !strcmp(value, "auto"))
		return 0;
	return wrong_word(row, value, f);
}

static int set_allocator(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	o->allocator = value;
	return allocators_find(value) ? 0 : wrong_word(row, value, f);
}

static void add_setting(struct options *o, const struct options_row *row, const char *value)
{
	o->settings = alloc_resize(o->settings, o->n_settings + 1, sizeof(*o->settings));
	o->settings[o->n_settings++] = (struct options_setting){
		.variable = row->setting, .value = value ? value : "1", .row = row
	};
}

static int set_option(
	struct options *o, const struct options_row *row, const char *value, struct fail *f)
{
	switch (row->id) {
	case OPTION_HELP:
		o->help = true;
		return 0;
	case OPTION_ROWS:
		o->has_rows = true;
		if (!units_parse_number(value, UINT32_MAX, &o->n_rows))
			return wrong_value(row, value, "a number of rows (0: all)", f);
		return 0;
	case OPTION_BY:
		return set_by(o, row, value, f);
	case OPTION_METRIC:
		return set_metric(o, row, value, f);
	case OPTION_FOCUS:
		o->filter.focus = value;
		return 0;
	case OPTION_IGNORE:
		o->filter.ignore = value;
		return 0;
	case OPTION_MODULE:
		o->filter.module = value;
		return 0;
	case OPTION_MIN:
		return set_min(o, row, value, f);
	case OPTION_HIDE:
		o->hide = value;
		return 0;
	case OPTION_STACKS:
		o->has_stacks = true;
		if (!units_parse_number(value, UINT32_MAX, &o->n_stacks))
			return wrong_value(row, value, "a number of stacks", f);
		return 0;
	case OPTION_THIRD:
		o->third = value;
		return 0;
	case OPTION_EXIT_CODE:
		o->exit_code = true;
		return 0;
	case OPTION_FULL_NAMES:
		o->full_names = true;
		return 0;
	case OPTION_JSON:
		o->json = true;
		return 0;
	case OPTION_CSV:
		o->csv = true;
		return 0;
	case OPTION_COLOR:
		return set_color(o, row, value, f);
	case OPTION_OUTPUT:
		o->output = value;
		return 0;
	case OPTION_QUIET:
		o->quiet = true;
		return 0;
	case OPTION_FORCE:
		o->force = true;
		return 0;
	case OPTION_PARTIAL:
		o->partial = true;
		return 0;
	case OPTION_LIVE:
		o->dump_live = true;
		return 0;
	case OPTION_ALL_STACKS:
		o->dump_stacks = true;
		return 0;
	case OPTION_EVERY:
		return set_every(o, row, value, f);
	case OPTION_COUNT:
		return set_count(o, row, value, f);
	case OPTION_DEBUGINFOD:
		return set_debuginfod(o, row, value, f);
	case OPTION_LABEL:
		o->label = value;
		return 0;
	case OPTION_FILE:
		o->file = value;
		return 0;
	case OPTION_VERBOSE:
		o->verbose = true;
		return 0;
	case OPTION_ASCII:
		o->ascii = true;
		return 0;
	case OPTION_ALLOCATOR:
		return set_allocator(o, row, value, f);
	case OPTION_ALL:
		o->all = true;
		return 0;
	case OPTION_SINCE:
		o->since = value;
		return 0;
	case OPTION_UNTIL:
		o->until = value;
		return 0;
	case OPTION_LIMIT:
		if (!units_parse_bytes(value, &o->limit_bytes) || !o->limit_bytes)
			return wrong_value(row, value, "a size like 512MiB or 4GiB", f);
		return 0;
	case OPTION_WATCH:
		o->watch = true;
		return 0;
	case OPTION_BASELINE:
		o->baseline = value;
		return 0;
	case OPTION_CANDIDATE:
		o->candidate = value;
		return 0;
	case OPTION_BUDGET:
		o->budget = value;
		return 0;
	case OPTION_MAX_TOTAL:
		o->max_total = value;
		return 0;
	case OPTION_MAX_PEAK:
		o->max_peak = value;
		return 0;
	case OPTION_MAX_GROWTH:
		o->max_growth = value;
		return 0;
	case OPTION_PROGRAM:
		o->program = value;
		return 0;
	case OPTION_AT:
		o->at = value;
		return 0;
	case OPTION_CONFIRM:
		o->confirm = value;
		return 0;
	case OPTION_JUNIT:
		o->junit = value;
		return 0;
	case OPTION_NO_LEAKS:
		o->no_leaks = true;
		return 0;
	case OPTION_GITHUB:
		o->github = true;
		return 0;
	case OPTION_STATE_DIR:
		o->state_dir = value;
		return 0;
	case OPTION_DIR:
		o->dir = value;
		return 0;
	case OPTION_DRY_RUN:
		o->dry_run = true;
		return 0;
	case OPTION_KEEP_STATES:
		o->keep_states = true;
		return 0;
	case OPTION_REMOVE_DAMAGED:
		o->remove_damaged = true;
		return 0;
	case OPTION_SETTING:
		add_setting(o, row, value);
		return 0;
	}
	return 0;
}

/* Returns -1 with f filled when what was typed of word begins more than one option. */
static int explain_ambiguous(const struct options_row *rows, size_t n_rows, const char *word,
	size_t bytes, struct fail *f)
{
	struct strbuf list = { 0 };
	size_t i, n = 0;

	for (i = 0; i < n_rows; i++)
		if (rows[i].name && !strncmp(rows[i].name, word + 2, bytes))
			strbuf_addf(&list, "%s--%s", n++ ? ", " : "", rows[i].name);
	if (n > 1)
		fail_set(f, EXIT_CODE_USAGE, "option '--%.*s' is short for more than one: %s",
			(int)bytes, word + 2, list.data);
	strbuf_deinit(&list);
	return n > 1 ? -1 : 0;
}

/*
 * What getopt_long() could not place, in words. It leaves the letter in optopt, the value of a
 * known long option, or 0 for an unknown one, which then is word.
 */
static int explain(const struct options_row *rows, size_t n_rows, const char *word, bool missing,
	struct fail *f)
{
	struct suggest suggest;
	char name[64];
	size_t i, bytes;

	if (optopt >= ROW_BASE)
		return fail_set(f, EXIT_CODE_USAGE, "option --%s %s", rows[optopt - ROW_BASE].name,
			missing ? "needs a value" : "takes no value");
	if (optopt)
		return fail_set(f, EXIT_CODE_USAGE, "%s '-%c'%s",
			missing ? "option" : "unknown option", optopt,
			missing ? " needs a value" : "");
	bytes = strcspn(word + 2, "=");
	if (bytes && explain_ambiguous(rows, n_rows, word, bytes, f) < 0)
		return -1;
	snprintf(name, sizeof(name), "%.*s", (int)(bytes < 60 ? bytes : 60), word + 2);
	suggest_init(&suggest, name);
	for (i = 0; i < n_rows; i++)
		if (rows[i].name)
			suggest_offer(&suggest, rows[i].name);
	fail_set(f, EXIT_CODE_USAGE, "unknown option '--%s'%s%s%s", name,
		suggest.best ? "; did you mean --" : "", suggest.best ? suggest.best : "",
		suggest.best ? "?" : "");
	suggest_deinit(&suggest);
	return -1;
}

int options_parse(struct options *o, const struct options_row *rows, size_t n_rows,
	bool stops_at_word, int argc, char **argv, struct fail *f)
{
	struct option *longs = alloc_array(n_rows + 1, sizeof(*longs));
	struct strbuf letters = { 0 };
	size_t i, n_longs = 0;
	int code, rc = 0;

	memset(o, 0, sizeof(*o));
	o->n_rows = ROWS_SHOWN;
	o->color = "auto";
	/* ':' makes a missing value different from an unknown option. */
	strbuf_add_text(&letters, stops_at_word ? "+:" : ":");
	for (i = 0; i < n_rows; i++) {
		if (rows[i].letter)
			strbuf_addf(&letters, "%c%s", rows[i].letter, rows[i].arg ? ":" : "");
		if (rows[i].name)
			longs[n_longs++] = (struct option){ rows[i].name, rows[i].arg != NULL, NULL,
				ROW_BASE + (int)i };
	}
	opterr = 0;
	optind = 0;
	while (rc == 0 && (code = getopt_long(argc, argv, letters.data, longs, NULL)) != -1) {
		if (code == '?' || code == ':') {
			rc = explain(rows, n_rows, argv[optind - 1], code == ':', f);
			continue;
		}
		for (i = 0; i < n_rows; i++)
			if (code == ROW_BASE + (int)i ||
				(code < ROW_BASE && code == rows[i].letter))
				break;
		rc = set_option(o, &rows[i], optarg, f);
	}
	o->args = argv + optind;
	o->n_args = argc - optind;
	strbuf_deinit(&letters);
	free(longs);
	return rc;
}

void options_deinit(struct options *o)
{
	free(o->settings);
	o->settings = NULL;
	o->n_settings = 0;
}

const char *options_values(const struct options_row *row)
{
	if (row->values)
		return row->values;
	return row->arg && strchr(row->arg, '|') ? row->arg : NULL;
}

void options_add_help(struct strbuf *out, const struct options_row *rows, size_t n_rows)
{
	size_t i;

	for (i = 0; i < n_rows; i++) {
		size_t start = out->bytes;
		const char *line = rows[i].help;

		strbuf_add_text(out, "  ");
		if (rows[i].letter)
			strbuf_addf(out, "-%c", rows[i].letter);
		if (rows[i].letter && rows[i].name)
			strbuf_add_text(out, ", ");
		if (rows[i].name)
			strbuf_addf(out, "--%s", rows[i].name);
		if (rows[i].arg)
			strbuf_addf(out, " %s", rows[i].arg);
		/* The explanation starts beside the option where there is room for it. */
		if (out->bytes - start > HELP_COLUMN - 2) {
			strbuf_add_char(out, '\n');
			start = out->bytes;
		}
		strbuf_pad(out, ' ', HELP_COLUMN - (int)(out->bytes - start));
		for (;;) {
			const char *end = strchrnul(line, '\n');

			strbuf_add(out, line, (size_t)(end - line));
			strbuf_add_char(out, '\n');
			if (!*end)
				break;
			strbuf_pad(out, ' ', HELP_COLUMN);
			line = end + 1;
		}
	}
}
