/*
 * prog_last_thread.c - the process's first thread ends, and the process with the last one: as it
 * says how.
 *
 *     prog_last_thread exit        main calls pthread_exit
 *     prog_last_thread cancelled   main is cancelled by another thread
 *     prog_last_thread thrd_exit   main calls thrd_exit
 *     prog_last_thread forked      a thread forks; in the child it returns, while another works
 *     prog_last_thread alone       a thread forks; in the child it returns, and nothing else is
 * there
 *
 * An exit handler writes the last words to an own descriptor, so it must be run by a thread of the
 * program's.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <threads.h>
#include "victim.h"

static const char *mode;
static pthread_t main_thread;
static int descriptor;

static void say(void)
{
	dprintf(descriptor, "the last words of %s\n", mode);
}

static void allocate(void)
{
	for (int i = 0; i < 20000; i++)
		free(keep(malloc(1000)));
}

static void *last(void *unused)
{
	sleep_s(0.05);
	if (!strcmp(mode, "cancelled"))
		pthread_cancel(main_thread);
	sleep_s(0.1);
	allocate();
	return NULL;
}

static void *forks(void *unused)
{
	pthread_t thread;
	int status;
	pid_t child;

	allocate();
	child = fork();
	if (!child) {
		allocate();
		if (strcmp(mode, "alone"))
			REQUIRE(!pthread_create(&thread, NULL, last, NULL));
		return NULL;
	}
	REQUIRE(waitpid(child, &status, 0) == child);
	dprintf(descriptor, "the child: %x\n", (unsigned)status);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	mode = argc > 1 ? argv[1] : "exit";
	main_thread = pthread_self();
	descriptor = dup(1);
	REQUIRE(!atexit(say));
	if (!strcmp(mode, "forked") || !strcmp(mode, "alone")) {
		REQUIRE(!pthread_create(&thread, NULL, forks, NULL) && !pthread_join(thread, NULL));
		return 6;
	}
	REQUIRE(!pthread_create(&thread, NULL, last, NULL));
	allocate();
	if (!strcmp(mode, "exit"))
		pthread_exit(NULL);
	if (!strcmp(mode, "thrd_exit"))
		thrd_exit(5);
	for (;;)
		sleep_s(1);
}
