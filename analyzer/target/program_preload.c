/* program_preload.c - owns the reading of LD_PRELOAD as ld.so(8) reads it. */
#include "analyzer/target/program_preload.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/target/loader_search.h"

static bool defines_malloc(int fd)
{
	struct program_elf elf;

	program_elf_read_dynamic(fd, &elf);
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
	struct loader_search search;
	bool heapspy_seen = false;

	loader_search_init(&search, env->library_path);
	while (*(at += strspn(at, ": "))) {
		size_t n = strcspn(at, ": ");
		char name[PATH_MAX], path[PATH_MAX];
		bool has_malloc;
		int fd;

		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		at += n;
		if (is_heapspy(name)) {
			heapspy_seen = true;
			continue;
		}
		fd = loader_search_open(&search, name, NULL, path);
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
	loader_search_deinit(&search);
	return found == PROGRAM_PRELOAD_MALLOC_BEFORE && !heapspy_seen ? PROGRAM_PRELOAD_FINE
								       : found;
}
