/*
 * test_loaded_names.c - which names loaded objects define, compared with what dlsym() finds.
 *
 *     test_loaded_names GNU_STYLE.so SYSV_STYLE.so
 */
#include <dlfcn.h>
#include <stddef.h>
#include "preload/loaded_names.h"
#include "preload/process.h"
#include "tap.h"

/* A name in this program alone, which loaded_names takes for the library. */
int name_of_the_test(void);
int name_of_the_test(void)
{
	return 3;
}

static void test_as_dlsym(void)
{
	static const char *const names[] = { "malloc", "free", "clock_gettime", "pthread_create",
		"environ", "__libc_start_main", "_dl_find_object", "__cxa_finalize", "mallocx",
		"_ZnwmSt99nothing", "", "m", "mallo", "malloc_", "no_such_function",
		"free_aligned_sized_", "__tls_get_addr" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int found = dlsym(RTLD_DEFAULT, names[i]) != NULL;

		if (loaded_names_may_have(names[i]) != found)
			printf("# %s\n", names[i]);
		CHECK(loaded_names_may_have(names[i]) == found);
	}
	CHECK(!loaded_names_may_have("name_of_the_test"));
	CHECK(loaded_names_may_have("__vdso_clock_gettime"));
}

static void look_into(const char *path, const char *name)
{
	void *object;

	CHECK(!loaded_names_may_have(name));
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CHECK(object != NULL);
	CHECK(loaded_names_may_have(name));
	CHECK(!loaded_names_may_have("name_that_nobody_defines"));
	CHECK(object && !dlclose(object));
	CHECK(!loaded_names_may_have(name));
}

static const char *gnu_path, *sysv_path;

static void test_both_kinds_of_tables(void)
{
	look_into(gnu_path, "name_in_gnu");
	look_into(sysv_path, "name_in_sysv");
}

static void test_threads_and_the_end_of_loading(void)
{
	process_page.threaded = 1;
	CHECK(loaded_names_may_have("no_such_function"));
	process_page.threaded = 0;
	CHECK(!loaded_names_may_have("no_such_function"));
	loaded_names_end();
	CHECK(loaded_names_may_have("no_such_function"));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	gnu_path = argv[1];
	sysv_path = argv[2];
	TAP_RUN(test_as_dlsym);
	TAP_RUN(test_both_kinds_of_tables);
	TAP_RUN(test_threads_and_the_end_of_loading);
	return tap_done();
}
