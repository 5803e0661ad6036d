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
	OPTION_CSV,
	OPTION_COLOR,
	OPTION_OUTPUT,
	OPTION_QUIET,
	OPTION_FORCE,
	OPTION_PARTIAL,
	OPTION_LIVE,
	OPTION_ALL_STACKS,
	OPTION_EVERY,
	OPTION_COUNT,
	OPTION_DEBUGINFOD,
	OPTION_VERBOSE,
	OPTION_ASCII,
	OPTION_LABEL,
	OPTION_FILE, /* a file that the command makes by itself */
	OPTION_ALLOCATOR,
	OPTION_ALL,   /* what is folded into a line otherwise */
	OPTION_SINCE, /* part of a run */
	OPTION_UNTIL,
	OPTION_LIMIT,
	OPTION_WATCH,
	OPTION_BASELINE,
	OPTION_CANDIDATE,
	OPTION_BUDGET,
	OPTION_NO_LEAKS,
	OPTION_MAX_TOTAL,
	OPTION_MAX_PEAK,
	OPTION_MAX_GROWTH,
	OPTION_PROGRAM,
	OPTION_AT,
	OPTION_CONFIRM,
	OPTION_JUNIT,
	OPTION_GITHUB,
	OPTION_STATE_DIR,
	OPTION_DIR,
	OPTION_DRY_RUN,
	OPTION_KEEP_STATES,
	OPTION_REMOVE_DAMAGED,
	OPTION_SETTING, /* one of heapspy's variables, named by the row */
};

enum options_metric { METRIC_LIVE, METRIC_ALLOCATED, METRIC_OBJECTS };

struct options_row;

/* One variable of the library, as the command line sets it. */
struct options_setting {
	const char *variable; /* "HEAPSPY_SAMPLE" */
	const char *value;    /* not judged; "1" of an option without a value */
	const struct options_row *row;
};

struct options {
	bool help;
	uint64_t n_rows; /* 0: all */
	bool has_rows;   /* -n was given */
	enum sites_by by;
	bool by_thread;
	enum options_metric metric;
	bool has_metric; /* --metric was given */
	struct sites_filter filter;
	uint64_t min_bytes;
	const char *hide; /* NULL: the built-in list */
	uint64_t n_stacks;
	bool has_stacks; /* --stacks was given */
	const char *third;
	bool exit_code;
	bool full_names, json, csv, quiet, force, partial;
	const char *color;  /* auto, always, never */
	const char *output; /* NULL: standard output */
	bool dump_live, dump_stacks;
	uint64_t every_ns; /* 0: not given */
	uint64_t count;    /* 0: not given */
	bool no_debuginfod;
	bool verbose;
	bool ascii;
	const char *label, *file; /* NULL: not given */
	const char *allocator;    /* NULL: not given */
	bool all, watch;
	const char *since, *until; /* WHEN in a run; NULL: not given */
	uint64_t limit_bytes;      /* 0: not given */
	/* Of check; NULL: not given. */
	const char *baseline, *candidate, *budget, *max_total, *max_peak, *max_growth;
	const char *program, *at, *confirm, *junit;
	bool no_leaks, github;
	/* Of recover; NULL: not given. */
	const char *state_dir, *dir;
	bool dry_run, keep_states, remove_damaged;
	struct options_setting
		*settings; /* in the order given; of a repeated one the last counts */
	size_t n_settings;
	char **args; /* what is no option */
	int n_args;
};

struct options_row {
	enum options_id id;
	char letter;      /* 0: none */
	const char *name; /* NULL: none */
	const char *arg;  /* placeholder; NULL: takes none */
	const char *help; /* may have several lines */
	/* The closed list "a|b" of the values where arg does not spell it; NULL: none. */
	const char *values;
	const char *setting; /* OPTION_SETTING: the variable; NULL otherwise */
};

struct strbuf;

/*
 * Parses argv[1..] by rows (n_rows of them). Options and other arguments may be mixed, unless
 * stops_at_word: then the first word that is none ends the options. "--" ends them in any case.
 * Strings point into argv and the rows. Returns -1 with f filled (EXIT_CODE_USAGE) at the first
 * mistake; options_deinit() is due either way.
 */
int options_parse(struct options *o, const struct options_row *rows, size_t n_rows,
	bool stops_at_word, int argc, char **argv, struct fail *f);
void options_deinit(struct options *o);

/* The closed list "a|b" of a row's values, NULL when any value may be right. */
const char *options_values(const struct options_row *row);

/* Adds the help of the rows, 80 columns at most. */
void options_add_help(struct strbuf *out, const struct options_row *rows, size_t n_rows);

#endif
