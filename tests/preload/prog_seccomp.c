/*
 * prog_seccomp.c - allocates under a filter that ends it for any system call malloc itself does
 * not make.
 *
 *     prog_seccomp WAY [ACTION [WHO]]
 *
 * WAY: how the filter is installed: prctl, syscall, or libseccomp if that is there (else exit 77).
 * ACTION: what a forbidden call brings: process (killed), thread, trap (a signal).
 * WHO: main (default); other: a second thread alone, which the main thread outlives by far; all:
 * every thread at once (TSYNC).
 */
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "victim.h"

#define ALLOW(number)                                                                              \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                                         \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static const char *way, *who = "main";
static unsigned action = SECCOMP_RET_KILL_PROCESS;

static const int allowed[] = { SYS_read, SYS_write, SYS_exit_group, SYS_exit, SYS_futex, SYS_mmap,
	SYS_munmap, SYS_mremap, SYS_brk, SYS_madvise, SYS_mprotect };
#define N_ALLOWED 9 /* of a single thread: no more than malloc's own */

static void *function(void *library, const char *name)
{
	void *found = dlsym(library, name);

	REQUIRE(found);
	return found;
}

/* As a program that is linked with it does. */
static void install_by_library(void)
{
	void *library = dlopen("libseccomp.so.2", RTLD_NOW);
	void *(*init)(uint32_t);
	int (*add)(void *, uint32_t, int, unsigned, ...);
	int (*load)(const void *);
	void *context;

	if (!library)
		_exit(77);
	init = (void *(*)(uint32_t))function(library, "seccomp_init");
	add = (int (*)(void *, uint32_t, int, unsigned, ...))function(library, "seccomp_rule_add");
	load = (int (*)(const void *))function(library, "seccomp_load");
	context = init(action);
	REQUIRE(context);
	for (size_t i = 0; i < N_ALLOWED; i++)
		REQUIRE(add(context, SECCOMP_RET_ALLOW, allowed[i], 0) == 0);
	REQUIRE(load(context) == 0);
}

static void install(void)
{
	struct sock_filter filter[2 + 2 * sizeof(allowed) / sizeof(allowed[0])] = { BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
	size_t n = 1, n_allowed = strcmp(who, "main") == 0 ? N_ALLOWED
							   : sizeof(allowed) / sizeof(allowed[0]);
	struct sock_fprog program;

	for (size_t i = 0; i < n_allowed; i++) {
		struct sock_filter rule[] = { ALLOW((unsigned)allowed[i]) };

		memcpy(&filter[n], rule, sizeof(rule));
		n += 2;
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	program = (struct sock_fprog){ (unsigned short)n, filter };
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (strcmp(way, "libseccomp") == 0)
		install_by_library();
	else if (strcmp(who, "all") == 0)
		REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
				&program) == 0);
	else if (strcmp(way, "prctl") == 0)
		REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	else
		REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void allocate(double seconds)
{
	double until_s = now_s() + seconds;

	for (size_t i = 0; now_s() < until_s; i++) {
		void *block = keep(malloc(i % 300000));

		REQUIRE(block);
		if (i % 16 != 0 || i > 100000)
			free(block);
	}
}

static void *other(void *unused)
{
	if (strcmp(who, "other") == 0)
		install();
	for (;;) /* its end would be more system calls */
		allocate(1);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	REQUIRE(argc > 1);
	way = argv[1];
	if (argc > 2)
		action = strcmp(argv[2], "process") == 0  ? SECCOMP_RET_KILL_PROCESS
			 : strcmp(argv[2], "thread") == 0 ? SECCOMP_RET_KILL_THREAD
							  : SECCOMP_RET_TRAP;
	if (argc > 3)
		who = argv[3];
	mallopt(M_ARENA_MAX, 1); /* another arena asks more of the kernel */
	free(keep(malloc(1000)));
	if (strcmp(who, "main") != 0)
		REQUIRE(!pthread_create(&thread, NULL, other, NULL));
	sleep_s(0.05);
	if (strcmp(who, "other") != 0)
		install();
	allocate(0.2);
	REQUIRE(write(1, "alive\n", 6) == 6);
	_exit(42);
}
