/*
 * prog_own_new.cc - replaces only the scalar operator new and delete; the C++ library's other forms
 * lead to them. Prints how often each was called: the same with and without a profiler.
 */
#include <cstdlib>
#include <new>
#include "victim.h"

static long n_new, n_delete;

void *operator new(size_t n)
{
	n_new++;
	return malloc(n);
}

void operator delete(void *p) noexcept
{
	n_delete += p != nullptr;
	free(p);
}

void operator delete(void *p, size_t) noexcept
{
	operator delete(p);
}

SITE static void *own_new(size_t n)
{
	return keep(operator new[](n));
}

int main()
{
	for (int i = 0; i < 500; i++) {
		operator delete(keep(operator new(100)));
		operator delete(keep(operator new(100)), size_t(100));
		operator delete(keep(operator new(100, std::nothrow)), std::nothrow);
		operator delete[](keep(operator new[](100)));
		operator delete[](keep(operator new[](100)), size_t(100));
		operator delete[](keep(operator new[](100, std::nothrow)), std::nothrow);
		own_new(200);
	}
	printf("{\"new\": %ld, \"delete\": %ld}\n", n_new, n_delete);
}
