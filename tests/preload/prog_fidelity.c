/*
 * prog_fidelity.c - tells all that a program can see of its process, at many moments: before and
 * after allocating, in a thread, in a handler, in children by fork, vfork, posix_spawn and system,
 * at exit. To be compared with the same told without a profiler.
 *
 *     prog_fidelity             all of that
 *     prog_fidelity alone       without a thread
 *     prog_fidelity child       one report: what its children run
 *     prog_fidelity keys        how many thread-specific keys there are to be had
 *     prog_fidelity stack       how many bytes of stack the allocation functions take at most
 *     prog_fidelity maps        the files that are mapped
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio_ext.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <xmmintrin.h>
#include "victim.h"

#define STACK_BYTES (256 * KIB)

extern char **environ;

static void tell_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	REQUIRE(dir);
	while ((entry = readdir(dir))) {
		char path[300], target[PATH_MAX];
		ssize_t n;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		printf("fd %s %s, flags %x, at %ld\n", entry->d_name, target,
			(unsigned)fcntl(atoi(entry->d_name), F_GETFD),
			(long)(strcmp(entry->d_name, "1") ? lseek(atoi(entry->d_name), 0, SEEK_CUR)
							  : 0));
	}
	closedir(dir);
}

static void tell_tasks(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	REQUIRE(dir);
	printf("tasks");
	while ((entry = readdir(dir))) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		printf(" %s", name);
		fclose(file);
	}
	printf("\n");
	closedir(dir);
}

/* What the kernel says of the signals, rights and limits of this thread; not its size, nor its ids.
 */
static void tell_status(void)
{
	static const char *const told[] = { "Umask:", "Groups:", "CoreDumping:", "THP_enabled:",
		"Sig", "Shd", "Cap", "NoNewPrivs:", "Seccomp", "Speculation", "Cpus_allowed:" };
	FILE *file = fopen("/proc/thread-self/status", "r");
	char line[500];

	REQUIRE(file);
	while (fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
			/* How many are pending is of the user, not of the process. */
			if (!strncmp(line, told[i], strlen(told[i])) && strncmp(line, "SigQ", 4))
				fputs(line, stdout);
	fclose(file);
}

static void tell_signals(void)
{
	unsigned long mask;
	stack_t stack;

	for (int i = 1; i < 65; i++) {
		struct sigaction action;

		if (sigaction(i, NULL, &action) != 0)
			continue;
		memcpy(&mask, &action.sa_mask, sizeof(mask));
		if (action.sa_handler != SIG_DFL)
			printf("action %d %s %x %lx\n", i,
				action.sa_handler == SIG_IGN ? "ignored" : "handled",
				(unsigned)action.sa_flags, mask);
	}
	REQUIRE(!sigaltstack(NULL, &stack));
	printf("altstack %d %zu\n", stack.ss_flags, stack.ss_size);
	for (int i = 0; i < 3; i++) {
		struct itimerval timer;

		getitimer(i, &timer);
		printf("timer %d: %d\n", i,
			timer.it_value.tv_sec || timer.it_value.tv_usec ||
				timer.it_interval.tv_sec);
	}
}

static void tell_settings(void)
{
	char directory[PATH_MAX], name[16];
	struct rlimit limit;
	unsigned mode = umask(0);
	int reaper = -1, death = -1;

	umask(mode);
	printf("umask %o, cwd %s\n", mode, getcwd(directory, sizeof(directory)));
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit(i, &limit);
		printf("%lx/%lx ", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
	}
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	prctl(PR_GET_PDEATHSIG, &death);
	prctl(PR_GET_NAME, name);
	printf("\nnice %d, scheduler %d, slack %d, reaper %d, death %d, dumpable %d, keepcaps %d, "
	       "securebits %d, huge %d, "
	       "tsc %d, name %s\n",
		getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), prctl(PR_GET_TIMERSLACK),
		reaper, death, prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS),
		prctl(PR_GET_SECUREBITS), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0),
		prctl(PR_GET_TSC, &(int){ 0 }), name);
	printf("locale %s %s, secure %lu\n", setlocale(LC_ALL, NULL), nl_langinfo(CODESET),
		getauxval(AT_SECURE));
	printf("rounding %x, raised %x, trapping %x, mxcsr %x\n", fegetround(),
		fetestexcept(FE_ALL_EXCEPT), fegetexcept(), _mm_getcsr());
	printf("stdout %zu %d, stderr %d\n", __fbufsize(stdout), __flbf(stdout), __flbf(stderr));
	printf("group %d, session %d\n", getpgrp() == getpid(), getsid(0) == getpid());
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
}

static void report(const char *when)
{
	const char *error;

	printf("== %s\n", when);
	/* Said by whoever looked up last. */
	error = dlerror();
	printf("dlerror %s\n", error ? error : "nothing");
	tell_descriptors();
	tell_tasks();
	tell_status();
	tell_signals();
	tell_settings();
	dlsym(RTLD_DEFAULT, "no_such_function");
	fflush(stdout);
}

static void allocate(void)
{
	static _Thread_local void *blocks[500];
	uint64_t seed = 5;

	for (int i = 0; i < 20000; i++) {
		void **slot = &blocks[draw(&seed) % 500];

		free(*slot);
		*slot = keep(malloc(draw(&seed) % 5000));
	}
	for (int i = 0; i < 500; i++)
		free(blocks[i]);
	memset(blocks, 0, sizeof(blocks));
}

static void *in_thread(void *unused)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	allocate();
	report("thread");
	return NULL;
}

static void on_signal(int sig)
{
	allocate();
	report("handler");
}

static void at_exit_first(void)
{
	allocate();
	report("registered first");
}

static void at_exit_last(void)
{
	printf("registered last\n");
}

static void wait_for(pid_t child, const char *how)
{
	int status = 0;

	REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
	printf("%s: status %x\n", how, (unsigned)status);
}

/* Their reports come before ours goes on: each flushes its own. */
static void make_children(char *self)
{
	char child_mode[] = "child", *words[] = { self, child_mode, NULL };
	char line[100];
	FILE *pipe;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		allocate();
		report("forked");
		_exit(3);
	}
	wait_for(child, "fork");
	fflush(stdout);
	child = vfork();
	if (!child) {
		execv(self, words);
		_exit(127);
	}
	wait_for(child, "vfork");
	fflush(stdout);
	REQUIRE(!posix_spawn(&child, self, NULL, NULL, words, environ));
	wait_for(child, "posix_spawn");
	fflush(stdout);
	printf("system: %x\n",
		(unsigned)system(
			"ls -l /proc/self/fd | wc -l; umask; env | sort; ulimit -a; exit 5"));
	pipe = popen("cat; exit 6", "w");
	REQUIRE(pipe && fputs("through a pipe\n", pipe) > 0);
	printf("pclose: %x\n", (unsigned)pclose(pipe));
	pipe = popen("exec echo from a pipe", "r");
	REQUIRE(pipe && fgets(line, sizeof(line), pipe));
	printf("%spclose: %x\n", line, (unsigned)pclose(pipe));
	errno = 0;
	printf("other children: %d, errno %d\n", waitpid(-1, NULL, WNOHANG), errno);
}

static void everything(char *self, int with_thread)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	static char stack[64 * 1024];
	sigset_t mask;

	report("start");
	REQUIRE(!atexit(at_exit_first) && !atexit(at_exit_last));
	allocate();
	report("allocated");
	REQUIRE(!sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL));
	REQUIRE(!sigaction(SIGUSR1, &action, NULL) && signal(SIGUSR2, SIG_IGN) != SIG_ERR);
	raise(SIGUSR1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	kill(getpid(), SIGTERM);
	pthread_kill(pthread_self(), SIGRTMIN + 3);
	umask(0137);
	REQUIRE(open("/dev/null", O_RDONLY) >= 0 && dup2(0, 77) == 77 &&
		!fcntl(77, F_SETFD, FD_CLOEXEC));
	fesetround(FE_DOWNWARD);
	feraiseexcept(FE_INEXACT | FE_DIVBYZERO);
	feenableexcept(FE_INVALID);
	setpriority(PRIO_PROCESS, 0, 5);
	allocate();
	report("changed");
	if (with_thread) {
		pthread_t thread;

		REQUIRE(!pthread_create(&thread, NULL, in_thread, NULL));
		pthread_join(thread, NULL);
		report("joined");
	}
	make_children(self);
	report("end");
	exit(9);
}

static void keys(void)
{
	pthread_key_t key;
	int n = 0;

	while (!pthread_key_create(&key, NULL))
		n++;
	/* With values far above those that lie in the thread itself. */
	REQUIRE(!pthread_setspecific(key - 1, &key) || n == 0);
	allocate();
	printf("%d\n", n);
}

static void *on_painted_stack(void *unused)
{
	for (int i = 0; i < 3000; i++) {
		void *p = keep(calloc(1, (size_t)i)), *q = keep(aligned_alloc(64, (size_t)i * 64));

		free(keep(realloc(p, (size_t)i * 3)));
		free(q);
	}
	return NULL;
}

static void stack(void)
{
	char *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;
	size_t i;

	REQUIRE(stack != MAP_FAILED);
	memset(stack, 0x5a, STACK_BYTES);
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, STACK_BYTES);
	REQUIRE(!pthread_create(&thread, &attr, on_painted_stack, NULL) &&
		!pthread_join(thread, NULL));
	for (i = 0; stack[i] == 0x5a; i++)
		;
	printf("%zu\n", STACK_BYTES - i);
}

static void maps(void)
{
	FILE *file;
	char line[PATH_MAX + 100];

	allocate();
	file = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), file))
		if (strchr(line, '/'))
			fputs(strchr(line, '/'), stdout);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	setlocale(LC_ALL, "");
	if (!strcmp(mode, "child"))
		report("child");
	else if (!strcmp(mode, "keys"))
		keys();
	else if (!strcmp(mode, "stack"))
		stack();
	else if (!strcmp(mode, "maps"))
		maps();
	else
		everything(argv[0], strcmp(mode, "alone"));
	return 0;
}
