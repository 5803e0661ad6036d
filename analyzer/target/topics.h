/*
 * topics.h - texts of `heapspy help TOPIC` that belong to no command: what an
 * error line has no room for.
 */
#ifndef HEAPSPY_ANALYZER_TOPICS_H
#define HEAPSPY_ANALYZER_TOPICS_H

#include <stddef.h>

struct topic {
	const char *name;
	const char *brief; /* one line */
	const char *text;  /* lines of 80 columns at most, a newline at the end */
};

extern const struct topic topics[];
extern const size_t n_topics;

/* The topic of that name, or NULL. */
const struct topic *topics_find(const char *name);

#endif
