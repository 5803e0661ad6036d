/*
 * prog_small_stack.c - allocates on stacks with little room, each above a guard page: threads of
 * the smallest size there is (16 KiB), a signal handler on a stack that has 2 KiB for it beside
 * what the kernel puts there, a context of 16 KiB.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "victim.h"

#define CONTEXT_BYTES 16384ul
#define HANDLER_BYTES 2048ul

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

/* So many bytes with an unreadable page at their lower end, and one somewhere above them. */
static char *guarded(size_t bytes)
{
	size_t whole = (bytes + 4095) & ~4095ul;
	char *pages = mmap(NULL, whole + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(pages != MAP_FAILED && !mprotect(pages + 4096, whole, PROT_READ | PROT_WRITE));
	return pages + 4096;
}

int main(void)
{
	struct sigaction action = { .sa_handler = in_handler, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + HANDLER_BYTES };
	pthread_attr_t attr;
	pthread_t thread;
	char *context_stack;

	stack.ss_sp = guarded(stack.ss_size);
	context_stack = guarded(CONTEXT_BYTES);
	pthread_attr_init(&attr);
	REQUIRE(pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN) == 0);
	for (int i = 0; i < 50; i++) {
		REQUIRE(!pthread_create(&thread, &attr, in_thread, NULL));
		pthread_join(thread, NULL);
	}
	REQUIRE(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	for (int i = 0; i < 50; i++)
		raise(SIGUSR1);
	/* The page above is unreadable too: a walk that runs past the stack dies here. */
	for (int i = 0; i < 50; i++) {
		getcontext(&small_context);
		small_context.uc_stack.ss_sp = context_stack;
		small_context.uc_stack.ss_size = CONTEXT_BYTES;
		small_context.uc_link = &main_context;
		makecontext(&small_context, allocate, 0);
		swapcontext(&main_context, &small_context);
	}
	printf("{\"keep_small\": %d}\n", 150 * 1000);
	return 0;
}
