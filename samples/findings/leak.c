/*
 * leak.c - a job server that keeps a session for each client and never closes one.
 *
 * Four seconds of a thousand requests each; nothing in it knows of heapspy.
 */
#include <string.h>
#include <time.h>
#include "finding.h"

#define N_ROUTES   4000
#define N_REQUESTS 4000
#define REQUEST_NS 1000000

struct session {
	struct session *next;
	char user[32];
	char history[12000];
};

static struct session *sessions;
static char *routes[N_ROUTES];
static uint64_t seed = 1;

static void load_routes(void)
{
	for (unsigned i = 0; i < N_ROUTES; i++)
		routes[i] = memset(must(malloc(6000)), '/', 6000);
}

/* The bug: a session is opened for every request, and there is no session_close(). */
static void session_open(const char *user)
{
	struct session *s = must(malloc(sizeof(*s)));

	memset(s->history, 0, sizeof(s->history));
	snprintf(s->user, sizeof(s->user), "%s", user);
	s->next = sessions;
	sessions = s;
}

static unsigned handle_request(void)
{
	size_t bytes = 20000 + draw(&seed, 40000);
	char *body = memset(must(malloc(bytes)), 'x', bytes);
	char user[32];
	unsigned status = body[bytes - 1] == 'x' && routes[draw(&seed, N_ROUTES)] ? 200 : 404;

	snprintf(user, sizeof(user), "user%u", draw(&seed, 1000000));
	session_open(user);
	free(body);
	return status;
}

int main(void)
{
	struct timespec due;
	unsigned n_served = 0;

	load_routes();
	clock_gettime(CLOCK_MONOTONIC, &due);
	for (unsigned i = 0; i < N_REQUESTS; i++) {
		n_served += handle_request() == 200;
		due.tv_nsec += REQUEST_NS;
		due.tv_sec += due.tv_nsec / 1000000000;
		due.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	}
	printf("%u requests served\n", n_served);
	return 0;
}
