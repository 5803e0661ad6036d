/*
 * prog_dlstorm.cc - for SECONDS, four threads load and unload libraries and call what is in them,
 * four allocate and free, and all of them throw.
 *
 *     prog_dlstorm SECONDS LIBRARY_A LIBRARY_B
 *
 * One block of 1000 bytes in KEEP_EVERY is kept through each library.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include "heapspy/heapspy.h"
#include "sites.h"

#define N_THREADS  4
#define N_SLOTS    64
#define KEEP_EVERY 50

typedef void *keep_function(size_t);

static site sites[3] = { { "churn", nullptr }, { "lib_frame_a", nullptr },
	{ "lib_frame_b", nullptr } };
static char **libraries;
static bool is_over;
static long n_loads, n_caught;

SITE static void *churn(size_t n)
{
	return keep(malloc(n));
}

SITE static void *call_library(keep_function *function)
{
	return keep(function(1000));
}

SITE static void throw_some(uint64_t *seed, int depth)
{
	std::string text(20 + draw(seed) % 100, 'x');

	if (depth == 0)
		throw std::runtime_error(text);
	throw_some(seed, depth - 1);
	keep(&text);
}

static void catch_some(uint64_t *seed)
{
	try {
		throw_some(seed, int(draw(seed) % 8));
	} catch (const std::exception &e) {
		REQUIRE(e.what()[0] == 'x');
		site_add(&n_caught, 1);
	}
}

static void *load(void *number)
{
	uint64_t seed = 99 + uint64_t(number);

	for (long i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
		unsigned which = draw(&seed) % 2;
		void *library = dlopen(libraries[which], RTLD_NOW | RTLD_LOCAL), *block;

		REQUIRE(library);
		block = call_library((keep_function *)dlsym(library, "frame_keep"));
		if (i % KEEP_EVERY == 0)
			site_birth(&sites[1 + which], 1000);
		else
			free(block);
		if (i % 16 == 0)
			catch_some(&seed);
		dlclose(library);
		site_add(&n_loads, 1);
	}
	return nullptr;
}

static void *allocate(void *number)
{
	uint64_t seed = 7 + uint64_t(number);
	struct {
		void *p;
		size_t bytes;
	} slots[N_SLOTS] = {};

	for (long i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
		auto &slot = slots[draw(&seed) % N_SLOTS];

		if (slot.p) {
			site_death(&sites[0], slot.bytes);
			free(slot.p);
		}
		slot.bytes = 1 + draw(&seed) % 3000;
		site_birth(&sites[0], slot.bytes);
		slot.p = churn(slot.bytes);
		if (i % 64 == 0)
			catch_some(&seed);
	}
	return nullptr;
}

int main(int argc, char **argv)
{
	pthread_t threads[2 * N_THREADS];

	REQUIRE(argc > 3);
	libraries = argv + 2;
	for (long i = 0; i < 2 * N_THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], nullptr, i % 2 ? load : allocate, (void *)i));
	sleep_s(atof(argv[1]));
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	for (auto thread : threads)
		pthread_join(thread, nullptr);
	heapspy_snapshot("end");
	REQUIRE(n_caught > 0);
	fprintf(stderr, "%ld loads, %ld exceptions\n", n_loads, n_caught);
	sites_print(sites, 3);
}
