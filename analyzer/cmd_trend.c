/*
 * cmd_trend.c - `heapspy trend`: its options, whether its argument is a run, and its exit code. A
 * look at the run is trend_look.c's, many of them trend_watch.c's.
 */
#include "analyzer/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/moment.h"
#include "analyzer/read/run_near.h"
#include "analyzer/trend_look.h"
#include "analyzer/trend_watch.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows to show; 0: all (20)" },
	{ OPTION_ALL, 0, "all", NULL, "rows of every verdict" },
	{ OPTION_BY, 0, "by", "function|line|site|module", "what a row is; site: a whole stack" },
	{ OPTION_MIN, 0, "min", "SIZE", "no rows that never held SIZE" },
	{ OPTION_SINCE, 0, "since", "WHEN", "begin there: 10m, -1h, 14:03, 3, mark:NAME" },
	{ OPTION_UNTIL, 0, "until", "WHEN", "end there" },
	{ OPTION_LIMIT, 0, "limit", "SIZE", "tell when the program has SIZE of memory" },
	{ OPTION_WATCH, 0, "watch", NULL, "look again at each new snapshot" },
	{ OPTION_COUNT, 0, "count", "N", "with --watch: end after N looks" },
	CMD_ROWS_VIEW,
	{ OPTION_STACKS, 0, "stacks", "N", "the N stacks that grow most below each row" },
	{ OPTION_EXIT_CODE, 0, "exit-code", NULL, "exit 1 when a site is leak-like" },
	{ OPTION_FORCE, 0, "force", NULL, "show figures of a process that was not interposed" },
	{ OPTION_ASCII, 0, "ascii", NULL, "no other characters than ASCII in drawings" },
	CMD_ROW_CSV,
	{ OPTION_JSON, 0, "json", NULL,
		"one JSON object: all rows, all evidence, full names;\n"
		"with --watch one a line for each look" },
	{ OPTION_COLOR, 0, "color", "auto|always|never", "colours; auto: on a terminal" },
	{ OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "no warnings, no hints" },
	CMD_ROW_HELP,
};

static int check_options(const struct options *o, struct fail *f)
{
	if (!o->watch)
		return o->count ? fail_set(f, EXIT_CODE_USAGE, "--count goes with --watch") : 0;
	if (o->csv || o->output || o->until)
		return fail_set(f, EXIT_CODE_USAGE,
			"--watch goes on and on: %s does not go with it",
			o->csv      ? "--csv"
			: o->output ? "--output"
				    : "--until");
	return 0;
}

/* A single moment has no trend. */
static int check_run(const char *text, struct fail *f)
{
	struct moment_parts parts;
	int rc = -1;

	if (moment_is_run(text))
		return 0;
	parts = moment_split(text);
	if (parts.when && moment_is_run(parts.path)) {
		fail_set(f, EXIT_CODE_USAGE,
			"trend takes a whole run: '%s', and --since or --until for a part of it",
			parts.path);
	} else if (!parts.when && access(text, F_OK) == 0) {
		fail_set(f, EXIT_CODE_USAGE,
			"'%s' is a file: trend takes a run directory (one moment: heapspy top)",
			text);
	} else {
		fail_set(f, EXIT_CODE_INPUT, "there is no run directory '%s'", parts.path);
		run_near_suggest(parts.path, NULL, f);
	}
	free(parts.path);
	return rc;
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct trend_watching watching = { 0 };
	struct trend_look *look;
	int code;

	if (check_run(o->args[0], f) < 0 || check_options(o, f) < 0)
		return -1;
	if (o->watch)
		return trend_watch(o, f);
	if (trend_look_take(o, &watching, &look, f) < 0)
		return -1;
	code = trend_look_show(look, 0, out, f);
	if (code == 0) {
		trend_look_warn(look);
		code = o->exit_code && trend_look_has_leaks(look) ? EXIT_CODE_GATE : 0;
	}
	trend_look_free(look);
	return code;
}

const struct command cmd_trend = {
	.name = "trend",
	.brief = "leak or not, over all snapshots",
	.args = "RUN",
	.about =
		"Reads all snapshots of a run and gives each site a verdict: a leak keeps its old\n"
		"blocks and goes on growing, a cache does not. Tells how fast memory is lost, how\n"
		"sure that is, and when it ends. Rows: what grows, leaks first.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
