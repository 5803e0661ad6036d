/*
 * cmd_live.c - `heapspy live`: its options, and whether it shows a screen or prints
 * lines. Both are live/'s.
 */
#include "analyzer/cmd.h"

#include <langinfo.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/live/list.h"
#include "analyzer/live/terminal.h"
#include "analyzer/live/watch.h"

#define EVERY_NS     1000000000ull
#define EVERY_NS_MIN 100000000ull

static const struct options_row rows[] = {
	{ OPTION_EVERY, 0, "every", "TIME", "time between readings, from 100ms on (1s)" },
	{ OPTION_COUNT, 0, "count", "N", "end after N readings" },
	{ OPTION_BY, 0, "by", "function|line|site|module", "what a row is; site: a whole stack" },
	{ OPTION_FOCUS, 0, "focus", "RE", "only stacks with a function or file like RE" },
	{ OPTION_IGNORE, 0, "ignore", "RE", "no stacks with a function or file like RE" },
	{ OPTION_MODULE, 0, "module", "RE", "only sites in a module whose path is like RE" },
	{ OPTION_HIDE, 0, "hide", "RE",
		"fold functions like RE into their callers, beside\n"
		"the built-in list of allocators and containers;\n"
		"'none': fold nothing" },
	{ OPTION_DEBUGINFOD, 0, "debuginfod", "auto|off",
		"fetch missing debug files; auto: from the servers\n"
		"in DEBUGINFOD_URLS, if any" },
	{ OPTION_FORCE, 0, "force", NULL, "show figures of a process that was not interposed" },
	{ OPTION_JSON, 0, "json", NULL,
		"one JSON object a line for each reading, with all\n"
		"rows and full names; so without a terminal" },
	{ OPTION_COLOR, 0, "color", "auto|always|never", "colours; auto: on a terminal" },
	{ OPTION_ASCII, 0, "ascii", NULL, "no other characters than ASCII in drawings" },
	CMD_ROW_HELP,
};

static bool is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* Without an argument: what there is to be shown. */
static int list(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct table_style style = table_style_of(STDOUT_FILENO, o->color);

	if (o->json)
		return fail_set(f, EXIT_CODE_USAGE,
			"--json is of one process: give its PID or its RUN (see heapspy live)");
	list_add(out, &style);
	return 0;
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct watch watch = {
		.options = o,
		.every_ns = o->every_ns ? o->every_ns : EVERY_NS,
		.ascii = o->ascii || !is_utf8(),
	};
	int rc = -1;

	if (watch.every_ns < EVERY_NS_MIN)
		return fail_set(f, EXIT_CODE_USAGE, "--every: the shortest time is 100ms");
	if (!o->n_args)
		return list(o, out, f);
	if (feed_open(o->args[0], &watch.feed, f) < 0)
		return -1;
	watch.model = model_new(o, f);
	if (watch.model)
		rc = o->json || !terminal_is_there() ? watch_lines(&watch, f)
						     : watch_screen(&watch, f);
	/* exit() would take apart what a thread is in the midst of using. */
	if (watch.is_abandoned)
		_exit(rc < 0 ? fail_print(f) : 0);
	model_free(watch.model);
	feed_close(watch.feed);
	return rc;
}

const struct command cmd_live = {
	.name = "live",
	.brief = "top and diff that refresh",
	.args = "[PID|RUN]",
	.about =
		"Shows who holds memory in a running process, and what has grown in the last\n"
		"minute and since a mark, once a second; ? lists the keys. The process does\n"
		"nothing for it and is not paused. RUN: its process, or its snapshots as they are\n"
		"written. Without either: lists the processes under heapspy.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 0,
	.max_args = 1,
	.run = run,
};
