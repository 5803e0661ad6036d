/*
 * many.c - twenty thousand functions, each with frame information of its own.
 */
#include "rows.h"

#define N_FUNCTIONS 20000

__asm__(".text\n\t.p2align 4\nfirst_function:\n\t"
	".rept 20000\n\t.cfi_startproc\n\tpush %rbx\n\t.cfi_def_cfa_offset 16\n\t"
	".cfi_offset rbx, -16\n\tcall allocate\n\tpop %rbx\n\t.cfi_def_cfa_offset 8\n\tret\n\t"
	".p2align 4\n\t.cfi_endproc\n\t.endr\n");
extern char first_function[];

__attribute__((used)) ROW static void allocate(unsigned bytes) __asm__("allocate");
__attribute__((used)) ROW static void allocate(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

int main(void)
{
	for (unsigned i = 0; i < N_FUNCTIONS; i += i + 500 < N_FUNCTIONS ? 499 : 1)
		CALL(((void (*)(unsigned))(void *)(first_function + 16 * i))(7001));
	expect(7001, "", "allocate first_function main start");
	return 0;
}
