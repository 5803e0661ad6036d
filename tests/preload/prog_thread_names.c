/*
 * prog_thread_names.c - threads that get their names in different ways, each keeping blocks of 100
 * bytes before and after. Or N threads with a name each, that keep one.
 *
 *     prog_thread_names [N]
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define BLOCK_BYTES 100
#define LATE_BLOCKS 600

static pthread_barrier_t step;

SITE static void keep_blocks(long n)
{
	for (long i = 0; i < n; i++)
		keep(malloc(BLOCK_BYTES));
}

static void *named_by_itself(void *name)
{
	keep_blocks(10);
	pthread_setname_np(pthread_self(), (const char *)name);
	keep_blocks(20);
	return NULL;
}

static void *named_by_prctl(void *name)
{
	keep_blocks(10);
	prctl(PR_SET_NAME, name);
	keep_blocks(30);
	syscall(SYS_prctl, PR_SET_NAME, "by-syscall");
	keep_blocks(40);
	return NULL;
}

static void *named_by_another(void *unused)
{
	keep_blocks(10);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	keep_blocks(50);
	return NULL;
}

static void *named_unseen(void *name)
{
	char path[100];
	int fd;

	keep_blocks(10);
	snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", (long)syscall(SYS_gettid));
	fd = open(path, O_WRONLY);
	REQUIRE(write(fd, name, strlen((const char *)name)) > 0);
	close(fd);
	keep_blocks(LATE_BLOCKS);
	return NULL;
}

static void *named_at_once(void *number)
{
	char name[16];

	snprintf(name, sizeof(name), "worker-%ld", (long)number);
	pthread_setname_np(pthread_self(), name);
	keep_blocks(1);
	return NULL;
}

static void run(void *(*function)(void *), void *argument, const char *given)
{
	pthread_t thread;

	REQUIRE(!pthread_create(&thread, NULL, function, argument));
	if (given) {
		pthread_barrier_wait(&step);
		pthread_setname_np(thread, given);
		pthread_barrier_wait(&step);
	}
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	pid_t child;

	pthread_barrier_init(&step, NULL, 2);
	for (long i = 0; argc > 1 && i < atol(argv[1]); i++)
		run(named_at_once, (void *)i, NULL);
	if (argc == 1) {
		run(named_by_itself, (void *)"by-itself", NULL);
		run(named_by_itself, (void *)"odd\x1b[31m\",\xff\n", NULL);
		run(named_by_itself, (void *)"", NULL);
		run(named_by_prctl, (void *)"by-prctl", NULL);
		run(named_by_another, NULL, "by-another");
		run(named_unseen, (void *)"unseen", NULL);
		prctl(PR_SET_NAME, "first");
		keep_blocks(60);
		child = fork();
		if (!child) {
			keep_blocks(70);
			prctl(PR_SET_NAME, "child");
			keep_blocks(80);
			heapspy_snapshot("end");
			_exit(0);
		}
		REQUIRE(waitpid(child, NULL, 0) == child);
	}
	heapspy_snapshot("end");
	return 0;
}
