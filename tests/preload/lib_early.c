/*
 * lib_early.c - a library that allocates before a preloaded library's constructor has run, and
 * frees after its destructor has: its first allocation happens inside the C library, under a lock
 * of its.
 */
#include <libintl.h>
#include "victim.h"

void *early_block(void);
static void *block;

SITE static void *early_keep(void)
{
	return keep(malloc(5000));
}

void *early_block(void)
{
	return block;
}

__attribute__((constructor)) static void early(void)
{
	bindtextdomain("heapspy-early", "/nonexistent");
	block = early_keep();
}

__attribute__((destructor)) static void late(void)
{
	for (int i = 0; i < 1000; i++)
		free(keep(malloc(3000)));
	free(block);
}
