/*
 * prog_refuse.c - runs a command, which must have lib_refuse.so preloaded and told to trace, and
 * refuses one of the system calls that libheapspy.so makes in it.
 *
 *     prog_refuse N ERRNO FILE COMMAND...
 *
 * The N-th call, counted from 1 over all threads and children, is not made and returns -ERRNO; 0:
 * none. FILE gets the numbers of all calls in their order. Returns what the command does, 128 and
 * the signal when one ends it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include "victim.h"

/* From linux/ptrace.h, which does not go with sys/ptrace.h. */
#define EVENT_SECCOMP 7

static void refuse(pid_t pid, int error)
{
	struct user_regs_struct registers;

	REQUIRE(ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0);
	registers.orig_rax = ~0ull;
	registers.rax = (unsigned long long)-error;
	REQUIRE(ptrace(PTRACE_SETREGS, pid, 0, &registers) == 0);
}

static long number_of(pid_t pid)
{
	struct user_regs_struct registers;

	REQUIRE(ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0);
	return (long)registers.orig_rax;
}

int main(int argc, char **argv)
{
	long refused = argc > 4 ? atol(argv[1]) : 0, n = 0;
	int status, code = 99;
	pid_t child, pid;
	FILE *calls;

	REQUIRE(argc > 4);
	calls = fopen(argv[3], "we");
	REQUIRE(calls);
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execv(argv[4], argv + 4);
		_exit(127);
	}
	REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	REQUIRE(ptrace(PTRACE_SETOPTIONS, child, 0,
			PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
				PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL) == 0);
	ptrace(PTRACE_CONT, child, 0, 0);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		int signal_number = 0;

		if (!WIFSTOPPED(status)) {
			if (pid == child)
				code = WIFEXITED(status) ? WEXITSTATUS(status)
							 : 128 + WTERMSIG(status);
			continue;
		}
		if (status >> 16 == EVENT_SECCOMP) {
			fprintf(calls, "%ld\n", number_of(pid));
			if (++n == refused)
				refuse(pid, atoi(argv[2]));
		} else if (!(status >> 16) && WSTOPSIG(status) != SIGTRAP &&
			   WSTOPSIG(status) != SIGSTOP) {
			signal_number = WSTOPSIG(status);
		}
		ptrace(PTRACE_CONT, pid, 0, signal_number);
	}
	fclose(calls);
	return code;
}
