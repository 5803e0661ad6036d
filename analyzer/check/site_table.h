/*
 * site_table.h - the sites of all runs of a comparison, found again from build to build by their
 * names, with what each holds in each run.
 */
#ifndef HEAPSPY_CHECK_SITE_TABLE_H
#define HEAPSPY_CHECK_SITE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/check/runs.h"
#include "analyzer/profile.h"
#include "analyzer/sites.h"
#include "analyzer/source_frames.h"

struct site_entry {
	const char *name;   /* of the function; "file:line" by line, the file by module */
	struct site place;  /* where most of it was in the candidate; owned by the table */
	double *bytes;      /* by run: those of the baseline first */
	double variance;    /* of sampling, mean over the runs */
	double samples;     /* in all runs together */
	uint32_t group;     /* in sites, of the place */
	double place_bytes; /* what made the place the first */
};

struct site_table {
	struct site_entry *entries;
	size_t n_entries, capacity;
	size_t n_base, n_candidate;
	uint64_t interval_bytes; /* the largest of all runs */
	/* Names and places belong to these. */
	struct profile profile;
	struct source_frames frames;
	struct sites sites;
	bool has_sites;
	struct content_index index;
	char **keys; /* by entry: name and module */
	char **names;
	size_t n_names, name_capacity;
};

/*
 * Sums what is live at the moment of each run, or with METRIC_ALLOCATED what was allocated up to
 * it, by function, line or module; options also tell how stacks fold. The sides must outlive t.
 * Returns -1 with f filled. site_table_deinit() is due either way.
 *
 * A function is the same in two builds if its name is, without the marks of compilers' clones,
 * and its module is called the same; the program itself may be called otherwise.
 */
int site_table_init(struct site_table *t, const struct check_side *base,
	const struct check_side *candidate, const struct options *o, struct fail *f);

/* How many sites have at least so many samples in all runs together. */
size_t site_table_count(const struct site_table *t, double samples);

void site_table_deinit(struct site_table *t);

#endif
