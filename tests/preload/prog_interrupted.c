/*
 * prog_interrupted.c FIRST STRIDE - interrupts a sampled malloc, and the free of its block, by a
 * handler that allocates itself: at each of the FIRST instructions, then at each STRIDE-th. One
 * interruption a round; rounds end when the calls take fewer instructions than are to be waited
 * for. Wants a malloc that may be interrupted (lib_bump.so).
 *
 * Prints how many blocks there were: {"rounds": N, "in_handlers": N}
 */
#include <signal.h>
#include <ucontext.h>
#include "victim.h"

#define BLOCKS_IN_HANDLER 10
#define TRAP_FLAG         0x100

static volatile long instructions, interrupt_at;

SITE static void in_handler(void)
{
	for (int i = 0; i < BLOCKS_IN_HANDLER; i++)
		free(keep(malloc(100)));
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	if (++instructions != interrupt_at)
		return;
	in_handler();
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
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

SITE static void interrupted(void)
{
	step(1);
	free(keep(malloc(100)));
	step(0);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	long first, stride, rounds = 0;

	REQUIRE(argc == 3 && (stride = atol(argv[2])) > 0);
	first = atol(argv[1]);
	REQUIRE(sigaction(SIGTRAP, &action, NULL) == 0);
	do {
		interrupt_at += interrupt_at < first ? 1 : stride;
		instructions = 0;
		interrupted();
		rounds++;
	} while (instructions >= interrupt_at);
	printf("{\"rounds\": %ld, \"in_handlers\": %ld}\n", rounds,
		(rounds - 1) * BLOCKS_IN_HANDLER);
	return 0;
}
