/*
 * pattern.h - regular expressions of others, compiled only where that is cheap.
 */
#ifndef HEAPSPY_CHECK_PATTERN_H
#define HEAPSPY_CHECK_PATTERN_H

#include <regex.h>

/*
 * Compiles a POSIX extended regular expression, to be freed by regfree(). Returns NULL, or what is
 * wrong, to be freed: what is none, and what would cost much to compile or to match.
 */
char *pattern_compile(regex_t *regex, const char *pattern);

#endif
