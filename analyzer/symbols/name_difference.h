/*
 * name_difference.h - several functions that are shortened to one text, told apart.
 */
#ifndef HEAPSPY_SYMBOLS_NAME_DIFFERENCE_H
#define HEAPSPY_SYMBOLS_NAME_DIFFERENCE_H

#include <stddef.h>

/* A short name with what tells it from its namesakes at text[from, end); from == end: nothing. */
struct name_difference {
	char *text; /* from malloc(); NULL when out of memory */
	size_t from, end;
};

/*
 * full: n names, all of which name_shorten() makes the same text of. Each gets
 * that text with such template arguments and parameters put back in as tell
 * some of the n apart, and "…" for those between: "V<…,57>::process". n: at least 1.
 */
void name_difference(const char *const *full, size_t n, struct name_difference *names);

#endif
