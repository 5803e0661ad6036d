/*
 * other_stack.c - a function that runs another one on a stack from the heap, and returns from there
 * by its frame pointer: as stacks that grow in segments do.
 */
#include <pthread.h>
#include "rows.h"

void on_stack(void (*function)(unsigned), unsigned bytes, void *top);

__asm__(".text\n\t.p2align 4\n\t.type on_stack, @function\non_stack:\n\t.cfi_startproc\n\t"
	"push %rbp\n\t.cfi_def_cfa_offset 16\n\t.cfi_offset rbp, -16\n\t"
	"mov %rsp, %rbp\n\t.cfi_def_cfa_register rbp\n\t"
	"mov %rdx, %rsp\n\tmov %rdi, %rax\n\tmov %esi, %edi\n\tcall *%rax\n\t"
	"leave\n\t.cfi_def_cfa rsp, 8\n\tret\n\t.cfi_endproc\n\t.size on_stack, . - on_stack\n");

ROW static void leaf(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

ROW static void away(unsigned bytes)
{
	CALL(leaf(bytes));
}

ROW static void switches(unsigned bytes)
{
	char *stack = malloc(64 * KIB);

	CALL(on_stack(away, bytes, (char *)((uintptr_t)(stack + 64 * KIB) & -16ul)));
}

/* A thread's stack with the other one above it, which is not the usual order. */
struct both {
	char own[128 * KIB], other[64 * KIB];
};

static void *in_thread(void *both)
{
	CALL(on_stack(away, 7003, ((struct both *)both)->other + 64 * KIB));
	return NULL;
}

int main(void)
{
	static struct both both __attribute__((aligned(4096)));
	pthread_attr_t attributes;
	pthread_t thread;

	CALL(switches(7001));
	pthread_attr_init(&attributes);
	REQUIRE(!pthread_attr_setstack(&attributes, both.own, sizeof(both.own)));
	REQUIRE(!pthread_create(&thread, &attributes, in_thread, &both) &&
		!pthread_join(thread, NULL));
	expect(7001, "foreign", "leaf away on_stack switches main start");
	expect(7003, "foreign", "leaf away on_stack in_thread thread");
	return 0;
}
