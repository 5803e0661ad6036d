/*
 * prog_clock.c - gives up reading the time, and allocates on: a sample that asks for it dies.
 *
 *     prog_clock strict|tsc [raw] [filter] [fork] [fails] [linger]
 *
 * raw: by syscall(); filter: under a seccomp filter that allows all; fork: a child allocates;
 * fails: the call is made wrongly instead, and nothing may change by that; linger: sleeps a while.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

static void **kept;

SITE static void keep_blocks(int n)
{
	for (int i = 0; i < n; i++)
		REQUIRE((kept[i] = keep(malloc(1000))));
}

SITE static void churn_blocks(int n)
{
	for (int i = 0; i < n; i++) {
		void *block = keep(malloc(1000));

		REQUIRE(block);
		free(block);
	}
}

static bool given(int argc, char **argv, const char *word)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], word))
			return true;
	return false;
}

static long give_up(bool strict, bool raw, unsigned long wrong)
{
	int option = strict ? PR_SET_SECCOMP : PR_SET_TSC;
	unsigned long how = strict ? SECCOMP_MODE_STRICT : PR_TSC_SIGSEGV;

	if (wrong && strict) /* flags must be 0 */
		return syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL);
	return raw ? syscall(SYS_prctl, option, how + wrong, 0, 0, 0)
		   : prctl(option, how + wrong, 0, 0, 0);
}

int main(int argc, char **argv)
{
	struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, all };
	bool strict = argc > 1 && !strcmp(argv[1], "strict");
	int status = 0;

	/* No system call for memory later on. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_MAX, 0);
	free(keep(malloc(8 * MIB)));
	kept = keep(calloc(1000, sizeof(*kept)));
	keep_blocks(100);
	if (given(argc, argv, "filter")) {
		REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
	}
	if (given(argc, argv, "fails"))
		REQUIRE(give_up(strict, given(argc, argv, "raw"), 7) != 0 && errno == EINVAL);
	else
		REQUIRE(give_up(strict, given(argc, argv, "raw"), 0) == 0);
	churn_blocks(1000);
	if (given(argc, argv, "fork")) {
		if (!fork()) {
			churn_blocks(1000);
			_exit(0);
		}
		REQUIRE(wait(&status) > 0);
	}
	if (given(argc, argv, "linger"))
		sleep_s(1);
	REQUIRE(write(1, status ? "dead\n" : "alive\n", status ? 5 : 6));
	if (strict && !given(argc, argv, "fails"))
		syscall(SYS_exit, 0);
	_exit(0);
}
