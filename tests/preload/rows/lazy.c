/*
 * lazy.c - a call is bound late, and a resolver allocates meanwhile.
 */
#include "rows.h"

int lazy_chosen(int a);

ROW static int calls_chosen(int a)
{
	int sum;

	CALL(sum = lazy_chosen(a));
	return sum;
}

int main(void)
{
	int sum = calls_chosen(1);

	REQUIRE(sum == 3);
	expect(7001, "", "resolver ld calls_chosen main start");
	return 0;
}
