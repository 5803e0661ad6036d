/*
 * unknown.c - frame information with instructions that are not known. The linker makes no search
 * table for an object that holds one; the functions beside are found without.
 */
#include "rows.h"

/* unknown_functions.S */
void sound(unsigned bytes), with_window(unsigned bytes), with_unknown(unsigned bytes);
void allocate(unsigned bytes);

ROW void allocate(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

int main(void)
{
	CALL(sound(7001));
	CALL(with_window(7003));
	CALL(with_unknown(7005));
	expect(7001, "", "allocate sound main start");
	expect(7003, "marked", "allocate with_window main start");
	expect(7005, "marked", "allocate with_unknown main start");
	return 0;
}
