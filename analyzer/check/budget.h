/*
 * budget.h - what a program may use: the limits of `heapspy check`, from a file and from the
 * command line.
 *
 * A budget file is UTF-8 text. Each line holds one word and what belongs to it, separated by
 * blanks; '#' at the beginning of a word starts a comment; an argument with blanks stands in
 * double quotes, in which \" is a quote and \\ a backslash.
 *
 *	total LIMIT...		bytes allocated by a run
 *	peak LIMIT...		most live bytes of a run
 *	site NAME LIMIT...	live bytes of one site, or of all whose names are like NAME
 *	growth SIZE/TIME	of the live heap of a long run, TIME one of s, min, h, d
 *	no-leaks		no site of a long run is leak-like
 *	ignore RE		no site whose function, file or module is like RE is checked
 *
 * LIMIT is SIZE, or +N% of the baseline; one of each may be given. For total and peak a SIZE is
 * the most there may be, for a site it is growth that passes in any case. NAME is the name of a
 * function as tables show it or in full, or else a POSIX extended regular expression for all of
 * either.
 */
#ifndef HEAPSPY_CHECK_BUDGET_H
#define HEAPSPY_CHECK_BUDGET_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"

#define BUDGET_ERRORS_MAX 10
#define BUDGET_BYTES_MAX  (1u << 20)

struct budget_limit {
	bool has_relative, has_bytes;
	double relative; /* .05 is +5 % */
	uint64_t bytes;
	unsigned line; /* of the file, from 1; 0: not from there */
};

struct budget_site {
	char *name;
	bool has_regex; /* name also makes sense as an expression */
	regex_t regex;
	struct budget_limit limit;
};

struct budget_pattern {
	char *text;
	regex_t regex;
	unsigned line;
};

struct budget {
	struct budget_limit total, peak;
	bool has_growth, no_leaks;
	double growth; /* bytes per second */
	unsigned growth_line, no_leaks_line;
	struct budget_site *sites;
	size_t n_sites, site_capacity;
	struct budget_pattern *ignores;
	size_t n_ignores, ignore_capacity;
};

struct budget_error {
	unsigned line, column; /* from 1; columns are characters */
	char text[256];        /* what, why and what to do, in one line */
};

struct budget_errors {
	struct budget_error first[BUDGET_ERRORS_MAX]; /* in order of the file */
	size_t n;                                     /* in all; 0: it is sound */
};

/*
 * Parses bytes bytes of text into *b, which is filled as far as it is sound: any bytes do.
 * budget_deinit() frees it, also after errors.
 */
void budget_parse(struct budget *b, const char *text, size_t bytes, struct budget_errors *errors);

/* The same for the file at path. Returns -1 with f filled when it cannot be read. */
int budget_read(struct budget *b, const char *path, struct budget_errors *errors, struct fail *f);

void budget_deinit(struct budget *b);

/* Reads "2GiB" or "+5%" and adds it to limit. Returns false for anything else. */
bool budget_parse_limit(const char *text, struct budget_limit *limit);

/* Reads "5%" as .05. Returns false for anything else. */
bool budget_parse_percent(const char *text, double *relativep);

/* Reads "5MiB/h". Returns false for anything else, and for no growth at all per no time. */
bool budget_parse_growth(const char *text, double *bytes_per_second);

/*
 * Adds a pattern from the command line. Returns NULL, or what is wrong with it, to be freed.
 */
char *budget_add_ignore(struct budget *b, const char *text, unsigned line);

/*
 * The limit of the site that is called full and shown by tables as shown (either may be NULL): a
 * line with the very name goes before expressions, a longer expression before a shorter one.
 * NULL: the file does not tell of it.
 */
const struct budget_site *budget_find_site(
	const struct budget *b, const char *full, const char *shown);

/* Whether a line is about the site, by its very name or as an expression. */
bool budget_matches_site(const struct budget_site *line, const char *full, const char *shown);

/* Whether a pattern of an ignore line is like one of the texts, which may be NULL. */
bool budget_ignores(
	const struct budget *b, const char *function, const char *file, const char *module);

#endif
