/*
 * unwind_lazy.c - a function that ld.so binds at its first call, and asks a
 * resolver where it is: the leaf then runs inside of ld.so's binding code.
 */
#include <stddef.h>
#include "unwind_shapes.h"

typedef int lazy_function(void);

leaf_function *lazy_leaf;
void *lazy_argument;

lazy_function lazy_target;

static int target(void)
{
	return 42;
}

/* clang does not see that the attribute below uses it. */
static __attribute__((used)) lazy_function *resolve(void)
{
	if (lazy_leaf)
		lazy_leaf(lazy_argument);
	return target;
}

int lazy_target(void) __attribute__((ifunc("resolve")));
