/*
 * prog_gconv.c - the C library unloads a module of its own accord, and another library comes to
 * the same address; each round both keep a block of 1000 bytes.
 *
 *     GCONV_PATH=DIRECTORY prog_gconv CHARSET OTHER LIBRARY ROUNDS
 *
 * CHARSET: made by a module in DIRECTORY; OTHER: another one there, opened until that module is
 * gone. No dlclose() of the program's comes before a block is kept.
 */
#include <dlfcn.h>
#include <iconv.h>
#include <link.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define OPENS_MAX 20

struct place {
	const char *name;
	uintptr_t start;
};

static int look(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct place *place = (struct place *)argument;
	const char *name = strrchr(info->dlpi_name, '/');

	if (!name || strcmp(name + 1, place->name) != 0)
		return 0;
	place->start = info->dlpi_addr;
	return 1;
}

/* Where a library with that file name is loaded, 0 if it is not. */
static uintptr_t start_of(const char *name)
{
	struct place place = { name, 0 };

	dl_iterate_phdr(look, &place);
	return place.start;
}

SITE static iconv_t call_iconv(const char *charset)
{
	iconv_t conversion = iconv_open("UTF-8", charset);

	return (iconv_t)keep((void *)conversion);
}

SITE static void *call_library(void *(*function)(size_t))
{
	return keep(function(1000));
}

int main(int argc, char **argv)
{
	int rounds = argc > 4 ? atoi(argv[4]) : 1, n_same = 0, n_unloaded = 0;
	char name[100];

	REQUIRE(argc > 4);
	snprintf(name, sizeof(name), "%s.so", argv[1]);
	for (int i = 0; i < rounds; i++) {
		iconv_t conversion = call_iconv(argv[1]);
		uintptr_t module = start_of(name);
		void *(*function)(size_t), *library;

		REQUIRE(conversion != (iconv_t)-1 && module);
		iconv_close(conversion);
		for (int k = 0; k < OPENS_MAX && start_of(name); k++) {
			conversion = call_iconv(argv[2]);
			REQUIRE(conversion != (iconv_t)-1);
			iconv_close(conversion);
		}
		n_unloaded += !start_of(name);
		library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
		REQUIRE(library);
		n_same += start_of(strrchr(argv[3], '/') + 1) == module;
		function = (void *(*)(size_t))dlsym(library, "frame_keep");
		REQUIRE(function && call_library(function));
		/* Without dlclose() the next module could not have the place again. */
		if (i + 1 < rounds)
			dlclose(library);
	}
	heapspy_snapshot("end");
	printf("{\"each\": %d, \"unloaded\": %d, \"same_address\": %d}\n", rounds * 1000,
		n_unloaded, n_same);
	return 0;
}
