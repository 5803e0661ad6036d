/*
 * symbols_backend.h - between the store (symbols.c) and what reads modules:
 * symbols_elfutils.c, or symbols_none.c in a build without libdw.
 */
#ifndef HEAPSPY_SYMBOLS_SYMBOLS_BACKEND_H
#define HEAPSPY_SYMBOLS_SYMBOLS_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/symbols/symbols.h"

struct intern;
struct places;

/*
 * Deeper inlining than this is a damaged file; gcc's own limits keep it near
 * 100 in the most template-ridden code.
 */
enum { SYMBOLS_LEVELS_MAX = 256 };

/* A function on an address, and where it was inlined into the one before it. */
struct symbols_level {
	const char *function;  /* NULL: its debug info is elsewhere and not to be had */
	const char *call_file; /* unused in the outermost level; may be NULL */
	uint32_t call_line;
};

/*
 * One address of a module. The backend fills all but vaddr. levels is from
 * malloc and belongs to the store afterwards. Without levels there is no name,
 * though file and line may still be known.
 */
struct symbols_address {
	uint64_t vaddr;
	struct symbols_level *levels; /* outermost first */
	unsigned n_levels;
	bool makeshift;   /* levels[0] would be better named by a symbol */
	bool bare;        /* levels[0], the only one, is a symbol; nothing else is known */
	bool answered;    /* the backend's own: names are as good as can be had */
	const char *file; /* of the innermost level; NULL: unknown */
	uint32_t line;
};

struct symbols_job {
	struct intern *pool; /* owns every string of the result */
	struct places *places;
	const char *cache_path;   /* NULL: nothing is remembered */
	uint64_t cache_max_bytes; /* for all files there */
	struct symbol_module_ref module;
	struct symbols_address *addresses; /* ascending by vaddr, distinct */
	size_t n_addresses;
	void (*progress)(struct symbols_job *job, size_t n_done); /* may be called at any time */
	void *progress_data;
	enum symbols_source source; /* out */
	bool unverified;            /* out */
	const char *debug_link;     /* out; as in struct symbols_report */
};

/* Whether a symbol table could still do something for address. */
static inline bool symbols_address_needs_symbol(const struct symbols_address *address)
{
	return address->n_levels == 0 || address->makeshift;
}

/* Names what it can. Out of memory shows in job->pool. */
void symbols_backend_run(struct symbols_job *job);

/*
 * Appends a level to address. False, and nothing changed, when out of memory
 * or when there are too many levels already.
 */
bool symbols_address_push(struct symbols_address *address, const struct symbols_level *level);

#endif
