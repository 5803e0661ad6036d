/*
 * prog_fork.c - makes a child in one of many ways; every process allocates in functions of its own.
 *
 *     prog_fork MODE FD
 *
 * MODE: fork, _Fork, raw, thread_fork, double, daemon, fork_exec, vfork_exec, spawn, chain;
 * vfork_first: fork, where a vfork child is the first to allocate in the child; vfork_thread: the
 * same, by a second thread; vfork_other: no fork, but a vfork child that is another user and
 * allocates for a while.
 * Every process keeps 100 blocks of 1000 bytes in keep_here(); the first also 50 in keep_before().
 * The last one outlives the others a little and writes its pid to descriptor FD, which then closes.
 */
#include <pthread.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

extern char **environ;
static int mark_fd;
static void *kept[200];

SITE static void keep_before(void)
{
	for (int i = 0; i < 50; i++)
		kept[i] = keep(malloc(1000));
}

SITE static void keep_here(void)
{
	for (int i = 50; i < 150; i++)
		kept[i] = keep(malloc(1000));
}

/* What the process does that this is about; inherited blocks are freed too. */
static void live(void)
{
	double until_s = now_s() + 1.3;

	keep_here();
	for (int i = 0; i < 25; i++)
		free(kept[i]);
	while (now_s() < until_s) {
		free(keep(malloc(5000)));
		sleep_s(0.01);
	}
	dprintf(mark_fd, "%d\n", getpid());
}

static void wait_for(pid_t pid)
{
	int status;

	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void *busy(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		free(keep(malloc(300)));
	return NULL;
}

static void *fork_in_thread(void *unused)
{
	pid_t pid = fork();

	if (pid == 0) {
		live();
		exit(0);
	}
	wait_for(pid);
	return NULL;
}

static void thread_fork(void)
{
	static int stop;
	pthread_t forker, worker;

	REQUIRE(!pthread_create(&worker, NULL, busy, &stop));
	REQUIRE(!pthread_create(&forker, NULL, fork_in_thread, NULL));
	pthread_join(forker, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(worker, NULL);
}

/* Not allowed by POSIX, but done. Profiling begins a little later then. */
static void *allocate_in_vfork_child(void *unused)
{
	pid_t pid = vfork();
	int i;

	if (pid == 0) {
		free(keep(malloc(4000)));
		_exit(0);
	}
	wait_for(pid);
	for (i = 0; i < 1000; i++)
		free(keep(malloc(5000)));
	return NULL;
}

static void vfork_in_thread(void)
{
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, allocate_in_vfork_child, NULL));
	pthread_join(thread, NULL);
}

static void vfork_other(void)
{
	double until_s = now_s() + 0.5;
	pid_t pid = vfork();

	if (pid == 0) {
		REQUIRE(!syscall(SYS_setresuid, 65534, 65534, 65534));
		while (now_s() < until_s)
			free(keep(malloc(5000)));
		_exit(0);
	}
	wait_for(pid);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	char *again[] = { argv[0], (char *)"child", argv[2], NULL };
	pid_t pid = 0;

	REQUIRE(argc == 3);
	mark_fd = atoi(argv[2]);
	if (!strcmp(mode, "child")) {
		live();
		return 0;
	}
	keep_before();
	if (!strcmp(mode, "thread_fork")) {
		thread_fork();
	} else if (!strcmp(mode, "vfork_other")) {
		vfork_other();
		live();
	} else if (!strcmp(mode, "daemon")) {
		REQUIRE(daemon(1, 0) == 0);
		live();
		return 0;
	} else if (!strcmp(mode, "spawn")) {
		REQUIRE(posix_spawn(&pid, argv[0], NULL, NULL, again, environ) == 0);
		wait_for(pid);
	} else if (!strcmp(mode, "chain")) {
		REQUIRE(execv("/nonexistent", again) != 0); /* profiling goes on after this */
		execv(argv[0], again);
	} else {
		pid = !strcmp(mode, "vfork_exec") ? vfork()
		      : !strcmp(mode, "_Fork")    ? _Fork()
		      : !strcmp(mode, "raw")      ? (pid_t)syscall(SYS_fork)
						  : fork();
		if (pid == 0 && strstr(mode, "exec")) {
			execv(argv[0], again);
			_exit(1);
		}
		if (pid == 0 && !strcmp(mode, "double")) {
			if (fork() != 0)
				_exit(0);
			setsid();
		}
		if (pid == 0) {
			if (!strcmp(mode, "vfork_first"))
				allocate_in_vfork_child(NULL);
			else if (!strcmp(mode, "vfork_thread"))
				vfork_in_thread();
			live();
			exit(0);
		}
		wait_for(pid);
	}
	keep_here();
	printf("{\"pid\": %d}\n", getpid());
	return 0;
}
