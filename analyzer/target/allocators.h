/*
 * allocators.h - the allocators that heapspy knows by name: those that `heapspy run
 * --allocator` can put behind its library, and what an object's malloc is called.
 */
#ifndef HEAPSPY_ANALYZER_ALLOCATORS_H
#define HEAPSPY_ANALYZER_ALLOCATORS_H

#include <limits.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/target/loader_search.h"

/* The names, for the table of options. */
#define ALLOCATORS_VALUES "jemalloc|tcmalloc|tcmalloc_minimal|mimalloc"

struct allocator {
	const char *name;    /* one of ALLOCATORS_VALUES */
	const char *file;    /* what the loader knows it by */
	const char *package; /* of Debian 12 */
};

/* The allocator of number i, from 0; NULL past the last. */
const struct allocator *allocators_at(unsigned i);

/* The allocator of that name, or NULL. */
const struct allocator *allocators_find(const char *name);

/*
 * Finds this machine's copy as the loader would. Fills path, absolute, and *exportedp with the
 * bits of enum program_symbol that it defines. Returns -1 with f filled when it is not
 * installed, or cannot be preloaded: its file is no library of this machine, defines no
 * malloc, or its path has a character that LD_PRELOAD splits at.
 */
int allocators_locate(const struct allocator *allocator, struct loader_search *search,
	char path[PATH_MAX], uint32_t *exportedp, struct fail *f);

/*
 * What the malloc of an object is called, by the symbols it exports, failing that by its
 * file name: "jemalloc", "glibc"; NULL: unknown. "tcmalloc" is said of tcmalloc_minimal too.
 */
const char *allocators_name_of(const char *path, uint32_t exported);

#endif
