/*
 * die_name.h - the full source name of a function DIE.
 */
#ifndef HEAPSPY_SYMBOLS_DIE_NAME_H
#define HEAPSPY_SYMBOLS_DIE_NAME_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

struct intern;

enum { DIE_NAME_CACHE_SIZE = 1024 };

/* Lives as long as one open Dwarf. All zero but for pool and steps_left. */
struct die_name_context {
	struct intern *pool; /* owns the names */
	uint64_t steps_left; /* DIEs that may still be looked at; at 0 names go unqualified */
	struct die_name_known {
		const void *die; /* NULL: free; a later DIE with the same slot takes it over */
		const char *name;
		bool makeshift;
	} known[DIE_NAME_CACHE_SIZE];
};

/*
 * The name of a DW_TAG_subprogram or DW_TAG_inlined_subroutine, demangled or
 * qualified by namespaces, classes and functions around it; follows abstract
 * origins and specifications into other units. Where debug info tells no scopes
 * (level 1), those of operator() are its place, "{file.cc:12:7}::operator()".
 * *makeshiftp: it is a member of something without a name, mostly a lambda, or
 * of nobody knows what, and a symbol would tell it from its neighbours. Belongs to the pool. NULL:
 * it has none.
 */
const char *die_name(struct die_name_context *context, Dwarf_Die *die, bool *makeshiftp);

#endif
