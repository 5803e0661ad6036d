/*
 * lib_dlsym.c - stands before the C library's dlsym, and allocates in it: what a preloaded library
 * gets there before it has found a malloc is kept until somebody wants to free it.
 */
#include <dlfcn.h>
#include "victim.h"

#define KEPT_MAX 64

void *dlsym_kept(int i);

static char *kept[KEPT_MAX];
static int n_kept;

void *dlsym_kept(int i)
{
	return i < n_kept ? kept[i] : NULL;
}

void *dlsym(void *handle, const char *name)
{
	static void *(*real)(void *, const char *);

	if (!real)
		real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
	if (n_kept < KEPT_MAX)
		kept[n_kept++] = strdup(name);
	return real(handle, name);
}
