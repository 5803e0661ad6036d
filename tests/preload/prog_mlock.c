/* prog_mlock.c - locks all its memory, then allocates: nobody may have reserved much more than it.
 */
#include <sys/mman.h>
#include "victim.h"

static long resident_kib(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmRSS: %ld", &kib);
	fclose(status);
	return kib;
}

int main(void)
{
	REQUIRE(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	for (int i = 0; i < 10000; i++)
		keep(malloc(100));
	printf("{\"resident\": %ld}\n", resident_kib() * 1024);
	return 0;
}
