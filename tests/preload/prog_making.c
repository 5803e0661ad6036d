/*
 * prog_making.c WAY FIRST STRIDE ROUNDS - each round makes a child, whose first block makes its
 * state. Behind one of the system calls of that, the FIRST one, then STRIDE later each time, a
 * handler forks; the child's child comes back from it first.
 *
 *     return   the handler only forks
 *     sample   in the child's child it allocates, so that one makes its own state in there
 *     write    it is the writing of a snapshot by label that is interrupted, of a made state
 *
 * The child keeps 30 blocks of 100 bytes by keep_child(), its own child 20 of 200 by
 * keep_grandchild().
 * Both then have a snapshot made, by label. The last round is the one that finds no such system
 * call; nobody forks in it. Prints how many there were: {"rounds": N}
 * Wants a malloc that may be interrupted (lib_bump.so).
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include "heapspy/heapspy.h"
#include "victim.h"

static volatile int is_grandchild;
static int samples_at_once;

SITE static void keep_child(void)
{
	keep(malloc(100));
}

SITE static void keep_grandchild(void)
{
	keep(malloc(200));
}

static void on_signal(int signal)
{
	int status, saved_errno = errno;
	pid_t pid = (pid_t)syscall(SYS_fork); /* which takes no lock of the C library's */

	if (pid) {
		REQUIRE(waitpid(pid, &status, 0) == pid && !status);
	} else {
		is_grandchild = 1;
		if (samples_at_once)
			keep_grandchild();
	}
	errno = saved_errno;
}

static void child(int writes)
{
	for (int i = 0; writes && i < 30; i++)
		keep_child();
	REQUIRE(!ptrace(PTRACE_TRACEME, 0, NULL, NULL) && !raise(SIGSTOP));
	if (writes)
		heapspy_snapshot("interrupted");
	else
		keep_child();
	syscall(SYS_getppid); /* the last one to be interrupted */
	if (is_grandchild) {
		for (int i = 0; i < 20 - samples_at_once; i++)
			keep_grandchild();
		heapspy_snapshot("grandchild");
		_exit(0);
	}
	for (int i = 0; !writes && i < 29; i++)
		keep_child();
	heapspy_snapshot("child");
	_exit(0);
}

/* Whether there was such a call, and the handler has run behind it. */
static int interrupt(pid_t pid, long wanted)
{
	struct user_regs_struct registers = { 0 };
	long calls = 0;
	int status;

	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (calls < wanted && registers.orig_rax != SYS_getppid) {
		for (int stops = 0; stops < 2; stops++) {
			REQUIRE(!ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
			REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
			if (!stops)
				REQUIRE(!ptrace(PTRACE_GETREGS, pid, NULL, &registers));
		}
		calls++;
	}
	REQUIRE(!ptrace(PTRACE_DETACH, pid, NULL, calls == wanted ? SIGUSR1 : 0));
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
	return calls == wanted;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	long wanted, rounds = 0;
	pid_t pid;

	REQUIRE(argc == 5 && sigaction(SIGUSR1, &action, NULL) == 0);
	samples_at_once = !strcmp(argv[1], "sample");
	wanted = atol(argv[2]);
	do {
		pid = fork();
		REQUIRE(pid >= 0);
		if (!pid)
			child(!strcmp(argv[1], "write"));
		rounds++;
		wanted += atol(argv[3]);
	} while (interrupt(pid, wanted - atol(argv[3])) && rounds < atol(argv[4]));
	printf("{\"rounds\": %ld}\n", rounds);
	return 0;
}
