/*
 * steps.c - a handler of the trap flag allocates at each instruction of a call that is bound late
 * and of the vdso: between two pushes, in the PLT, in the binder, wherever a signal can arrive.
 */
#include <link.h>
#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include "rows.h"

#define TRAP_FLAG 0x100

/* The program's code but for what the linker adds. */
#define STEPPED __attribute__((section("stepped")))
extern char __start_stepped[], __stop_stepped[];

int lazy_target(int a);

struct range {
	uintptr_t lo, hi;
};

static struct range program, vdso;
static unsigned n_plt, n_binder, n_vdso;
/* 1: not in the binder; 2: a call that binds; 3: of the clock. */
static volatile sig_atomic_t stepping;

static int within(uintptr_t pc, uintptr_t lo, uintptr_t hi)
{
	return pc >= lo && pc < hi;
}

static void on_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	uintptr_t pc = interrupted->uc_mcontext.gregs[REG_RIP];

	if (!stepping) {
		interrupted->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	} else if (within(pc, (uintptr_t)__start_stepped, (uintptr_t)__stop_stepped)) {
		return;
	} else if (within(pc, vdso.lo, vdso.hi)) {
		n_vdso++;
		CALL(ALLOCATE(7001));
	} else if (stepping < 3 && within(pc, program.lo, program.hi)) {
		n_plt++;
		CALL(ALLOCATE(7003));
	} else if (stepping == 2) {
		n_binder++;
		CALL(ALLOCATE(7005));
	}
}

STEPPED ROW static int calls_library(int a)
{
	int sum;

	CALL(sum = lazy_target(a));
	return sum + 1;
}

STEPPED ROW static long calls_clock(void)
{
	struct timespec now;
	long result;

	CALL(result = clock_gettime(CLOCK_MONOTONIC, &now));
	return result;
}

STEPPED ROW static int step(void)
{
	int sum;

	stepping = 2;
	__asm__ volatile("subq $128, %%rsp\n\t.cfi_adjust_cfa_offset 128\n\t"
			 "pushfq\n\t.cfi_adjust_cfa_offset 8\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq\n\t.cfi_adjust_cfa_offset -8\n\t"
			 "addq $128, %%rsp\n\t.cfi_adjust_cfa_offset -128" ::
				 : "memory", "cc");
	sum = calls_library(1);
	stepping = 1;
	CALL(sum += calls_library(1));
	stepping = 3;
	CALL(sum += calls_clock());
	stepping = 0;
	__asm__ volatile("nop");
	return sum;
}

static int find_objects(struct dl_phdr_info *info, size_t size, void *argument)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + header->p_vaddr, hi = lo + header->p_memsz;

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
			continue;
		if (within(getauxval(AT_SYSINFO_EHDR), lo, hi))
			vdso = (struct range){ lo, hi };
		if (within((uintptr_t)find_objects, lo, hi))
			program = (struct range){ lo, hi };
	}
	return 0;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };

	dl_iterate_phdr(find_objects, NULL);
	REQUIRE(sigaction(SIGTRAP, &action, NULL) == 0);
	calls_clock();
	REQUIRE(step() == 6);
	REQUIRE(n_plt > 2 && n_binder > 50);
	if (n_vdso)
		expect(7001, "signal", "on_step libc vdso libc calls_clock step main start");
	expect(7003, "signal", "on_step libc *! calls_library step main start");
	expect(7005, "signal", "on_step libc ... calls_library step main start");
	return 0;
}
