/*
 * prog_thread_exit.cc - memory at the end of threads: destructors of thread_local objects and of
 * keys, over all rounds, allocate and free.
 */
#include <limits.h>
#include <pthread.h>
#include "heapspy/heapspy.h"
#include "sites.h"

SITE static void *late_malloc(void *, size_t n)
{
	return keep(malloc(n));
}

static struct site site = { "late_malloc", late_malloc };
static pthread_key_t keys[3];

static char *make(size_t n)
{
	site_birth(&site, n);
	return static_cast<char *>(memset(late_malloc(nullptr, n), 0, n));
}

static void destroy(void *p, size_t n)
{
	site_death(&site, n);
	free(p);
}

struct Local {
	char *p = make(100);
	~Local()
	{
		destroy(p, 100);
		destroy(make(120), 120);
	}
};
static thread_local Local local;

/* Each block is followed by one for the next round, until all rounds are used; one more is leaked.
 */
static void key_destructor(void *value)
{
	auto p = static_cast<char *>(value);
	auto round = char(p[0] + 1);

	destroy(p, 200);
	if (round == PTHREAD_DESTRUCTOR_ITERATIONS)
		return;
	make(50);
	for (auto key : keys)
		if (!pthread_getspecific(key)) {
			p = make(200);
			p[0] = round;
			pthread_setspecific(key, p);
			break;
		}
}

static void *work(void *)
{
	keep(local.p);
	for (auto key : keys)
		pthread_setspecific(key, make(200));
	return nullptr;
}

int main()
{
	for (auto &key : keys)
		pthread_key_create(&key, key_destructor);
	for (int i = 0; i < 300; i++) {
		pthread_t threads[3];
		for (auto &thread : threads)
			REQUIRE(!pthread_create(&thread, nullptr, work, nullptr));
		for (auto thread : threads)
			pthread_join(thread, nullptr);
	}
	heapspy_snapshot("end");
	sites_print(&site, 1);
}
