/* library.c - owns the places where the library can be, as seen from the command. */
#include "analyzer/target/library.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the directory of the command: a build tree, then an installed prefix. */
static const char *const places[] = { "../preload/libheapspy.so",
	"../" HEAPSPY_LIBDIR "/heapspy/libheapspy.so" };

static bool take(const char *path, char *out, size_t bytes)
{
	char *whole = realpath(path, NULL);
	bool fits = whole && strlen(whole) < bytes;

	if (fits)
		strcpy(out, whole);
	free(whole);
	return fits;
}

static bool find(char *out, size_t bytes)
{
	char command[PATH_MAX], path[PATH_MAX + 128], *slash;
	ssize_t n = readlink("/proc/self/exe", command, sizeof(command) - 1);
	unsigned i;

	command[n > 0 ? n : 0] = '\0';
	slash = strrchr(command, '/');
	if (slash)
		slash[1] = '\0';
	for (i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", command, places[i]);
		if (take(path, out, bytes))
			return true;
	}
	return take(HEAPSPY_LIBRARY, out, bytes);
}

int library_find(char *out, size_t bytes, struct fail *f)
{
	if (!find(out, bytes))
		return fail_set(f, EXIT_CODE_OTHER,
			"libheapspy.so is not where it was installed (%s): install heapspy anew",
			HEAPSPY_LIBRARY);
	/* ld.so(8): separators, and the start of $ORIGIN and its like. */
	if (strpbrk(out, ": $"))
		return fail_set(f, EXIT_CODE_OTHER,
			"'%s' cannot stand in LD_PRELOAD, where blanks and colons end a name and $ "
			"begins a variable; install heapspy elsewhere",
			out);
	return 0;
}

bool library_find_extension(const char *library, char *out, size_t bytes)
{
	const char *slash = strrchr(library, '/');
	int n = snprintf(out, bytes, "%.*s" LIBRARY_EXTENSION,
		(int)(slash ? slash + 1 - library : 0), library);

	return n > 0 && (size_t)n < bytes && access(out, R_OK) == 0;
}
