/*
 * throws.cc - exceptions: in the object that is thrown, in destructors on the way, in the handler;
 * a thread of the library; constructors of static objects.
 */
#include <stdexcept>
#include <thread>
#include "rows.h"

extern "C" {
void in_constructor(), in_destructor(), in_thread();
void throws(unsigned bytes), passes(unsigned bytes), catches(unsigned bytes),
	rethrows(unsigned bytes);

ROW void in_constructor()
{
	CALL(ALLOCATE(7003));
}

ROW void in_destructor()
{
	CALL(ALLOCATE(7005));
}

ROW void in_thread()
{
	CALL(ALLOCATE(7011));
}
}

struct Big {
	char bytes[6999];
};

struct Early {
	Early()
	{
		in_constructor();
	}
};
static Early early;

struct Local {
	__attribute__((always_inline)) ~Local()
	{
		in_destructor();
	}
};

extern "C" {
ROW void throws(unsigned bytes)
{
	if (bytes)
		throw Big();
	__asm__ volatile("");
}

ROW void passes(unsigned bytes)
{
	volatile char block[300];
	Local local;

	block[bytes] = 1;
	throws(bytes + block[bytes]);
	__asm__ volatile("");
}

ROW void rethrows(unsigned bytes)
{
	try {
		passes(bytes);
	} catch (const Big &) {
		CALL(ALLOCATE(7007));
		throw;
	}
}

ROW void catches(unsigned bytes)
{
	try {
		rethrows(bytes);
	} catch (...) {
		CALL(ALLOCATE(7009));
	}
	__asm__ volatile("");
}
}

int main()
{
	for (int i = 0; i < 3; i++)
		CALL(catches(1));
	std::thread([] { CALL(in_thread()); }).join();

	expect(7003, "", "in_constructor ... _start");
	expect(7005, "", "in_destructor passes rethrows catches main start");
	expect(7007, "", "rethrows catches main start");
	expect(7009, "", "catches main start");
	expect(7011, "", "in_thread ... libstdc++ thread");
	return 0;
}
