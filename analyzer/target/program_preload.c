/* program_preload.c - owns the reading of LD_PRELOAD as ld.so(8) reads it. */
#include "analyzer/target/program_preload.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What $LIB and $PLATFORM stand for differs by distribution: these are tried in turn. */
static const char *const lib_words[] = { "lib/x86_64-linux-gnu", "lib64", "lib" };
static const char *const usual_dirs[] = { "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib" };

#define N_LIB_WORDS  (sizeof(lib_words) / sizeof(lib_words[0]))
#define N_USUAL_DIRS (sizeof(usual_dirs) / sizeof(usual_dirs[0]))

/* Replaces the first $LIB or ${LIB} of name. Returns whether there was one. */
static bool expand(const char *name, const char *word, char *out, size_t bytes)
{
	const char *at = strstr(name, "$LIB");
	size_t skipped = 4;

	if (!at) {
		at = strstr(name, "${LIB}");
		skipped = 6;
	}
	if (!at) {
		snprintf(out, bytes, "%s", name);
		return false;
	}
	snprintf(out, bytes, "%.*s%s%s", (int)(at - name), name, word, at + skipped);
	return true;
}

static int open_in(const char *dir, int dir_bytes, const char *name)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%.*s/%s", dir_bytes, dir, name) >= sizeof(path))
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* The object's file, or -1. */
static int open_object(const struct program_environment *env, const char *name)
{
	const char *dir = env->library_path;
	char path[PATH_MAX];
	unsigned i;
	int fd = -1;

	if (strchr(name, '/')) {
		for (i = 0; fd < 0 && i < N_LIB_WORDS; i++) {
			bool again = expand(name, lib_words[i], path, sizeof(path));

			fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
			if (!again)
				break;
		}
		return fd;
	}
	while (fd < 0 && dir && *dir) {
		int n = (int)strcspn(dir, ":;");

		fd = open_in(n ? dir : ".", n ? n : 1, name);
		dir += n + (dir[n] != '\0');
	}
	for (i = 0; fd < 0 && i < N_USUAL_DIRS; i++)
		fd = open_in(usual_dirs[i], (int)strlen(usual_dirs[i]), name);
	return fd;
}

static bool defines_malloc(int fd)
{
	struct program_elf elf;

	program_elf_read(fd, &elf);
	return elf.kind == PROGRAM_ELF_PROGRAM &&
	       program_elf_has(elf.exported, PROGRAM_SYMBOL_MALLOC);
}

static bool is_heapspy(const char *name)
{
	return !strncmp(program_path_base(name), "libheapspy.so", 13);
}

enum program_preload program_preload_check(
	const struct program_environment *env, char object[PROGRAM_PRELOAD_NAME_BYTES])
{
	enum program_preload found = PROGRAM_PRELOAD_FINE;
	const char *at = env->preload ? env->preload : "";
	bool heapspy_seen = false;

	while (*(at += strspn(at, ": "))) {
		size_t n = strcspn(at, ": ");
		char name[PATH_MAX];
		bool has_malloc;
		int fd;

		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		at += n;
		if (is_heapspy(name)) {
			heapspy_seen = true;
			continue;
		}
		fd = open_object(env, name);
		has_malloc = fd >= 0 && defines_malloc(fd);
		if (has_malloc && !heapspy_seen) {
			found = PROGRAM_PRELOAD_MALLOC_BEFORE;
			snprintf(object, PROGRAM_PRELOAD_NAME_BYTES, "%.250s",
				program_path_base(name));
		} else if (fd < 0 && strchr(name, '/') && found == PROGRAM_PRELOAD_FINE) {
			found = PROGRAM_PRELOAD_MISSING;
			snprintf(object, PROGRAM_PRELOAD_NAME_BYTES, "%.250s", name);
		}
		if (fd >= 0)
			close(fd);
	}
	return found == PROGRAM_PRELOAD_MALLOC_BEFORE && !heapspy_seen ? PROGRAM_PRELOAD_FINE
								       : found;
}
