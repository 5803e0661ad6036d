/*
 * callback.h - what the standard library was given to call, by the name of the
 * library function that calls it.
 */
#ifndef HEAPSPY_SYMBOLS_CALLBACK_H
#define HEAPSPY_SYMBOLS_CALLBACK_H

struct callbacks;

/* NULL when out of memory. */
struct callbacks *callbacks_new(void);

/* NULL is fine. */
void callbacks_free(struct callbacks *callbacks);

/*
 * The lambda or class of the program's that function calls, if it is one of the
 * standard library's that do nothing but call and says whom among its template
 * arguments: "main::{lambda()#1}" of "std::_Function_handler<void (),
 * main::{lambda()#1}>::_M_invoke(std::_Any_data const&)". A pointer to a
 * function says nothing, and what builds or copies such an object calls nobody.
 *
 * function: the full demangled name. Returns a string from malloc(), or NULL
 * where there is nothing to tell, or no memory.
 */
char *callbacks_name(const struct callbacks *callbacks, const char *function);

#endif
