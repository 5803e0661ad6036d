/*
 * prog_small_stack.c - allocates on stacks with little room: threads of 16 KiB, a signal handler on
 * an alternate stack of 8 KiB, a context of 16 KiB that ends in a guard page.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "victim.h"

static ucontext_t main_context, small_context;

SITE static void *keep_small(void)
{
	return keep(malloc(1000));
}

static void allocate(void)
{
	for (int i = 0; i < 100; i++)
		free(keep(malloc(4000)));
	keep_small();
}

static void *in_thread(void *unused)
{
	allocate();
	return NULL;
}

static void in_handler(int sig)
{
	allocate();
}

int main(void)
{
	struct sigaction action = { .sa_handler = in_handler, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = malloc(8192), .ss_size = 8192 };
	char *guarded =
		mmap(NULL, 24576, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	REQUIRE(pthread_attr_setstacksize(&attr, 16384) == 0);
	for (int i = 0; i < 50; i++) {
		REQUIRE(!pthread_create(&thread, &attr, in_thread, NULL));
		pthread_join(thread, NULL);
	}
	REQUIRE(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	for (int i = 0; i < 50; i++)
		raise(SIGUSR1);
	/* A guard page on both ends: a walk that runs past the stack dies here. */
	REQUIRE(mprotect(guarded, 4096, PROT_NONE) == 0);
	REQUIRE(mprotect(guarded + 20480, 4096, PROT_NONE) == 0);
	for (int i = 0; i < 50; i++) {
		getcontext(&small_context);
		small_context.uc_stack.ss_sp = guarded + 4096;
		small_context.uc_stack.ss_size = 16384;
		small_context.uc_link = &main_context;
		makecontext(&small_context, allocate, 0);
		swapcontext(&main_context, &small_context);
	}
	printf("{\"keep_small\": %d}\n", 150 * 1000);
	return 0;
}
