/*
 * sites.h - stacks grouped to rows: by function, line, site (the whole stack) or
 * module, and left out where a pattern says so.
 *
 * A row is named by the innermost frame outside allocators and containers; where
 * every frame of a stack is one of these, by the outermost. Grouping happens
 * before any statistics (compare.h, ranking.h take the groups).
 */
#ifndef HEAPSPY_ANALYZER_SITES_H
#define HEAPSPY_ANALYZER_SITES_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/source_frames.h"

/* As COMPARE_NO_GROUP: the stack is in no row. */
#define SITES_NO_GROUP UINT32_MAX

enum sites_by { SITES_BY_FUNCTION, SITES_BY_LINE, SITES_BY_SITE, SITES_BY_MODULE };

/* POSIX extended regular expressions; NULL: no restriction. */
struct sites_filter {
	const char *focus;  /* keep stacks with a function or file that matches */
	const char *ignore; /* drop stacks with one */
	const char *module; /* keep rows in a module whose path matches */
};

struct site {
	const char *function;     /* full name; "" by module */
	const char *file;         /* NULL unknown */
	uint32_t line;            /* 0 unknown */
	const char *module;       /* path, "" unknown */
	const char *inlined_into; /* full name of the function the code is in; NULL: not inlined */
	/*
	 * Of a row without a line: the nearest frame outward with one, where most stacks share
	 * its function, else NULL; and how many such functions there are.
	 */
	const struct symbol_frame *from;
	size_t n_callers;
	uint32_t module_index; /* of the profile, or PROFILE_NO_MODULE */
	/*
	 * Of rows that look alike: the short name with what tells this one from the others, at
	 * distinct[distinct_from, distinct_end). NULL: its function says it.
	 */
	char *distinct;
	size_t distinct_from, distinct_end;
	uint32_t stack; /* whose place file, line and inlined_into are */
	double stack_weight;
};

struct sites {
	const struct source_frames *frames;
	struct site *sites;
	size_t n_sites;
	uint32_t *group_of; /* by stack: index into sites, or SITES_NO_GROUP */
	/* The stacks of site i are members[first_member[i]] .. members[first_member[i + 1] - 1]. */
	uint32_t *members;
	size_t *first_member;
	size_t n_stacks;
	size_t n_all; /* groups before any filter */
};

/*
 * Groups the stacks of sf's profile with a weight above 0. weights (by stack)
 * also choose, for a row of several places, which one is shown: the heaviest.
 * Returns -1 with f filled for a bad expression or when no stack is left.
 */
int sites_init(struct sites *sites, const struct source_frames *sf, enum sites_by by,
	const struct sites_filter *filter, const double *weights, struct fail *f);

void sites_deinit(struct sites *sites);

/* What a wanted stack would be as a row of its own, but for callers and distinct names. */
struct site sites_describe(const struct source_frames *sf, uint32_t stack_index);

/* Reads the argument of --by. Returns false for a word that is none. */
bool sites_parse_by(const char *text, enum sites_by *byp);

#endif
