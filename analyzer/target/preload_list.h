/*
 * preload_list.h - the LD_PRELOAD with which `heapspy run` starts a command, and
 * what it knows of the allocator behind heapspy's malloc there:
 *
 *   libheapspy.so [libheapspy-jemalloc.so] [--allocator's copy] [what was there before]
 *
 * The second is there only where some library of the program brings jemalloc's
 * extended API (mallocx and its kin): programs take its mere presence as a sign
 * that their allocator is jemalloc.
 */
#ifndef HEAPSPY_ANALYZER_PRELOAD_LIST_H
#define HEAPSPY_ANALYZER_PRELOAD_LIST_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/strbuf.h"
#include "analyzer/target/allocators.h"
#include "analyzer/target/loader_search.h"
#include "analyzer/target/program.h"

struct preload_list {
	struct strbuf text; /* the value of LD_PRELOAD */
	char library[PATH_MAX];
	const struct allocator *wanted; /* NULL: the program's own */
	char allocator[PATH_MAX];       /* wanted's copy; "" without */
	uint32_t allocator_exports;
	const char *others; /* borrowed; "" without */
	struct loader_search search;
	/* Of the program, by preload_list_fit(). */
	char behind[PATH_MAX];    /* the object whose malloc heapspy's hands on to; "": unknown */
	const char *behind_name;  /* "jemalloc"; NULL: unknown */
	char instead_of[256];     /* the linked allocator that stands behind that one; "" without */
	bool has_extended;        /* some library brings mallocx */
	bool uses_extended;       /* some object refers to it or its kin */
	char extension[PATH_MAX]; /* libheapspy-jemalloc.so; "" without */
};

/*
 * Begins the list: env's preload and library_path, and the allocator of that name (NULL:
 * none). Returns -1 with f filled when heapspy's library or the allocator's copy cannot be
 * found. preload_list_deinit() is due either way.
 */
int preload_list_init(struct preload_list *list, const char *allocator,
	const struct program_environment *env, struct fail *f);

/*
 * Fits the list to the program at path. Returns -1 with f filled when an object of it takes
 * blocks from the functions of an allocator that would stand behind list->wanted's: the two
 * would free each other's.
 */
int preload_list_fit(struct preload_list *list, const char *path,
	const struct program_environment *env, struct fail *f);

/* Adds one line, "jemalloc (FILE); ...": the allocator, and whether its extended API is seen. */
void preload_list_describe(const struct preload_list *list, struct strbuf *out);

void preload_list_deinit(struct preload_list *list);

#endif
