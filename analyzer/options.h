/*
 * options.h - the options of the subcommands: one table a command, from which
 * both parsing and --help are made.
 */
#ifndef HEAPSPY_ANALYZER_OPTIONS_H
#define HEAPSPY_ANALYZER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/sites.h"

enum options_id {
	OPTION_HELP,
	OPTION_ROWS,
	OPTION_BY,
	OPTION_METRIC,
	OPTION_FOCUS,
	OPTION_IGNORE,
	OPTION_MODULE,
	OPTION_MIN,
	OPTION_HIDE,
	OPTION_STACKS,
	OPTION_THIRD,
	OPTION_EXIT_CODE,
	OPTION_FULL_NAMES,
	OPTION_JSON,
	OPTION_COLOR,
	OPTION_OUTPUT,
	OPTION_QUIET,
	OPTION_FORCE,
	OPTION_PARTIAL,
	OPTION_LIVE,
	OPTION_ALL_STACKS,
};

enum options_metric { METRIC_LIVE, METRIC_ALLOCATED, METRIC_OBJECTS };

struct options {
	bool help;
	uint64_t n_rows; /* 0: all */
	enum sites_by by;
	bool by_thread;
	enum options_metric metric;
	struct sites_filter filter;
	uint64_t min_bytes;
	const char *hide; /* NULL: the built-in list */
	uint64_t n_stacks;
	bool has_stacks; /* --stacks was given */
	const char *third;
	bool exit_code;
	bool full_names, json, quiet, force, partial;
	const char *color;  /* auto, always, never */
	const char *output; /* NULL: standard output */
	bool dump_live, dump_stacks;
	char **args; /* what is no option */
	int n_args;
};

struct options_row {
	enum options_id id;
	char letter;      /* 0: none */
	const char *name; /* NULL: none */
	const char *arg;  /* placeholder; NULL: takes none */
	const char *help; /* may have several lines */
};

struct strbuf;

/*
 * Parses argv[1..] by rows (n_rows of them). Options and other arguments may be mixed; "--" ends
 * options. Strings point into argv. Returns -1 with f filled (EXIT_CODE_USAGE) at the first
 * mistake.
 */
int options_parse(struct options *o, const struct options_row *rows, size_t n_rows, int argc,
	char **argv, struct fail *f);

/* Adds the help of the rows, 80 columns at most. */
void options_add_help(struct strbuf *out, const struct options_row *rows, size_t n_rows);

#endif
