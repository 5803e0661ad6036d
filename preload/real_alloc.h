/*
 * real_alloc.h - the allocation functions behind ours in link order, and the
 * little arena that serves while they are being looked up.
 *
 * Each pointer starts at a stub that resolves everything and then forwards, so
 * the hooks jump through it without asking. free, realloc and the sized frees
 * take blocks of the arena too, and never pass them on. Written before the process has a
 * second thread that could see it half done (the stubs' first call is ld.so's
 * or a constructor's); constant afterwards.
 */
#ifndef HEAPSPY_REAL_ALLOC_H
#define HEAPSPY_REAL_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

struct real_alloc {
	void *(*malloc)(size_t);
	void (*free)(void *);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	size_t (*malloc_usable_size)(void *);
	void (*free_sized)(void *, size_t);
	void (*free_aligned_sized)(void *, size_t, size_t);
};

extern struct real_alloc real_alloc __attribute__((visibility("hidden")));

/* Looks everything up, once. Idempotent; called by the stubs and the constructor. */
void real_alloc_resolve(void);

/* The object whose malloc we forward to; "" before real_alloc_resolve(). */
const char *real_alloc_next_object(void);

/* Whether a function is in the object of the next malloc. After real_alloc_resolve(). */
bool real_alloc_is_allocators(const void *function);

/* File of the object that a function is in; "" the program's. Takes the loader's lock. */
const char *real_alloc_path_of(const void *function);

/*
 * Whether calls of name (malloc, _Znwm, ...) by ordinary code reach our function. If
 * not, *objectp names the object in front: an allocator inside the program, or
 * one listed before us. Allocates: never in a hook.
 */
bool real_alloc_reaches_us(const char *name, const char **objectp);

/* Whether a block came from the arena of the first moments: never pass it on. */
bool real_alloc_is_boot_block(const void *block);

/* Bytes of a block of the arena. */
size_t real_alloc_boot_size(const void *block);

/* Next definition of name after ours in link order, or NULL. Allocates: never in a hook. */
void *real_alloc_next(const char *name);

/* Whether ordinary code finds a symbol of this name. Allocates: never in a hook. */
bool real_alloc_is_defined(const char *name);

/*
 * As real_alloc_next(); failing that, the definition in one of the libraries named (sonames
 * up to NULL) that a plugin has loaded for itself, out of the link order.
 */
void *real_alloc_next_or_in(const char *name, const char *const *sonames);

#endif
