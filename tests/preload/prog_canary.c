/*
 * prog_canary.c - has a secret wherever a program can have one, and waits to be looked at.
 *
 *     prog_canary ARGUMENT...
 *
 * The secret is the text made of "CANARY" and "-in-" and the place; it is put together here, so
 * that neither this file nor the program's read-only data hold it whole. Blocks of many sizes are
 * full of it, those that were freed too, stacks of threads, its environment (it adds to what it was
 * given), static data. Says "ready", churns until its input ends, and then exits with 0.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "victim.h"

#define N_BLOCKS 400

static char spread[65536];
static void *kept[N_BLOCKS];
static volatile int is_over;

static void fill(char *out, size_t bytes, const char *place)
{
	char secret[64];
	size_t n = (size_t)snprintf(secret, sizeof(secret), "%s%s%s", "CANARY", "-in-", place), i;

	for (i = 0; i < bytes; i++)
		out[i] = secret[i % n];
}

SITE static void keep_blocks(void)
{
	for (size_t i = 0; i < N_BLOCKS; i++) {
		size_t bytes = 32 + i * i % 9000;
		char *p = keep(malloc(bytes));

		REQUIRE(p);
		fill(p, bytes, "heap");
		kept[i] = p;
	}
	for (size_t i = 0; i < N_BLOCKS; i += 3) {
		free(kept[i]);
		kept[i] = NULL;
	}
}

/* Deep, so that whoever copies a piece of the stack gets some of it. */
SITE static void churn(int depth)
{
	volatile char here[256];

	fill((char *)here, sizeof(here), "stack");
	if (depth) {
		churn(depth - 1);
	} else {
		char *p = keep(malloc(100)), *q;

		fill(p, 100, "heap");
		q = keep(realloc(p, 5000));
		fill(q, 5000, "heap");
		free(q);
	}
	here[0] = here[1];
}

static void *work(void *arg)
{
	while (!is_over)
		churn(20);
	return NULL;
}

int main(int argc, char **argv)
{
	char text[200], c;
	pthread_t thread;

	fill(spread, sizeof(spread), "data");
	fill(text, sizeof(text) - 1, "environment");
	text[sizeof(text) - 1] = '\0';
	setenv("SECRET_OF_ITS_OWN", text, 1);
	keep_blocks();
	REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	churn(10);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) == 1)
		churn(3);
	is_over = 1;
	pthread_join(thread, NULL);
	return argc == 0;
}
