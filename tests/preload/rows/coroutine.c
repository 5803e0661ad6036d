/*
 * coroutine.c - two coroutines of makecontext() with guard pages around their stacks. The stack of
 * one ends where it began, not in main.
 */
#include <sys/mman.h>
#include <ucontext.h>
#include "rows.h"

#define STACK_BYTES 65536

static ucontext_t main_context, contexts[2];

ROW static void deeper(unsigned depth)
{
	if (depth > 0)
		CALL(deeper(depth - 1));
	else
		CALL(ALLOCATE(7001));
}

static void body(int other)
{
	for (int i = 0; i < 4; i++) {
		CALL(deeper(1));
		swapcontext(&contexts[!other], &contexts[other]);
	}
	swapcontext(&contexts[!other], &main_context);
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		char *stack = mmap(
			NULL, STACK_BYTES + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(stack != MAP_FAILED);
		REQUIRE(mprotect(stack + 4096, STACK_BYTES, PROT_READ | PROT_WRITE) == 0);
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stack + 4096;
		contexts[i].uc_stack.ss_size = STACK_BYTES;
		contexts[i].uc_link = &main_context;
		makecontext(&contexts[i], (void (*)(void))body, 1, !i);
	}
	swapcontext(&main_context, &contexts[0]);
	CALL(ALLOCATE(7003));
	expect(7001, "foreign", "deeper deeper body libc");
	expect(7003, "", "main start");
	return 0;
}
