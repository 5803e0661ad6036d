/*
 * long_tables.c - frame information with 64-bit lengths, which linkers do not write: as a table of
 * the object, which the linker then makes no search table for, and as one that is registered.
 */
#include "rows.h"

void __register_frame(void *table);

/* long_functions.S */
void in_object(unsigned bytes), registered(unsigned bytes);
extern char long_table[];
void allocate(unsigned bytes);

ROW void allocate(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

int main(void)
{
	CALL(in_object(7001));
	__register_frame(long_table);
	CALL(registered(7003));
	expect(7001, "marked", "allocate in_object main start");
	expect(7003, "marked", "allocate registered main start");
	return 0;
}
