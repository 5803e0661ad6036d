/*
 * name.h - full function names made short enough to read.
 */
#ifndef HEAPSPY_SYMBOLS_NAME_H
#define HEAPSPY_SYMBOLS_NAME_H

#include <stddef.h>

/*
 * The name for a table: return type, parameter list, qualifiers, ABI tags,
 * clone suffixes (.constprop.0, .isra.0, .part.0, .cold and the like) and the
 * inline namespaces std::__cxx11 and std::__1 are dropped; template arguments
 * become <>. Scopes stay. "std::vector<int, std::allocator<int> >::push_back(
 * int const&)" becomes "std::vector<>::push_back". What makes no sense as a
 * C++, Rust or D name stays as it is, as does what a run time has made up,
 * "LazyCompile:*grow server.js:12:3".
 *
 * full: any string. Returns a string from malloc(), never longer than full;
 * NULL when out of memory.
 */
char *name_shorten(const char *full);

/* Something name_shorten() has left out: "<int>", which "<>" stands for, or "(int)". */
struct name_part {
	size_t at;        /* where it belongs in the short name */
	const char *from; /* in the full name */
	size_t length;    /* brackets included */
};

enum { NAME_PARTS_MAX = 32 };

/* As name_shorten(), and *n_partsp of what it has left out, in order; more are not told. */
char *name_shorten_parts(
	const char *full, struct name_part parts[NAME_PARTS_MAX], size_t *n_partsp);

/*
 * As name_shorten(), without a trace of template arguments, and with the type
 * in place of Rust's "<Type as Trait>": what tells one function from another
 * across instances, to match patterns against.
 */
char *name_identity(const char *full);

/*
 * The length of name[0, length) without the marks that compilers put on parts
 * and copies of a function: ".part.0", ".constprop.3.isra.1", ".cold".
 */
size_t name_without_clone(const char *name, size_t length);

#endif
