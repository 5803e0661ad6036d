/*
 * prog_exit.c - keeps 100 blocks of 1000 bytes and ends in one of many ways.
 *
 *     prog_exit MODE [thread]      with a second thread that allocates until the end
 *
 * MODE: return, exit, _exit, _Exit, quick_exit, pthread_exit, in_thread, in_all_threads,
 * in_handler, in_destructor, abort, SIGTERM, SIGKILL, SIGSEGV. Modes that choose a code end
 * with 42.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include "victim.h"

static void *kept[100];
static const char *mode = "return";

SITE static void keep_blocks(void)
{
	for (int i = 0; i < 100; i++)
		kept[i] = keep(malloc(1000));
}

static void *busy(void *unused)
{
	for (;;)
		free(keep(malloc(3000)));
	return unused;
}

static void exit_42(int sig)
{
	exit(42);
}

static void *leave(void *unused)
{
	exit(42);
	return unused;
}

static pthread_barrier_t all_are_here;

static void *leave_together(void *unused)
{
	pthread_barrier_wait(&all_are_here);
	exit(42);
	return unused;
}

__attribute__((destructor)) static void at_the_end(void)
{
	free(keep(malloc(700)));
	if (!strcmp(mode, "in_destructor"))
		_exit(42);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	mode = argc > 1 ? argv[1] : mode;
	if (argc > 2)
		REQUIRE(!pthread_create(&thread, NULL, busy, NULL));
	keep_blocks();
	sleep_s(argc > 2 ? 0.1 : 0);
	if (!strcmp(mode, "exit"))
		exit(42);
	if (!strcmp(mode, "_exit"))
		_exit(42);
	if (!strcmp(mode, "_Exit"))
		_Exit(42);
	if (!strcmp(mode, "quick_exit"))
		quick_exit(42);
	if (!strcmp(mode, "pthread_exit"))
		pthread_exit(NULL);
	if (!strcmp(mode, "in_thread")) {
		REQUIRE(!pthread_create(&thread, NULL, leave, NULL));
		pause();
	}
	if (!strcmp(mode, "in_all_threads")) {
		REQUIRE(!pthread_barrier_init(&all_are_here, NULL, 4));
		for (int i = 0; i < 3; i++)
			REQUIRE(!pthread_create(&thread, NULL, leave_together, NULL));
		leave_together(NULL);
	}
	if (!strcmp(mode, "in_handler")) {
		signal(SIGUSR1, exit_42);
		raise(SIGUSR1);
	}
	if (!strcmp(mode, "abort"))
		abort();
	if (!strcmp(mode, "SIGTERM"))
		raise(SIGTERM);
	if (!strcmp(mode, "SIGKILL"))
		raise(SIGKILL);
	if (!strcmp(mode, "SIGSEGV"))
		raise(SIGSEGV);
	return 42;
}
