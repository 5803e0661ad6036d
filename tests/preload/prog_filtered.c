/*
 * prog_filtered.c - starts a command under a filter of system calls, as a service manager does.
 *
 *     prog_filtered kill|trap|ERRNO except|only NUMBER,NUMBER... COMMAND [ARG]...
 *
 * except: all system calls but these bring death, a signal or the error; only: these alone do.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "victim.h"

#define RULES_MAX 1000

int main(int argc, char **argv)
{
	static struct sock_filter filter[RULES_MAX + 4];
	struct sock_fprog program = { 0, filter };
	unsigned listed, others, bad, n = 0;
	char *at, *end;

	REQUIRE(argc > 4);
	bad = strcmp(argv[1], "kill") == 0   ? SECCOMP_RET_KILL_PROCESS
	      : strcmp(argv[1], "trap") == 0 ? SECCOMP_RET_TRAP
					     : SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1]);
	listed = strcmp(argv[2], "only") == 0 ? bad : SECCOMP_RET_ALLOW;
	others = strcmp(argv[2], "only") == 0 ? SECCOMP_RET_ALLOW : bad;
	filter[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (at = argv[3]; *at; at = *end ? end + 1 : end) {
		unsigned number = (unsigned)strtoul(at, &end, 10);

		REQUIRE(end > at && n < RULES_MAX);
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	program.len = (unsigned short)n;
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	execv(argv[4], argv + 4);
	perror(argv[4]);
	return 98;
}
