/*
 * opens.c - a library whose constructor and destructor allocate, opened and closed while the
 * program runs. Its argument: the library.
 */
#include <dlfcn.h>
#include "rows.h"

ROW static void *opens(const char *path)
{
	void *library;

	CALL(library = dlopen(path, RTLD_NOW | RTLD_LOCAL));
	return library;
}

ROW static void closes(void *library)
{
	CALL(dlclose(library));
}

int main(int argc, char **argv)
{
	void *library = opens(argc > 1 ? argv[1] : "");

	REQUIRE(library);
	CALL(closes(library));
	expect(7007, "", "in_constructor loader opens main start");
	expect(7009, "", "in_destructor loader closes main start");
	return 0;
}
