/*
 * program_kinds.c - one small program, linked in the ways that decide whether it
 * can be preloaded. It prints what the kernel says of its start: AT_SECURE. Told to
 * wait, it does so until a signal ends it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifdef OWN_MALLOC
#ifndef VISIBILITY
#define VISIBILITY "default"
#endif
static char pool[1 << 20];
static size_t used;

#define VISIBLE __attribute__((visibility(VISIBILITY)))

VISIBLE void *OWN_MALLOC(size_t size);

void *OWN_MALLOC(size_t size)
{
	void *block = pool + used;

#ifdef WITH_DLSYM
	if (size > sizeof(pool) / 2)
		return ((void *(*)(size_t))dlsym(RTLD_NEXT, "malloc"))(size);
#endif
	used += (size + 15) & ~(size_t)15;
	return used <= sizeof(pool) ? block : NULL;
}

#ifdef WHOLE_FAMILY
VISIBLE void *calloc(size_t n, size_t size);
VISIBLE void *realloc(void *block, size_t size);
VISIBLE void free(void *block);

void *calloc(size_t n, size_t size)
{
	return OWN_MALLOC(n * size); /* nothing is used twice, so all is zero */
}

void *realloc(void *block, size_t size)
{
	char *larger = OWN_MALLOC(size);
	size_t i;

	for (i = 0; block && larger && i < size && (char *)block + i < larger; i++)
		larger[i] = ((char *)block)[i];
	return larger;
}

void free(void *block)
{
}
#endif
#else
#define OWN_MALLOC malloc
#endif

#ifdef WITH_MALLCTL
int mallctl(const char *name);

int mallctl(const char *name)
{
	return name != NULL;
}
#endif

#ifdef WITH_MALLOCX
int mallocx(int flags);
#ifdef AS_LIBRARY
int mallocx(int flags)
{
	return flags;
}
#endif
#endif

void *volatile kept;

int main(int argc, char **argv)
{
	kept = OWN_MALLOC(100);
#ifdef WITH_MALLOCX
	mallocx(argc);
#endif
	printf("%lu\n", getauxval(AT_SECURE));
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "wait"))
		pause();
	return 0;
}
