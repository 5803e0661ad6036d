/*
 * starts.c - stacks that do not begin in main: constructors, threads of both kinds, handlers of
 * exit; and callbacks that come back through libc.
 */
#include <pthread.h>
#include <threads.h>
#include "heapspy/heapspy.h"
#include "rows.h"

__attribute__((constructor)) static void constructor(void)
{
	CALL(ALLOCATE(7001));
}

ROW static void in_thread(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

static void *posix_thread(void *unused)
{
	CALL(in_thread(7003));
	return NULL;
}

static int c11_thread(void *unused)
{
	CALL(in_thread(7005));
	return 0;
}

static int compare(const void *a, const void *b)
{
	CALL(ALLOCATE(7007));
	return *(const int *)a - *(const int *)b;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void once_only(void)
{
	CALL(ALLOCATE(7009));
}

static void destroy_key(void *value)
{
	CALL(ALLOCATE(7011));
}

static void *key_thread(void *unused)
{
	pthread_setspecific(key, &key);
	return NULL;
}

static void handler(void)
{
	CALL(ALLOCATE(7013));
	expect(7001, "", "constructor libc _start");
	expect(7003, "", "in_thread posix_thread thread");
	expect(7005, "", "in_thread c11_thread thread");
	expect(7007, "", "compare libc main start");
	expect(7009, "", "once_only libc main start");
	expect(7011, "", "destroy_key thread");
	expect(7013, "", "handler ... start");
	heapspy_snapshot("end");
}

int main(void)
{
	int numbers[] = { 5, 2, 9, 1, 7, 3, 8 };
	pthread_attr_t attributes;
	pthread_t thread;
	thrd_t c11;

	REQUIRE(atexit(handler) == 0);
	pthread_attr_init(&attributes);
	REQUIRE(pthread_attr_setstacksize(&attributes, 16384) == 0);
	REQUIRE(!pthread_create(&thread, &attributes, posix_thread, NULL) &&
		!pthread_join(thread, NULL));
	REQUIRE(!pthread_create(&thread, NULL, posix_thread, NULL) && !pthread_join(thread, NULL));
	REQUIRE(thrd_create(&c11, c11_thread, NULL) == thrd_success &&
		thrd_join(c11, NULL) == thrd_success);
	qsort(numbers, 7, sizeof(numbers[0]), compare);
	pthread_once(&once, once_only);
	REQUIRE(!pthread_key_create(&key, destroy_key));
	REQUIRE(!pthread_create(&thread, NULL, key_thread, NULL) && !pthread_join(thread, NULL));
	return 0;
}
