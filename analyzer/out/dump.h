/*
 * dump.h - everything a snapshot holds, unestimated, for bug reports and for whoever
 * writes another reader.
 */
#ifndef HEAPSPY_ANALYZER_OUT_DUMP_H
#define HEAPSPY_ANALYZER_OUT_DUMP_H

#include <stdbool.h>

#include "analyzer/input.h"

struct dump_view {
	const struct input *input;
	bool live;   /* each live sample */
	bool stacks; /* each stack with its raw frames and counters */
};

void dump_text(const struct dump_view *v, struct strbuf *out);

/* Schema heapspy.dump/1. */
void dump_json(const struct dump_view *v, struct strbuf *out);

/* Word for a loss, "loss_13" for one of a later writer. buffer holds at least 16 bytes. */
const char *dump_loss_name(unsigned loss, char buffer[16]);

/* Word for enum heapspy_limit; "unknown" beyond it. */
const char *dump_limit_name(uint32_t kind);

/* Names of the bits of enum HEAPSPY_INFO_*, separated by spaces, "" for none. */
void dump_add_info_flags(struct strbuf *out, uint32_t flags);

/* The same of HEAPSPY_STACK_*. */
void dump_add_stack_flags(struct strbuf *out, uint32_t flags);

#endif
