/* library.h - where the libheapspy.so lies that belongs to this command. */
#ifndef HEAPSPY_ANALYZER_LIBRARY_H
#define HEAPSPY_ANALYZER_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/fail.h"

/*
 * Fills out with the absolute path of the library: beside the command in a build
 * tree, else where it was installed, also when the whole prefix was moved.
 * Returns -1 with f filled (EXIT_CODE_OTHER) when it is in none of these places, or where
 * LD_PRELOAD cannot name it.
 */
int library_find(char *out, size_t bytes, struct fail *f);

/*
 * Fills out with the path of the object beside library that covers jemalloc's extended
 * API (mallocx and its kin). Returns false where there is none.
 */
bool library_find_extension(const char *library, char *out, size_t bytes);

/* The file name of that object. */
#define LIBRARY_EXTENSION "libheapspy-jemalloc.so"

#endif
