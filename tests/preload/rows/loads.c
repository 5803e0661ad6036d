/*
 * loads.c - loads each of the libraries in its arguments, runs its library_main(), unloads it.
 */
#include <dlfcn.h>
#include "rows.h"

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		int (*run)(void);

		REQUIRE(library);
		run = (int (*)(void))dlsym(library, "library_main");
		REQUIRE(run);
		printf("%d: %d\n", i, run());
		fflush(stdout);
		dlclose(library);
	}
	return 0;
}
