/*
 * prog_reload.c - loads two libraries in turn at the same address; each keeps blocks of 1000 bytes.
 *
 *     prog_reload LIBRARY_A LIBRARY_B ROUNDS
 */
#include <dlfcn.h>
#include "heapspy/heapspy.h"
#include "victim.h"

SITE static void *call_library(void *(*function)(size_t))
{
	return keep(function(1000));
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[3]) : 10;
	void *(*before)(size_t) = NULL, *(*function)(size_t);
	int n_same = 0;

	REQUIRE(argc > 2);
	for (int i = 0; i < rounds; i++) {
		void *library = dlopen(argv[1 + i % 2], RTLD_NOW | RTLD_LOCAL);

		REQUIRE(library);
		function = (void *(*)(size_t))dlsym(library, "frame_keep");
		REQUIRE(function && call_library(function));
		n_same += function == before;
		before = function;
		dlclose(library);
	}
	heapspy_snapshot("end");
	printf("{\"each\": %d, \"rounds\": %d, \"same_address\": %d}\n", rounds / 2 * 1000, rounds,
		n_same);
	return 0;
}
