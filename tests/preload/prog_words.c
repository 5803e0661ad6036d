/*
 * prog_words.c - what lies behind the arguments of syscall() is its caller's, and
 * dlerror() is the program's: both must be as they were left.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "victim.h"

#define CALLS 300000

static volatile int stop;

static void *count_up(void *word)
{
	long n = 0;

	for (; !stop; n++)
		__atomic_fetch_add((long *)word, 1, __ATOMIC_RELAXED);
	return (void *)n;
}

/* The words are above the arguments, where a seventh would be passed. */
SITE static void call_beside(long *words, void **counted)
{
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, count_up, words));
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	stop = 1;
	pthread_join(thread, counted);
}

int main(void)
{
	long words[4] = { 0 };
	void *counted;

	REQUIRE(!dlopen("libnosuch.so.0", RTLD_NOW));
	call_beside(words, &counted);
	REQUIRE(words[0] == (long)counted);
	REQUIRE(dlerror() != NULL);
	printf("{}\n");
	return 0;
}
