/*
 * loader_search.h - which file the dynamic loader takes for a library, found
 * without running anything: ld.so(8), and ld.so.cache as ldconfig(8) writes it.
 *
 * Left out: the glibc-hwcaps directories below those of a search path, which hold
 * the same libraries built for newer processors, and DF_1_NODEFLIB.
 */
#ifndef HEAPSPY_ANALYZER_LOADER_SEARCH_H
#define HEAPSPY_ANALYZER_LOADER_SEARCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "analyzer/strbuf.h"

struct loader_search {
	const char *library_path; /* LD_LIBRARY_PATH; NULL: unset. Borrowed, as the next two are */
	const char *cache_file;
	const char *const *dirs; /* looked into last; NULL at the end */
	struct strbuf cache;     /* read at the first need */
	bool cache_is_read;
	/* Of the last search: the first file that has the name and is no library for this machine,
	 * or is closed to this user; "" without. */
	char passed_over[PATH_MAX];
};

/* An object that asks for others. Strings are borrowed. */
struct loader_asker {
	const char *rpath, *runpath; /* "" without */
	bool has_runpath;
	const char *origin;                /* the directory that it lies in */
	const struct loader_asker *parent; /* who asked for it; NULL: it is the program */
};

/* The cache and the directories of this machine. loader_search_deinit() is due. */
void loader_search_init(struct loader_search *s, const char *library_path);
void loader_search_deinit(struct loader_search *s);

/*
 * Opens the library that asker (NULL: LD_PRELOAD, or nobody in particular) gets under a name:
 * with a slash that file, else the first of that name, built for this machine, in DT_RPATH,
 * LD_LIBRARY_PATH, DT_RUNPATH, the cache and the usual directories. Returns its descriptor,
 * the caller's to close, with path filled (it may be relative); or -1.
 */
int loader_search_open(struct loader_search *s, const char *name, const struct loader_asker *asker,
	char path[PATH_MAX]);

#endif
