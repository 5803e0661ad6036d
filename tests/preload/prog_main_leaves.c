/*
 * prog_main_leaves.c - main ends by pthread_exit, a worker goes on for a while; the process ends
 * with the last thread of its own, whose exit handler writes to stdout.
 *
 *     prog_main_leaves [fork|raw] fork: all of that in a child, whose end is passed on
 *                                 raw: main ends by a system call, which libc does not know of
 */
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

static void say(void)
{
	printf("{}\n");
}

static void *work(void *unused)
{
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 1000; j++)
			free(keep(malloc(1000)));
		usleep(3000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	pid_t child;
	int status;

	if (argc > 1 && !strcmp(argv[1], "fork") && (child = fork()) != 0) {
		REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
		return 0;
	}
	atexit(say);
	REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	if (argc > 1 && !strcmp(argv[1], "raw"))
		syscall(SYS_exit, 0);
	pthread_exit(NULL);
}
