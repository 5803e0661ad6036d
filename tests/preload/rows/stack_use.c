/*
 * stack_use.c - how much stack an allocation takes: paints the stack below a call, and looks how
 * far down the paint is gone. Prints that for some kinds of allocations: KIND BYTES, a line each.
 */
#include <pthread.h>
#include "rows.h"

#define PAINTED_BYTES 49152
#define STACK_BYTES   (PAINTED_BYTES + 16384)

typedef void operation(void);

static void *kept[64];

/* The bytes below this frame's end that the call has written to, the red zone with them. */
ROW static unsigned used_by(operation *run)
{
	unsigned char *here, *low;

	__asm__ volatile("movq %%rsp, %0" : "=r"(here));
	here -= 128;
	for (low = here - 1; low >= here - PAINTED_BYTES; low--)
		*(volatile unsigned char *)low = 0xa5;
	run();
	for (low = here - PAINTED_BYTES; low < here && *(volatile unsigned char *)low == 0xa5;
		low++)
		;
	return here - low + 128;
}

static void allocates(void)
{
	kept[0] = ALLOCATE(100);
}

static void allocates_much(void)
{
	kept[1] = ALLOCATE(300000);
}

static void resizes(void)
{
	kept[0] = keep(realloc(kept[0], 5000));
}

static void frees(void)
{
	free(kept[0]);
	free(kept[1]);
	kept[0] = kept[1] = NULL;
}

/* 200 other places. */
static void allocates_elsewhere(void)
{
#define HERE   kept[2] = ALLOCATE(50);
#define TEN(x) x x x x x x x x x x
	TEN(TEN(HERE HERE))
}

/* Until tables grow, and with a small HEAPSPY_STATE_MAX are thinned. */
static void allocates_often(void)
{
	for (int i = 0; i < 40000; i++)
		ALLOCATE(16);
}

static void waits_and_allocates(void)
{
	sleep_s(0.03);
	for (int i = 0; i < 300; i++)
		kept[3 + i % 50] = ALLOCATE(2000);
}

static void *in_thread(void *unused)
{
	static const struct {
		const char *what;
		operation *run;
	} rows[] = {
		{ "first", allocates },
		{ "second", allocates },
		{ "much", allocates_much },
		{ "resize", resizes },
		{ "free", frees },
		{ "elsewhere", allocates_elsewhere },
		{ "often", allocates_often },
		{ "later", waits_and_allocates },
		{ "warm", allocates },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned bytes = used_by(rows[i].run);

		dprintf(1, "%s %u\n", rows[i].what, bytes);
	}
	return NULL;
}

int main(void)
{
	static char stack[STACK_BYTES + 65536] __attribute__((aligned(4096)));
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	REQUIRE(!pthread_attr_setstack(&attributes, stack, sizeof(stack)));
	REQUIRE(!pthread_create(&thread, &attributes, in_thread, NULL) &&
		!pthread_join(thread, NULL));
	return 0;
}
