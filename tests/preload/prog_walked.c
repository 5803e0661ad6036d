/*
 * prog_walked.c WAY ROUNDS - interrupts a sampled call once a round, an instruction later each
 * time: malloc, or free of what that made. The handler forks, the child allocates in it, for which
 * it makes a state of its own, and comes back first to where its parent was; it ends by itself.
 * The parent has 6000 blocks, which are too many for the tables that a state begins with.
 * Prints how many rounds had an instruction to interrupt: {"rounds": N}
 * Wants a malloc that may be interrupted (lib_bump.so).
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include "victim.h"

#define TRAP_FLAG 0x100
#define BLOCKS    6000
#define OF_CHILD  20

static volatile long instructions, interrupt_at;
static volatile int is_child;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	int status;
	pid_t pid;

	if (++instructions != interrupt_at)
		return;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	pid = (pid_t)syscall(SYS_fork); /* which takes no lock of the C library's */
	if (pid) {
		REQUIRE(waitpid(pid, &status, 0) == pid && !status);
		return;
	}
	is_child = 1;
	for (int i = 0; i < OF_CHILD; i++)
		keep(malloc(100));
}

static inline void step(int on)
{
	if (on)
		__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" ::"i"(TRAP_FLAG)
				 : "memory", "cc");
	else
		__asm__ volatile("pushfq; andq %0, (%%rsp); popfq" ::"i"(~TRAP_FLAG)
				 : "memory", "cc");
}

SITE static void interrupted(int frees)
{
	void *block;

	if (!frees)
		step(1);
	block = keep(malloc(100));
	if (frees)
		step(1);
	free(block);
	step(0);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	long rounds = 0;

	REQUIRE(argc == 3 && sigaction(SIGTRAP, &action, NULL) == 0);
	for (int i = 0; i < BLOCKS; i++)
		keep(malloc(16));
	while (rounds < atol(argv[2])) {
		interrupt_at = rounds + 1;
		instructions = 0;
		interrupted(!strcmp(argv[1], "free"));
		if (is_child) {
			for (int i = 0; i < OF_CHILD; i++)
				free(keep(malloc(100)));
			_exit(0);
		}
		if (instructions < interrupt_at)
			break;
		rounds++;
	}
	printf("{\"rounds\": %ld}\n", rounds);
	return 0;
}
