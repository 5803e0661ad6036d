/*
 * prog_guest.c - tells what a library may not change: descriptors, threads, signal mask, handlers,
 * umask, directory, limits and environment, before and after allocating much.
 *
 *     prog_guest [thread]       with a thread of its own
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "victim.h"

extern char **environ;

static void list(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	REQUIRE(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	printf("%s: %d\n", path, n);
}

static void report(void)
{
	struct rlimit limit;
	struct sigaction action;
	sigset_t mask;
	char directory[4096];

	list("/proc/self/fd");
	list("/proc/self/task");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i < 65; i++) {
		if (sigaction(i, NULL, &action) == 0)
			printf("%d:%d:%p ", i, sigismember(&mask, i), (void *)action.sa_handler);
	}
	printf("\numask %o\n", umask(022));
	umask(022);
	printf("cwd %s\n", getcwd(directory, sizeof(directory)));
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit(i, &limit);
		printf("%llu/%llu ", (unsigned long long)limit.rlim_cur,
			(unsigned long long)limit.rlim_max);
	}
	printf("\n");
	for (char **e = environ; *e; e++)
		printf("%s\n", *e);
}

static void *work(void *unused)
{
	for (int i = 0; i < 100000; i++)
		free(keep(malloc(4000)));
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	report();
	if (argc > 1) {
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
		pthread_join(thread, NULL);
	}
	work(NULL);
	report();
	return 0;
}
