/*
 * candidates.h - what a word that is being typed may become: moments, processes
 * under heapspy, names of functions and modules in a snapshot, words of a list.
 *
 * Everything here is silent: what cannot be read offers nothing.
 */
#ifndef HEAPSPY_ANALYZER_CANDIDATES_H
#define HEAPSPY_ANALYZER_CANDIDATES_H

#include <stddef.h>

#include "analyzer/strbuf.h"

struct candidates {
	struct strbuf *out; /* lines of "WORD\tDESCRIPTION" */
	const char *before; /* the fixed beginning of the word, "--by=" or "" */
	const char *typed;  /* the rest of it so far */
	size_t n;           /* candidates so far */
};

/* Offers one word. It counts when it begins with what was typed and fits on a line. */
void candidates_offer(struct candidates *c, const char *word, const char *description);

/* The words of "a|b|c". */
void candidates_add_list(struct candidates *c, const char *list);

/*
 * Run directories, snapshot files, and directories (with a '/' at the end) to look further in;
 * behind RUN@ the moments of the run. A run that is the only answer comes with its moments.
 */
void candidates_add_moments(struct candidates *c);

/* The moments of a run, to stand without its name: "last", "mark:NAME", with an '@' where typed. */
void candidates_add_moments_in(struct candidates *c, const char *run);

/* Process numbers of those that have the library loaded. */
void candidates_add_processes(struct candidates *c);

enum candidates_names { CANDIDATES_FUNCTIONS, CANDIDATES_MODULES };

/* Names in the snapshot that moment means, as expressions that match them; the largest first. */
void candidates_add_names(struct candidates *c, const char *moment, enum candidates_names which);

#endif
