/*
 * prog_modules.c - many loaded libraries, or many loadings, each of which keeps a block of 100
 * bytes (lib_frame.c).
 *
 *     prog_modules LIBRARY...            loads them all
 *     prog_modules -n LOADS LIBRARY...   loads one and closes it, in turn, at ever new addresses
 *     prog_modules -w LIBRARY...         loads them all, says "ready", waits for a line, calls anew
 */
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <sys/mman.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define KEPT_BYTES 100

typedef void *keep_function(size_t);

SITE static void *call_library(keep_function *function)
{
	return keep(function(KEPT_BYTES));
}

static void *load(const char *path, keep_function **functionp)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	REQUIRE(library);
	*functionp = (keep_function *)dlsym(library, "frame_keep");
	REQUIRE(*functionp);
	return library;
}

static int add_extent(struct dl_phdr_info *info, size_t size, void *argument)
{
	uintptr_t *extent = (uintptr_t *)argument;

	if (info->dlpi_addr != extent[0])
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t end = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;

		if (info->dlpi_phdr[i].p_type == PT_LOAD && end > extent[1])
			extent[1] = end;
	}
	return 1;
}

/* Closes a library, and has nothing else come to its place. */
static void close_for_good(void *library)
{
	struct link_map *map = (struct link_map *)library;
	uintptr_t extent[2] = { map->l_addr, 0 };

	dl_iterate_phdr(add_extent, extent);
	REQUIRE(extent[1] != 0);
	dlclose(library);
	REQUIRE(mmap((void *)extent[0], extent[1], PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			0) != MAP_FAILED);
}

int main(int argc, char **argv)
{
	bool churns = argc > 3 && !strcmp(argv[1], "-n");
	bool waits = argc > 2 && !strcmp(argv[1], "-w");
	char **libraries = argv + 1 + waits + 2 * churns;
	long n_libraries = argv + argc - libraries, n = churns ? atol(argv[2]) : n_libraries;
	keep_function *functions[1000];
	double start_s = now_s();

	REQUIRE(n_libraries > 0 && n_libraries <= 1000);
	for (long i = 0; i < n; i++) {
		keep_function **functionp = &functions[i % n_libraries];
		void *library = load(libraries[i % n_libraries], functionp);

		REQUIRE(call_library(*functionp));
		if (churns)
			close_for_good(library);
	}
	if (waits) {
		printf("ready\n");
		fflush(stdout);
		REQUIRE(getchar() != EOF);
		for (long i = 0; i < n; i++)
			REQUIRE(call_library(functions[i]));
	}
	if (!waits)
		printf("{\"live\": %ld, \"seconds\": %.3f}\n", n * KEPT_BYTES, now_s() - start_s);
	fflush(stdout);
	heapspy_snapshot("end");
	return 0;
}
