/*
 * cmd.h - the subcommands: one table row each, from which main.c dispatches and
 * makes the help.
 */
#ifndef HEAPSPY_ANALYZER_CMD_H
#define HEAPSPY_ANALYZER_CMD_H

#include <stddef.h>

#include "analyzer/fail.h"
#include "analyzer/options.h"
#include "analyzer/strbuf.h"

struct command {
	const char *name;
	const char *brief; /* one line */
	const char *args;  /* "A B" */
	const char *about; /* some lines for its help */
	const struct options_row *rows;
	size_t n_rows;
	int min_args, max_args;
	/*
	 * Adds the output to out. Returns the exit code, or -1 with f filled; what is in
	 * out then is not shown.
	 */
	int (*run)(const struct options *o, struct strbuf *out, struct fail *f);
};

extern const struct command cmd_diff, cmd_top, cmd_dump;

/* Rows that several tables share. */
#define CMD_ROW_HELP                                                                               \
	{                                                                                          \
		OPTION_HELP, 'h', "help", NULL, "show this help"                                   \
	}
#define CMD_ROWS_VIEW                                                                              \
	{ OPTION_FOCUS, 0, "focus", "RE", "only stacks with a function or file like RE" },         \
		{ OPTION_IGNORE, 0, "ignore", "RE", "no stacks with a function or file like RE" }, \
		{ OPTION_MODULE, 0, "module", "RE",                                                \
			"only sites in a module whose path is like RE" },                          \
		{ OPTION_HIDE, 0, "hide", "RE",                                                    \
			"fold functions like RE into their callers, beside\n"                      \
			"the built-in list of allocators and containers;\n"                        \
			"'none': fold nothing" },                                                  \
	{                                                                                          \
		OPTION_FULL_NAMES, 0, "full-names", NULL, "never shorten or cut a name"            \
	}
#define CMD_ROWS_OUTPUT                                                                            \
	{ OPTION_JSON, 0, "json", NULL, "one JSON object: all rows, full names" },                 \
		{ OPTION_COLOR, 0, "color", "WHEN", "auto, always or never" },                     \
		{ OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE" },                         \
		{ OPTION_QUIET, 'q', "quiet", NULL, "no warnings, no hints" },                     \
	{                                                                                          \
		OPTION_PARTIAL, 0, "partial", NULL, "use what is whole of a damaged snapshot"      \
	}

#define CMD_N_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

#endif
