/*
 * chain.c - a plain chain of calls, for a program whose frame information is of an unusual form.
 * Its argument: the flags of its stack.
 */
#include "rows.h"

ROW static void inner(unsigned bytes)
{
	volatile char block[100];

	block[0] = 1;
	CALL(ALLOCATE(bytes));
	block[1] = block[0];
}

ROW static void outer(unsigned bytes)
{
	volatile char block[200];

	block[0] = 1;
	CALL(inner(bytes));
	block[1] = block[0];
}

int main(int argc, char **argv)
{
	CALL(outer(7001));
	expect(7001, argc > 1 ? argv[1] : "", "inner outer main start");
	return 0;
}
