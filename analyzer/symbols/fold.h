/*
 * fold.h - which frames fold into their caller: allocators, their wrappers,
 * and the insides of library containers.
 *
 * A function is hidden by what it is called as a whole. malloc and
 * std::vector<T>::push_back are hidden; parse_malloc_options, Pool::malloc
 * and MyVector::push_back are somebody's code and are not.
 */
#ifndef HEAPSPY_SYMBOLS_FOLD_H
#define HEAPSPY_SYMBOLS_FOLD_H

#include <stdbool.h>
#include <stddef.h>

struct fold;

/*
 * hide: NULL for the built-in list; "none" to hide nothing; else a POSIX
 * extended regular expression that is searched for in full names, in addition
 * to the list. Returns NULL with one line in error (at least 1 byte) when the
 * expression is bad or there is no memory.
 */
struct fold *fold_new(const char *hide, char *error, size_t error_bytes);

/* NULL is fine. */
void fold_free(struct fold *fold);

/*
 * Whether a frame folds into its caller. function: the full demangled name;
 * module: path of its module, or NULL. When all frames of a stack are hidden
 * the caller decides which to show. Not cheap: ask once per distinct name.
 */
bool fold_hides(const struct fold *fold, const char *function, const char *module);

/*
 * What a frame is shown by although fold_hides() it: the lambda or class of the
 * program's that this function of the standard library calls (callback.h), where
 * that may be inlined into it unseen. Returns a string from malloc(); NULL: it
 * folds all the same, or it was not hidden by the built-in list alone.
 */
char *fold_callback(const struct fold *fold, const char *function);

#endif
