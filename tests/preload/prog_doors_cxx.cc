/*
 * prog_doors_cxx.cc - each operator new a known number of times, kept; each operator delete as
 * often, on blocks that give_NAME made by the new that belongs to it. Prints what it did, as
 * prog_doors does, and for the same reason gives all before it takes.
 */
#include <new>
#include "heapspy/heapspy.h"
#include "victim.h"

using std::align_val_t;
using std::nothrow;
static const align_val_t al{ 128 };

/* clang-format off */
#define MAKE(name, call) SITE static void *make_##name(size_t n) { return keep(call); }
#define TAKE(name, from, call) \
	SITE static void *give_##name(size_t n) { return keep(from); } \
	static void take_##name(void *p, size_t n) { call; }

MAKE(new, operator new(n))
MAKE(new_array, operator new[](n))
MAKE(new_nothrow, operator new(n, nothrow))
MAKE(new_array_nothrow, operator new[](n, nothrow))
MAKE(new_aligned, operator new(n, al))
MAKE(new_array_aligned, operator new[](n, al))
MAKE(new_aligned_nothrow, operator new(n, al, nothrow))
MAKE(new_array_aligned_nothrow, operator new[](n, al, nothrow))

TAKE(delete, operator new(n), operator delete(p))
TAKE(delete_array, operator new[](n), operator delete[](p))
TAKE(delete_sized, operator new(n), operator delete(p, n))
TAKE(delete_array_sized, operator new[](n), operator delete[](p, n))
TAKE(delete_nothrow, operator new(n, nothrow), operator delete(p, nothrow))
TAKE(delete_array_nothrow, operator new[](n, nothrow), operator delete[](p, nothrow))
TAKE(delete_aligned, operator new(n, al), operator delete(p, al))
TAKE(delete_array_aligned, operator new[](n, al), operator delete[](p, al))
TAKE(delete_sized_aligned, operator new(n, al), operator delete(p, n, al))
TAKE(delete_array_sized_aligned, operator new[](n, al), operator delete[](p, n, al))
TAKE(delete_aligned_nothrow, operator new(n, al, nothrow), operator delete(p, al, nothrow))
TAKE(delete_array_aligned_nothrow, operator new[](n, al, nothrow), operator delete[](p, al, nothrow))

#define MAKER(name) { #name, make_##name }
static const struct { const char *name; void *(*make)(size_t); } makers[] = {
	MAKER(new), MAKER(new_array), MAKER(new_nothrow), MAKER(new_array_nothrow), MAKER(new_aligned),
	MAKER(new_array_aligned), MAKER(new_aligned_nothrow), MAKER(new_array_aligned_nothrow) };

static const long n_given = 40;
#define TAKER(name) { #name, give_##name, take_##name, {} }
static struct {
	const char *name;
	void *(*give)(size_t n);
	void (*take)(void *p, size_t n);
	void *given[n_given];
} takers[] = {
	TAKER(delete), TAKER(delete_array), TAKER(delete_sized), TAKER(delete_array_sized),
	TAKER(delete_nothrow), TAKER(delete_array_nothrow), TAKER(delete_aligned),
	TAKER(delete_array_aligned), TAKER(delete_sized_aligned), TAKER(delete_array_sized_aligned),
	TAKER(delete_aligned_nothrow), TAKER(delete_array_aligned_nothrow) };
/* clang-format on */

int main()
{
	const char *comma = "";
	long calls = 20;

	printf("{\"made\": {");
	for (auto &maker : makers) {
		size_t bytes = 0;

		for (long k = 0; k < calls; k++) {
			REQUIRE(maker.make(100 + size_t(k)));
			bytes += 100 + size_t(k);
		}
		printf("%s\"%s\": [%ld, %zu]", comma, maker.name, calls++, bytes);
		comma = ", ";
	}
	printf("}, \"taken\": {");
	comma = "";
	for (auto &taker : takers)
		for (auto &block : taker.given)
			REQUIRE(block = taker.give(200));
	for (auto &taker : takers) {
		for (auto &block : taker.given)
			taker.take(block, 200);
		printf("%s\"%s\": %ld", comma, taker.name, n_given);
		comma = ", ";
	}
	printf("}}\n");
	fflush(stdout);
	heapspy_snapshot("end");
}
