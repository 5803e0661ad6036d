/*
 * intern.h - strings kept once, and memory that lives as long as they do.
 *
 * Not thread-safe. Out of memory is sticky: the call returns NULL, and
 * intern_failed() stays true, so that a long walk can ignore single failures
 * and its caller can refuse the whole result.
 */
#ifndef HEAPSPY_SYMBOLS_INTERN_H
#define HEAPSPY_SYMBOLS_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern;

/* One distinct string. demangled belongs to demangle.c, number to names_cache.c: unset at first. */
struct interned {
	const char *text;
	const char *demangled;
	uint32_t number;
};

/* Returns NULL when out of memory. */
struct intern *intern_new(void);

/* Frees every string and block handed out. NULL is fine. */
void intern_free(struct intern *pool);

/*
 * The entry of text, made on first sight; text is copied. Lives until
 * intern_free(). NULL when out of memory.
 */
struct interned *intern_entry(struct intern *pool, const char *text);

/* As intern_entry(), just the string. Equal strings give equal pointers. */
const char *intern_string(struct intern *pool, const char *text);

/* size_bytes > 0 of zeroed memory, aligned for any pointer; NULL when out of memory. */
void *intern_alloc(struct intern *pool, size_t size_bytes);

/* Whether any call on pool has run out of memory. */
bool intern_failed(const struct intern *pool);

#endif
