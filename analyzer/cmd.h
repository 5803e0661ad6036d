/*
 * cmd.h - what a subcommand is: one row of the table in commands.c, from which
 * parsing, help, completion and the checks of the manual are made.
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
	/*
	 * "A B": its arguments by kind, which completion reads as well: MOMENT, A, B and RUN,
	 * PID, FILE, COMMAND; a word in small letters stands for itself. "|" separates alternatives.
	 */
	const char *args;
	const char *about; /* some lines for its help */
	const struct options_row *rows;
	size_t n_rows;
	int min_args, max_args;
	bool stops_at_word; /* its options end at the first argument */
	bool hidden;        /* for other programs; in no help */
	int usage_code;     /* exit code of wrong usage; 0: EXIT_CODE_USAGE */
	/*
	 * Adds the output to out, which is printed at the end; a command that runs for long
	 * prints by itself and leaves out empty. Returns the exit code, or -1 with f filled;
	 * what is in out then is not shown.
	 */
	int (*run)(const struct options *o, struct strbuf *out, struct fail *f);
};

/* One line each; the table is in commands.c. */
extern const struct command cmd_diff;
extern const struct command cmd_top;
extern const struct command cmd_trend;
extern const struct command cmd_churn;
extern const struct command cmd_check;
extern const struct command cmd_live;
extern const struct command cmd_dump;
extern const struct command cmd_doctor;
extern const struct command cmd_run;
extern const struct command cmd_snapshot;
extern const struct command cmd_recover;
extern const struct command cmd_completion;
extern const struct command cmd_complete;

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
		{ OPTION_FULL_NAMES, 0, "full-names", NULL, "never shorten or cut a name" },       \
	{                                                                                          \
		OPTION_DEBUGINFOD, 0, "debuginfod", "auto|off",                                    \
			"fetch missing debug files; auto: from the servers\n"                      \
			"in DEBUGINFOD_URLS, if any"                                               \
	}
#define CMD_ROW_CSV                                                                                \
	{                                                                                          \
		OPTION_CSV, 0, "csv", NULL, "comma-separated values: all rows, full names"         \
	}
#define CMD_ROWS_OUTPUT                                                                            \
	{ OPTION_JSON, 0, "json", NULL, "one JSON object: all rows, full names" },                 \
		{ OPTION_COLOR, 0, "color", "auto|always|never", "colours; auto: on a terminal" }, \
		{ OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE" },                         \
		{ OPTION_QUIET, 'q', "quiet", NULL, "no warnings, no hints" },                     \
	{                                                                                          \
		OPTION_PARTIAL, 0, "partial", NULL, "use what is whole of a damaged snapshot"      \
	}

#define CMD_N_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

#endif
