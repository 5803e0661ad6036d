/*
 * loaded_names.h - asks whether an object that is loaded defines a name. dlsym() answers that too,
 * but its "no" is the text of an error, which lies in the heap of the program we are guests of.
 */
#ifndef HEAPSPY_LOADED_NAMES_H
#define HEAPSPY_LOADED_NAMES_H

#include <stdbool.h>

/*
 * Whether dlsym() may find a name. False only if no object of the program's namespace but our own
 * defines it; versions and scopes are not looked at. Walks the list of objects without the
 * loader's lock, and allocates nothing; so it is always true when the library has been loaded or
 * there are threads, and where glibc is older than 2.35.
 */
bool loaded_names_may_have(const char *name);

/* The library has been loaded: from now on others may load and unload at the same time. */
void loaded_names_end(void);

#endif
