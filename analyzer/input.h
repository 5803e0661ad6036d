/*
 * input.h - the moments a command was given, read, with what a reader of its
 * figures must be told about them.
 */
#ifndef HEAPSPY_ANALYZER_INPUT_H
#define HEAPSPY_ANALYZER_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/moment.h"
#include "analyzer/options.h"
#include "analyzer/read/snapshot_reader.h"
#include "analyzer/sites.h"
#include "analyzer/strbuf.h"

struct input {
	struct moment moment;
	struct snapshot *snapshot;
	bool said_beside; /* what lies beside the snapshot has been warned of for another input */
	bool said_lost;   /* so has what it lost */
};

/*
 * Resolves and reads text; bare_when is what a bare run directory means. need has bit k set for
 * every section kind k without which the command can say nothing (--partial only).
 * input_close() frees.
 */
int input_open(struct input *in, const char *text, const char *bare_when, uint32_t need,
	const struct options *o, struct fail *f);

void input_close(struct input *in);

/* Bits for need. */
#define INPUT_NEEDS_STACKS (1u << HEAPSPY_SECTION_STACKS)
#define INPUT_NEEDS_LIVE   (INPUT_NEEDS_STACKS | 1u << HEAPSPY_SECTION_LIVE)

/*
 * Fails when another malloc stood before heapspy's: no figure then means anything. --force lets it
 * pass.
 */
int input_check_interposed(const struct input *in, const struct options *o, struct fail *f);

/* Prints the warnings that a snapshot calls for: losses, self test, what was passed over. */
void input_warn(const struct input *in, const struct options *o);

/*
 * Warns when many stacks so far ended before their outermost frame. Of several moments of one
 * process the last says it for all.
 */
void input_warn_broken_stacks(const struct input *in, const struct options *o);

/*
 * Warns of what the process could not have as it was asked for: reasons.h. Of several moments of
 * one process the last says it for all.
 */
void input_warn_reasons(const struct input *in, const struct options *o);

/*
 * Warns of modules without symbols, or with debug info out of reach, that a shown row is named by.
 * shown has one entry for each site.
 */
void input_warn_symbols(const struct sites *sites, const bool *shown, const struct options *o);

/* Whether both are of one start of one process. */
bool input_is_same_process(const struct snapshot *a, const struct snapshot *b);

/* Command name of the process; "?" where unknown. */
const char *input_comm(const struct snapshot *s);

/* File name of the object whose malloc heapspy hands on to; "" where unknown. */
const char *input_allocator(const struct snapshot *s);

/* "mean interval 512 KiB" or "every allocation (exact)". */
void input_add_interval(struct strbuf *out, uint64_t interval_bytes);

/*
 * The same with what has become of it: "mean interval 4 KiB -> 64 KiB at 0:00:01.0". Of more than
 * three rises the first and the last are told.
 */
void input_add_intervals(struct strbuf *out, const struct snapshot *s);

/* Whether samples were lost, so that figures are lower bounds; *n_lostp is how many. */
bool input_is_lower_bound(const struct snapshot *s, uint64_t *n_lostp);

#endif
