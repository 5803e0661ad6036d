/*
 * prog_new_throws.cc - replaces operator new by one that throws an exception of its own at every
 * third call, and from time to time one made by another new below it. Prints how often each
 * happened: the same with and without a profiler.
 */
#include <cstdlib>
#include <new>
#include <string>
#include <vector>
#include "victim.h"

struct Refused {
	std::string why;
};

static long n_calls, n_refused, n_bad, n_nested, n_null;
static bool is_armed;

void *operator new(size_t n)
{
	void *p = nullptr;

	n_calls++;
	if (is_armed && n_calls % 13 == 0) {
		is_armed = false;
		Refused refused{ std::string(100, 'r') };
		is_armed = true;
		throw refused;
	}
	if (is_armed && n_calls % 31 == 0)
		throw std::bad_alloc();
	if (is_armed && n_calls % 17 == 0) {
		try {
			p = operator new(n);
		} catch (...) {
			n_nested++;
			throw;
		}
		return p;
	}
	p = malloc(n);
	if (!p)
		throw std::bad_alloc();
	return p;
}

void operator delete(void *p) noexcept
{
	free(p);
}

void operator delete(void *p, size_t) noexcept
{
	free(p);
}

int main()
{
	long n_good = 0;

	for (int i = 0; i < 30000; i++) {
		is_armed = true;
		try {
			/* Half made when it is refused: what is made is destroyed. */
			std::vector<std::vector<std::string>> words(
				size_t(1 + i % 3), { std::string(40, 'w') });
			n_good += long(words.size());
		} catch (const Refused &refused) {
			is_armed = false;
			REQUIRE(refused.why == std::string(100, 'r'));
			n_refused++;
		} catch (const std::bad_alloc &) {
			n_bad++;
		}
		n_null += keep(operator new(0, std::nothrow)) == nullptr;
		is_armed = false;
	}
	printf("{\"calls\": %ld, \"good\": %ld, \"refused\": %ld, \"bad\": %ld, \"nested\": %ld, "
	       "\"null\": %ld}\n",
		n_calls, n_good, n_refused, n_bad, n_nested, n_null);
}
