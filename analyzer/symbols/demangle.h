/*
 * demangle.h - linker names to source names, C++, Rust and D.
 */
#ifndef HEAPSPY_SYMBOLS_DEMANGLE_H
#define HEAPSPY_SYMBOLS_DEMANGLE_H

#include <stdbool.h>

struct intern;

/* Whether name is in a mangling scheme that demangle_name() knows (_Z..., _R..., _D0...). */
bool demangle_is_mangled(const char *name);

/*
 * The full name behind a linker name: parameters are kept, a return type is
 * not, nor the hashes that Rust puts behind crates and functions. What cannot
 * be demangled, or would grow out of all proportion, comes back as it is. Each
 * distinct name is worked on once per pool. The result belongs to pool; NULL
 * when out of memory.
 */
const char *demangle_name(struct intern *pool, const char *name);

#endif
