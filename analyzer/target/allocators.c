/* allocators.c - owns the table of allocators and the finding of their copies. */
#include "analyzer/target/allocators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/target/program_elf.h"
#include "analyzer/target/program_path.h"

static const struct allocator allocators[] = {
	{ "jemalloc", "libjemalloc.so.2", "libjemalloc2" },
	{ "tcmalloc", "libtcmalloc.so.4", "libgoogle-perftools4" },
	{ "tcmalloc_minimal", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4" },
	{ "mimalloc", "libmimalloc.so.2", "libmimalloc2.0" },
};

#define N_ALLOCATORS (sizeof(allocators) / sizeof(allocators[0]))

const struct allocator *allocators_at(unsigned i)
{
	return i < N_ALLOCATORS ? &allocators[i] : NULL;
}

const struct allocator *allocators_find(const char *name)
{
	unsigned i;

	for (i = 0; i < N_ALLOCATORS; i++)
		if (!strcmp(name, allocators[i].name))
			return &allocators[i];
	return NULL;
}

/* The smaller one is another allocator to the program (no heap checks): never taken unasked. */
static bool has_minimal(const struct allocator *allocator, struct loader_search *search)
{
	char path[PATH_MAX];
	int fd = strcmp(allocator->name, "tcmalloc") != 0
			 ? -1
			 : loader_search_open(search, "libtcmalloc_minimal.so.4", NULL, path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int fail_missing(
	const struct allocator *allocator, struct loader_search *search, struct fail *f)
{
	if (search->passed_over[0])
		return fail_set(f, EXIT_CODE_OTHER,
			"--allocator=%s: %s cannot be loaded: this user cannot read it, or it is "
			"no 64-bit x86-64 library; install %s",
			allocator->name, search->passed_over, allocator->package);
	if (has_minimal(allocator, search))
		return fail_set(f, EXIT_CODE_OTHER,
			"--allocator=%s: %s is not installed (Debian: %s); "
			"--allocator=tcmalloc_minimal is",
			allocator->name, allocator->file, allocator->package);
	return fail_set(f, EXIT_CODE_OTHER,
		"--allocator=%s: %s is not installed (Debian: %s); a copy elsewhere is found by "
		"LD_LIBRARY_PATH",
		allocator->name, allocator->file, allocator->package);
}

/* A directory of LD_LIBRARY_PATH may be relative; LD_PRELOAD goes with children that move. */
static bool make_absolute(char path[PATH_MAX])
{
	char cwd[PATH_MAX], *whole = NULL;
	bool fits;

	if (path[0] == '/')
		return true;
	if (!getcwd(cwd, sizeof(cwd)) || asprintf(&whole, "%s/%s", cwd, path) < 0)
		return false;
	fits = strlen(whole) < PATH_MAX;
	if (fits)
		strcpy(path, whole);
	free(whole);
	return fits;
}

int allocators_locate(const struct allocator *allocator, struct loader_search *search,
	char path[PATH_MAX], uint32_t *exportedp, struct fail *f)
{
	struct program_elf *elf;
	int fd = loader_search_open(search, allocator->file, NULL, path);
	bool has_malloc;

	if (fd < 0)
		return fail_missing(allocator, search, f);
	elf = alloc_array(1, sizeof(*elf));
	program_elf_read_dynamic(fd, elf);
	close(fd);
	*exportedp = elf->exported;
	has_malloc = program_elf_has(elf->exported, PROGRAM_SYMBOL_MALLOC);
	free(elf);
	if (!has_malloc)
		return fail_set(f, EXIT_CODE_OTHER,
			"--allocator=%s: %s defines no malloc (built with a prefix?); install %s",
			allocator->name, path, allocator->package);
	if (!make_absolute(path) || strpbrk(path, ": "))
		return fail_set(f, EXIT_CODE_OTHER,
			"--allocator=%s: '%s' cannot stand in LD_PRELOAD, which ends names at "
			"blanks and colons; put the library elsewhere",
			allocator->name, path);
	return 0;
}

const char *allocators_name_of(const char *path, uint32_t exported)
{
	const char *base = program_path_base(path);
	unsigned i;

	for (i = 0; i < PROGRAM_N_SYMBOLS; i++)
		if (program_elf_has(exported, i) &&
			program_symbols_allocator((enum program_symbol)i))
			return program_symbols_allocator((enum program_symbol)i);
	return !strncmp(base, "libc.so.", 8) || !strncmp(base, "libc-2.", 7) ? "glibc" : NULL;
}
