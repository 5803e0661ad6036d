/*
 * alloc.h - memory that is there or ends the program. The analyzer runs at the
 * desk: without memory it says so and exits with EXIT_CODE_OTHER.
 */
#ifndef HEAPSPY_ANALYZER_ALLOC_H
#define HEAPSPY_ANALYZER_ALLOC_H

#include <stddef.h>

/* n items of size bytes each, zeroed; n may be 0. A product that overflows ends the program. */
void *alloc_array(size_t n, size_t size);

/* For what holds a struct state_header: zeroed, at a multiple of ALLOC_ALIGNMENT; for free(). */
void *alloc_aligned(size_t size);

#define ALLOC_ALIGNMENT 64

/* Resizes an array from alloc_array() or NULL to n items; new items are not zeroed. */
void *alloc_resize(void *array, size_t n, size_t size);

/*
 * Makes room for one more item behind n: doubles *capacityp as needed. Use as
 * x->items = alloc_room(x->items, x->n, &x->capacity, sizeof(*x->items)).
 */
void *alloc_room(void *array, size_t n, size_t *capacityp, size_t size);

/* A copy of the first bytes of text, NUL-terminated. */
char *alloc_text(const char *text, size_t bytes);

#endif
