/*
 * misaligned.c - calls the allocator on a stack that is not aligned to 16 bytes, against the rules;
 * libc's own does not mind.
 */
#include "rows.h"

void *on_odd_stack(void *(*function)(void *, size_t), void *block, size_t bytes);

__asm__(".text\n\t.p2align 4\n\t.type on_odd_stack, @function\non_odd_stack:\n\t.cfi_startproc\n\t"
	"sub $16, %rsp\n\t.cfi_def_cfa_offset 24\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\t"
	"mov %rdx, %rsi\n\tcall *%rax\n\tadd $16, %rsp\n\t.cfi_def_cfa_offset 8\n\tret\n\t"
	".cfi_endproc\n\t.size on_odd_stack, . - on_odd_stack\n");

/* Their other argument is not looked at. */
static void *(*volatile allocators[])(void *, size_t) = {
	(void *(*)(void *, size_t))(void *)malloc,
	realloc,
	(void *(*)(void *, size_t))(void *)free,
};

int main(void)
{
	for (size_t bytes = 7001; bytes < 9001; bytes += 2) {
		void *block = on_odd_stack(allocators[0], (void *)bytes, 0);

		block = on_odd_stack(allocators[1], block, bytes + 10000);
		on_odd_stack(allocators[2], block, 0);
	}
	CALL(on_odd_stack(allocators[0], (void *)7001, 0));
	expect(7001, "", "on_odd_stack main start");
	return 0;
}
