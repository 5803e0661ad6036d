/*
 * overflow.c - a thread's stack runs into its guard page; the handler, on a stack of its own,
 * allocates. The frames begin where nothing can be read.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include "rows.h"

static sigjmp_buf back;
static volatile int endless = 1;

static void on_overflow(int number)
{
	CALL(ALLOCATE(7001));
	siglongjmp(back, 1);
}

ROW static void recursive(void)
{
	char block[1000];

	__asm__ volatile("" ::"r"(block) : "memory");
	if (endless)
		CALL(recursive());
	__asm__ volatile("" ::"r"(block) : "memory");
}

static void *thread_function(void *unused)
{
	static char other[65536];
	stack_t stack = { .ss_sp = other, .ss_size = sizeof(other) };

	REQUIRE(sigaltstack(&stack, NULL) == 0);
	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(back, 1) == 0)
			CALL(recursive());
		CALL(ALLOCATE(7003));
	}
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_overflow, .sa_flags = SA_ONSTACK };
	pthread_attr_t attributes;
	pthread_t thread;

	REQUIRE(sigaction(SIGSEGV, &action, NULL) == 0);
	pthread_attr_init(&attributes);
	REQUIRE(!pthread_attr_setstacksize(&attributes, 65536));
	REQUIRE(!pthread_create(&thread, &attributes, thread_function, NULL) &&
		!pthread_join(thread, NULL));
	expect(7001, "signal foreign",
		"on_overflow libc recursive! recursive+ thread_function thread");
	expect(7003, "", "thread_function thread");
	return 0;
}
