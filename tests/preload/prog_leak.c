/*
 * prog_leak.c - 30 MiB leaked beside 3000 MiB of churn and a cache of 64 MiB.
 *
 *     prog_leak SECONDS        spread evenly over that time; 0: as fast as it goes
 *
 * Labels "begin" and "end" enclose exactly the growth that it prints.
 */
#include "heapspy/heapspy.h"
#include "victim.h"

#define STEPS       3000
#define LEAK_BYTES  (30 * MIB)
#define CHURN_BYTES (3000 * MIB)
#define CACHE_BYTES (64 * MIB)
#define CACHE_SLOTS 4096

struct session {
	struct session *next;
	char data[];
};

static struct session *sessions;
static void *cache[CACHE_SLOTS];
static size_t leaked_bytes;
static uint64_t seed = 1;

SITE static void session_open(size_t bytes)
{
	struct session *s = keep(malloc(bytes));

	REQUIRE(s);
	s->next = sessions;
	sessions = s;
	leaked_bytes += bytes;
}

SITE static void cache_refill(unsigned slot)
{
	free(cache[slot]);
	cache[slot] = keep(malloc(CACHE_BYTES / CACHE_SLOTS));
	REQUIRE(cache[slot]);
}

SITE static size_t parse_message(void)
{
	size_t bytes = 16 + draw(&seed) % 4000;
	char *message = keep(malloc(bytes));

	REQUIRE(message);
	message[0] = 1;
	free(message);
	return bytes;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0, start_s;
	size_t churned = 0;

	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		cache_refill(i);
	heapspy_snapshot("begin");
	start_s = now_s();
	leaked_bytes = 0;
	for (unsigned step = 1; step <= STEPS; step++) {
		while (leaked_bytes < LEAK_BYTES / STEPS * step)
			session_open(24 + draw(&seed) % 2000);
		while (churned < CHURN_BYTES / STEPS * step)
			churned += parse_message();
		cache_refill(step % CACHE_SLOTS);
		sleep_s(start_s + seconds * step / STEPS - now_s());
	}
	heapspy_snapshot("end");
	printf("{\"growth\": %zu, \"function\": \"session_open\"}\n", leaked_bytes);
	return 0;
}
