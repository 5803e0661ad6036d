/*
 * deep.c - frames of 80 MiB, which no row has room for, and of 1 MiB, in a thread of 256 MiB.
 */
#include <pthread.h>
#include "rows.h"

/* Keeps the whole array where it is. */
static inline void touch(char *block)
{
	__asm__ volatile("" ::"r"(block) : "memory");
}

ROW static void leaf(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

ROW static void small(unsigned bytes)
{
	char block[1 << 20];

	touch(block);
	CALL(leaf(bytes));
	touch(block);
}

ROW static void huge(unsigned bytes)
{
	char block[80 << 20];

	touch(block);
	CALL(small(bytes));
	touch(block);
}

static void *thread_function(void *unused)
{
	CALL(small(7001));
	CALL(huge(7003));
	return NULL;
}

int main(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	REQUIRE(pthread_attr_setstacksize(&attributes, 256 * MIB) == 0);
	REQUIRE(!pthread_create(&thread, &attributes, thread_function, NULL) &&
		!pthread_join(thread, NULL));
	expect(7001, "", "leaf small thread_function thread");
	expect(7003, "foreign", "leaf small huge thread_function thread");
	return 0;
}
