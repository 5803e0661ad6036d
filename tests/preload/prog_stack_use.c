/*
 * prog_stack_use.c - how much stack a malloc takes, on one that was painted before: prints the most
 * of many in the first process, the first of a forked child's, and what a thread has left that
 * begins with as little as libc allows beside a large __thread array.
 *
 *     {"sampled": BYTES, "first_of_child": BYTES}
 *
 * The thread's stack ends at a guard page: it dies where a hook takes more than there is.
 */
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include "victim.h"

#define STACK_BYTES (256 * KIB)
#define PAINT       0xa5

static __thread char large[8 * KIB];

static unsigned char *stack;
static ucontext_t main_context, painted_context;
static size_t wanted_bytes;

static void allocate(void)
{
	free(keep(malloc(wanted_bytes)));
}

static long stack_use(size_t bytes)
{
	size_t unused = 0;

	wanted_bytes = bytes;
	memset(stack, PAINT, STACK_BYTES);
	REQUIRE(!getcontext(&painted_context));
	painted_context.uc_stack.ss_sp = stack;
	painted_context.uc_stack.ss_size = STACK_BYTES;
	painted_context.uc_link = &main_context;
	makecontext(&painted_context, allocate, 0);
	REQUIRE(!swapcontext(&main_context, &painted_context));
	while (unused < STACK_BYTES && stack[unused] == PAINT)
		unused++;
	return (long)(STACK_BYTES - unused);
}

static void *in_thread(void *unused)
{
	memset(large, 1, sizeof(large));
	keep(large);
	for (size_t i = 0; i < 100; i++)
		free(keep(malloc(100 + i)));
	return NULL;
}

/* The least that libc accepts, with what it needs for __thread variables of all objects. */
static void run_thread_on_least_stack(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	size_t bytes = PTHREAD_STACK_MIN;

	REQUIRE(!pthread_attr_init(&attributes));
	for (;; bytes += 1024) {
		REQUIRE(bytes < MIB && !pthread_attr_setstacksize(&attributes, bytes));
		if (!pthread_create(&thread, &attributes, in_thread, NULL))
			break;
	}
	REQUIRE(!pthread_join(thread, NULL));
}

int main(void)
{
	long sampled = 0, first, *shared;
	pid_t pid;
	int status;

	stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stack != MAP_FAILED && shared != MAP_FAILED);
	stack_use(5000);
	for (size_t i = 0; i < 1000; i++) {
		long used = stack_use(100 + i);

		sampled = used > sampled ? used : sampled;
	}
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		*shared = stack_use(5000);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
	first = *shared;
	run_thread_on_least_stack();
	printf("{\"sampled\": %ld, \"first_of_child\": %ld}\n", sampled, first);
	return 0;
}
