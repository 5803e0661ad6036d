/*
 * prog_throw.cc - operator new that fails: bad_alloc, new handlers that help, throw or jump away,
 * and constructors that throw. Afterwards blocks must still be counted.
 */
#include <csetjmp>
#include <new>
#include <stdexcept>
#include "heapspy/heapspy.h"
#include "victim.h"

static volatile size_t huge = PTRDIFF_MAX / 2;
static volatile int n_handled, n_caught; /* volatile: kept across the longjmp */
static jmp_buf away;

SITE static void *keep_after(size_t n)
{
	return keep(operator new(n));
}

struct Bad {
	char data[3000];
	Bad()
	{
		data[0] = 1;
		throw std::runtime_error("constructor");
	}
};

static void no_more_help()
{
	n_handled = n_handled + 1;
	std::set_new_handler(nullptr);
}

static void jump_away()
{
	n_handled = n_handled + 1;
	longjmp(away, 1);
}

int main()
{
	for (static int i = 0; i < 1000; i++) {
		try {
			keep(operator new(huge));
		} catch (const std::bad_alloc &) {
			n_caught = n_caught + 1;
		}
		try {
			keep(operator new[](huge, std::align_val_t{ 64 }));
		} catch (const std::bad_alloc &) {
			n_caught = n_caught + 1;
		}
		REQUIRE(!keep(operator new(huge, std::nothrow)));
		try {
			keep(new Bad);
		} catch (const std::runtime_error &) {
			n_caught = n_caught + 1;
		}
		std::set_new_handler(no_more_help);
		REQUIRE(!keep(operator new(huge, std::nothrow)));
		std::set_new_handler(jump_away);
		if (setjmp(away) == 0) {
			keep(operator new(huge));
			REQUIRE(!"operator new came back");
		}
		std::set_new_handler(nullptr);
	}
	REQUIRE(n_caught == 3000 && n_handled == 2000);
	for (int i = 0; i < 100; i++)
		keep_after(500);
	heapspy_snapshot("end");
	printf("{\"keep_after\": 50000}\n");
}
