/*
 * edit.h - one line of text being typed, with the keys of every such line: arrows,
 * Home, End, Backspace, Delete, Ctrl-A, Ctrl-E, Ctrl-U, Ctrl-W.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_EDIT_H
#define HEAPSPY_ANALYZER_LIVE_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/live/keys.h"

struct edit {
	char text[256]; /* UTF-8, NUL-terminated at bytes */
	size_t bytes;
	size_t cursor; /* byte offset of a character, or the end */
};

/* Starts with text (cut to fit) and the cursor behind it. */
void edit_begin(struct edit *edit, const char *text);

/* Returns whether the key was one for the line. */
bool edit_key(struct edit *edit, const struct key *key);

#endif
