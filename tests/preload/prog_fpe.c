/* prog_fpe.c - traps on every floating point exception, rounds upwards, and looks at its flags. */
#include <fenv.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "victim.h"

static void *work(void *unused)
{
	feenableexcept(FE_ALL_EXCEPT);
	fesetround(FE_UPWARD);
	for (int i = 0; i < 20000; i++)
		free(keep(realloc(keep(malloc((size_t)i)), (size_t)i * 3 + 1)));
	heapspy_snapshot("trapping");
	REQUIRE(fetestexcept(FE_ALL_EXCEPT) == 0);
	REQUIRE(fegetround() == FE_UPWARD);
	REQUIRE(fegetexcept() == FE_ALL_EXCEPT);
	return NULL;
}

int main(void)
{
	pthread_t thread;

	work(NULL);
	REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	pthread_join(thread, NULL);
	printf("{}\n");
	return 0;
}
