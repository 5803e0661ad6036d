/*
 * prog_namespace.c - libraries that do not see the program's malloc: one in a namespace of its own,
 * one that prefers its own libc (RTLD_DEEPBIND). The program frees what the second one allocates.
 *
 *     prog_namespace LIBRARY_A LIBRARY_B
 */
#include <dlfcn.h>
#include "heapspy/heapspy.h"
#include "victim.h"

typedef void *keep_function(size_t);
typedef void *call_function(keep_function *, size_t);

SITE static void *make_block(size_t n)
{
	return keep(malloc(n));
}

static void *symbol(void *library, const char *name)
{
	void *found = library ? dlsym(library, name) : NULL;

	REQUIRE(found);
	return found;
}

int main(int argc, char **argv)
{
	void *apart = dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW);
	void *deep = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

	REQUIRE(argc > 2);
	for (int i = 0; i < 10; i++) {
		REQUIRE(((keep_function *)symbol(apart, "frame_keep"))(1000));
		REQUIRE(((call_function *)symbol(apart, "frame_call"))(make_block, 1000));
		free(((keep_function *)symbol(deep, "frame_keep"))(1000));
		REQUIRE(((call_function *)symbol(deep, "frame_call"))(make_block, 1000));
	}
	heapspy_snapshot("end");
	dlclose(apart);
	dlclose(deep);
	return 0;
}
