/* prog_pool.cc - deletes what lib_pool.so made with its operator new, and the other way round. */
#include "victim.h"

int *pool_make();

int main()
{
	for (int i = 0; i < 1000; i++) {
		int *theirs = pool_make(), *ours = new int[3];

		REQUIRE(*theirs == 7);
		delete theirs;
		delete[] ours;
	}
	printf("{}\n");
	return 0;
}
