/*
 * lazy_lib.c - a function that is bound late, and one whose implementation is chosen by a resolver
 * that allocates: in the middle of the binder. Allocates when it is loaded and unloaded, too.
 */
#include "rows.h"

int lazy_target(int a), lazy_chosen(int a);

int lazy_target(int a)
{
	return a + 1;
}

static int chosen(int a)
{
	return a + 2;
}

static int (*resolver(void))(int)
{
	CALL(ALLOCATE(7001));
	return chosen;
}

int lazy_chosen(int a) __attribute__((ifunc("resolver")));

__attribute__((constructor)) static void in_constructor(void)
{
	CALL(ALLOCATE(7007));
}

__attribute__((destructor)) static void in_destructor(void)
{
	CALL(ALLOCATE(7009));
}
