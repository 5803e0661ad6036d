/*
 * prog_left.c WAY FIRST STRIDE ROUNDS - interrupts a sampled malloc once a round, at its FIRST
 * instruction, then STRIDE later each time, and never comes back the usual way:
 *
 *     jump   the handler jumps out; 200 blocks from the same place, again(), follow
 *     deep   the same; 62000 blocks from further down the stack, deeper(), follow
 *     freed  as jump, but the first to follow is the free of a block from before
 *     fork   the handler forks, and the child comes back first; it ends when malloc has returned
 *     free   the same, but it is the free of the block that is interrupted
 *
 * Wants a malloc that may be interrupted (lib_bump.so).
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include "victim.h"

#define TRAP_FLAG 0x100
#define EARLIER   100

static volatile long instructions, interrupt_at;
static volatile int is_child;
static int forks, frees;
static sigjmp_buf before;
static void *earlier[EARLIER];

static void on_trap(int signal, siginfo_t *info, void *context)
{
	pid_t pid;

	if (++instructions != interrupt_at)
		return;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (!forks)
		siglongjmp(before, 1);
	pid = (pid_t)syscall(SYS_fork); /* which takes no lock of the C library's */
	if (pid)
		REQUIRE(waitpid(pid, NULL, 0) == pid);
	else
		is_child = 1;
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

SITE static void again(int stepped)
{
	void *block;

	if (stepped && !frees)
		step(1);
	block = keep(malloc(100));
	if (stepped && frees)
		step(1);
	if (frees)
		free(block);
	if (stepped)
		step(0);
}

SITE static void deeper(void)
{
	char room[4096];

	keep(room);
	keep(malloc(100));
	keep(room);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	int is_deep;

	REQUIRE(argc == 5 && sigaction(SIGTRAP, &action, NULL) == 0);
	frees = !strcmp(argv[1], "free");
	forks = frees || !strcmp(argv[1], "fork");
	is_deep = !strcmp(argv[1], "deep");
	if (!strcmp(argv[1], "freed"))
		for (int i = 0; i < EARLIER; i++)
			earlier[i] = keep(malloc(100));
	interrupt_at = atol(argv[2]);
	for (volatile long round = 0; round < atol(argv[4]); round++) {
		instructions = 0;
		if (!sigsetjmp(before, 1))
			again(1);
		if (is_child)
			_exit(0);
		free(earlier[round % EARLIER]);
		earlier[round % EARLIER] = NULL;
		for (int i = 0; !forks && i < (is_deep ? 62000 : 200); i++) {
			if (is_deep)
				deeper();
			else
				again(0);
		}
		interrupt_at += atol(argv[3]);
	}
	return 0;
}
