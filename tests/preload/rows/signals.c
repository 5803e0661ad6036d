/*
 * signals.c - handlers that allocate while the program is not in malloc: over an instruction at a
 * known address, in one another, on a stack of their own.
 */
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "rows.h"

/* The first instruction of a function: pc - 1 is another function's, or nobody's. */
__asm__(".text\n\t.p2align 4\n\t"
	".type before_trap, @function\nbefore_trap:\n\t.cfi_startproc\n\t"
	"subq $1000, %rsp\n\t.cfi_def_cfa_offset 1008\n\tud2\n\t.cfi_endproc\n\t"
	".size before_trap, . - before_trap\n\t"
	".globl traps\n\t.type traps, @function\ntraps:\n\t.cfi_startproc\n\t"
	"ud2\n\tret\n\t.cfi_endproc\n\t.size traps, . - traps\n");
void traps(void);

static unsigned bytes;

static void on_trap(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	CALL(ALLOCATE(bytes));
	interrupted->uc_mcontext.gregs[REG_RIP] += 2;
}

static void on_outer(int number, siginfo_t *info, void *context)
{
	CALL(traps());
}

/* In the middle of a C function with locals. */
ROW static void traps_in_the_middle(void)
{
	volatile int block[20] = { 1 };

	__asm__ volatile("ud2" : : : "memory");
	block[1] = block[0];
}

ROW static void run(unsigned size)
{
	bytes = size;
	CALL(traps());
}

ROW static void run_nested(unsigned size)
{
	bytes = size;
	CALL(raise(SIGUSR1));
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	REQUIRE(sigaction(number, &action, NULL) == 0);
}

int main(void)
{
	const size_t stack_bytes = 64 * KIB;
	stack_t stack = { .ss_size = stack_bytes };

	handle(SIGILL, on_trap, 0);
	handle(SIGUSR1, on_outer, 0);
	CALL(run(7001));
	CALL(run_nested(7003));
	bytes = 7005;
	CALL(traps_in_the_middle());

	stack.ss_sp =
		mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) == 0);
	handle(SIGILL, on_trap, SA_ONSTACK);
	CALL(run(7007));
	CALL(run_nested(7009));
	handle(SIGUSR1, on_outer, SA_ONSTACK);
	CALL(run_nested(7011));

	expect(7001, "signal", "on_trap libc traps! run main start");
	expect(7003, "signal", "on_trap libc traps! on_outer libc run_nested main start");
	expect(7005, "signal", "on_trap libc traps_in_the_middle! main start");
	expect(7007, "signal foreign", "on_trap libc traps! run main start");
	expect(7009, "signal foreign", "on_trap libc traps! on_outer libc run_nested main start");
	expect(7011, "signal foreign", "on_trap libc traps! on_outer libc run_nested main start");
	return 0;
}
