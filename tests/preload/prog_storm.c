/*
 * prog_storm.c - THREADS threads allocate, in their own stacks and in coroutines, while each has a
 * timer of its own whose signal is to come every 100 us, to a handler that allocates too: on the
 * alternate stack in every second thread. Timers that elapse while a thread waits for a processor
 * come as one signal, so the main thread sends some as well, as fast as it can. Each block is
 * looked at before it is freed. To be run above lib_slots.so: other mallocs may not be called from
 * handlers.
 *
 *     prog_storm SECONDS THREADS      {"handled": N, "seconds": S}
 */
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#include "victim.h"

#define THREADS_MAX   64
#define STACK_BYTES   (64 * KIB)
#define PERIOD_NS     100000
#define N_IN_HANDLERS 8

static volatile int stop;
static unsigned long handled;

static _Thread_local struct {
	void *block;
	size_t bytes;
} kept[N_IN_HANDLERS];
static _Thread_local unsigned turn;

static void *make(size_t n, unsigned char mark)
{
	unsigned char *p = keep(malloc(n));

	REQUIRE(p && (uintptr_t)p % 16 == 0);
	memset(p, mark, n);
	return p;
}

static void look_and_free(unsigned char *p, size_t n, unsigned char mark)
{
	for (size_t i = 0; i < n; i++)
		fail_unless(p[i] == mark, "a block was written by somebody else");
	free(p);
}

/* Some of its blocks live until later signals. Never interrupts itself: the signal is blocked
 * meanwhile. */
static void handler(int sig)
{
	unsigned at = turn++ % N_IN_HANDLERS;

	if (kept[at].block)
		look_and_free(kept[at].block, kept[at].bytes, 0x77);
	kept[at].bytes = 1 + turn % 500;
	kept[at].block = make(kept[at].bytes, 0x77);
	free(keep(realloc(keep(calloc(3, 100)), 700)));
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

SITE static void allocate(uint64_t *seed)
{
	size_t n = 1 + draw(seed) % 3000;
	unsigned char *p = make(n, (unsigned char)n);

	if (n % 5 == 0) {
		p = keep(realloc(p, n * 2));
		memset(p + n, (unsigned char)n, n);
		look_and_free(p, n * 2, (unsigned char)n);
	} else {
		look_and_free(p, n, (unsigned char)n);
	}
}

static _Thread_local ucontext_t outside, inside;
static _Thread_local uint64_t seed;

static void coroutine(void)
{
	for (int i = 0; i < 50; i++) {
		allocate(&seed);
		swapcontext(&inside, &outside);
	}
}

static void run_coroutine(char *stack)
{
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = STACK_BYTES;
	inside.uc_link = &outside;
	makecontext(&inside, coroutine, 0);
	/* Once more than it yields: the last time it ends. */
	for (int i = 0; i < 51; i++) {
		swapcontext(&outside, &inside);
		allocate(&seed);
	}
}

static void *work(void *number)
{
	long self = (long)number;
	struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };
	char *coroutine_stack = keep(malloc(STACK_BYTES)),
	     *signal_stack = keep(malloc(STACK_BYTES));
	timer_t timer;

	seed = 3 + (uint64_t)self;
	if (self % 2)
		REQUIRE(!sigaltstack(
			&(stack_t){ .ss_sp = signal_stack, .ss_size = STACK_BYTES }, NULL));
	event._sigev_un._tid = gettid();
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer) &&
		!timer_settime(timer, 0, &period, NULL));
	while (!stop) {
		for (int i = 0; i < 100; i++)
			allocate(&seed);
		if (self % 4 > 1)
			run_coroutine(coroutine_stack);
	}
	REQUIRE(!timer_delete(timer));
	for (int i = 0; i < N_IN_HANDLERS; i++)
		free(kept[i].block);
	if (self % 2)
		REQUIRE(!sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL));
	free(coroutine_stack);
	free(signal_stack);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };
	double begun_s = now_s(), seconds = argc > 1 ? atof(argv[1]) : 1;
	int n_threads = argc > 2 ? atoi(argv[2]) : 8;
	pthread_t threads[THREADS_MAX];

	REQUIRE(n_threads <= THREADS_MAX && !sigaction(SIGPROF, &action, NULL));
	for (long i = 0; i < n_threads; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, work, (void *)i));
	while (now_s() - begun_s < seconds)
		for (int i = 0; i < n_threads; i++)
			pthread_kill(threads[i], SIGPROF);
	stop = 1;
	for (int i = 0; i < n_threads; i++)
		REQUIRE(!pthread_join(threads[i], NULL));
	printf("{\"handled\": %lu, \"seconds\": %.1f}\n", handled, now_s() - begun_s);
	return 0;
}
