/*
 * no_cfi.c - code without frame information at the leaf, in the middle, and between code that
 * has it. Its argument says how that code was built: "rbp" or "none".
 */
#include <setjmp.h>
#include "no_cfi.h"

static jmp_buf back;

/* Without frame information, up to a call that is its end; a function that has some begins there.
 */
__asm__(".text\n\t.type bare_end, @function\nbare_end:\n\tpush %rbp\n\tmov %rsp, %rbp\n\t"
	"mov %rdi, %rax\n\tmov %esi, %edi\n\tcall *%rax\n\t.size bare_end, . - bare_end\n\t"
	".type follows, @function\nfollows:\n\t.cfi_startproc\n\tret\n\t.cfi_endproc\n\t"
	".size follows, . - follows\n");
void bare_end(void (*function)(unsigned), unsigned bytes);

ROW static void leaf(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

ROW static void through_bare(unsigned bytes)
{
	CALL(bare_between(leaf, bytes));
}

ROW static void twice(unsigned bytes)
{
	CALL(bare_between(through_bare, bytes));
}

static void jumps_back(unsigned bytes)
{
	ALLOCATE(bytes);
	longjmp(back, 1);
}

ROW static void calls_noreturn(unsigned bytes)
{
	if (setjmp(back) == 0)
		CALL(bare_end(jumps_back, bytes));
}

int main(int argc, char **argv)
{
	int with_rbp = argc > 1 && strcmp(argv[1], "rbp") == 0;

	CALL(bare_chain(7001, 2));
	CALL(through_bare(7003));
	CALL(twice(7005));
	CALL(calls_noreturn(7007));
	expect(7001, with_rbp ? "approx@1" : "marked",
		"bare_chain bare_chain bare_chain main start");
	expect(7003, with_rbp ? "approx@2" : "marked", "leaf bare_between through_bare main start");
	expect(7005, with_rbp ? "approx@2" : "marked",
		"leaf bare_between through_bare bare_between twice main start");
	expect(7007, with_rbp ? "approx@2" : "marked",
		"jumps_back bare_end calls_noreturn main start");
	return 0;
}
