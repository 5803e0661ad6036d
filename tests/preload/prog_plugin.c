/*
 * prog_plugin.c - a C program that loads C++ plugins, over and over, while a thread allocates.
 *
 *     prog_plugin PLUGIN ROUNDS
 */
#include <dlfcn.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

static int stop;

static void *work(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		free(keep(malloc(500)));
	return NULL;
}

int main(int argc, char **argv)
{
	long rounds = argc > 2 ? atol(argv[2]) : 1;
	pthread_t thread;

	REQUIRE(argc > 1);
	if (rounds > 1)
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	for (long i = 0; i < rounds; i++) {
		void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		long (*run)(long) = plugin ? (long (*)(long))dlsym(plugin, "plugin_run") : NULL;
		void *(*keep_block)(size_t) =
			plugin ? (void *(*)(size_t))dlsym(plugin, "plugin_keep") : NULL;

		if (!plugin)
			fprintf(stderr, "%s\n", dlerror());
		REQUIRE(plugin && run && keep_block);
		REQUIRE(run(100) == 100);
		REQUIRE(keep_block(1000));
		REQUIRE(!dlsym(plugin, "no_such_symbol"));
		dlclose(plugin);
	}
	if (rounds > 1) {
		__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
	}
	heapspy_snapshot("end");
	printf("{\"plugin_keep\": %ld}\n", rounds * 1000);
	return 0;
}
