/*
 * input_pair.h - the two moments A and B of a command that looks at what lies between them.
 */
#ifndef HEAPSPY_ANALYZER_INPUT_PAIR_H
#define HEAPSPY_ANALYZER_INPUT_PAIR_H

#include "analyzer/input.h"

struct input_pair {
	char *a_text, *b_text; /* what was typed, or means the same */
	struct input a, b;
};

/*
 * Reads the moments of `command A B`, or of `command RUN` with --since and --until: its first and
 * its last one unless they say otherwise. need: see input_open(). Returns -1 with f filled;
 * input_pair_close() is due either way.
 */
int input_pair_open(struct input_pair *pair, const struct options *o, const char *command,
	uint32_t need, struct fail *f);

/* Where A is later than B, exchanges them, and says so: "they are ... the other way round". */
void input_pair_order(struct input_pair *pair, const struct options *o, const char *verb);

/* The words after the command that mean the same pair once more, for a shell. */
void input_pair_add_arguments(
	struct strbuf *out, const struct input_pair *pair, const struct options *o);

void input_pair_close(struct input_pair *pair);

#endif
