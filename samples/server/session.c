/* session.c - the table of sessions; holds the leak this sample is about. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "server.h"

#define N_BUCKETS 4096

struct session {
	struct session *next;
	unsigned long token;
	time_t opened;
	char *user;
	char history[4000]; /* the last pages seen, to continue where the user left off */
};

static struct {
	pthread_mutex_t lock; /* guards the whole table */
	struct session *buckets[N_BUCKETS];
	unsigned long n_sessions;
} sessions = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The bug: a login always opens a new session, and no logout or expiry closes one. */
unsigned long session_create(const char *user)
{
	struct session *s = must(calloc(1, sizeof(*s)));
	unsigned long token;

	s->user = must(strdup(user));
	s->opened = time(NULL);
	snprintf(s->history, sizeof(s->history), "login of %s", user);
	pthread_mutex_lock(&sessions.lock);
	s->token = token = ++sessions.n_sessions;
	s->next = sessions.buckets[s->token % N_BUCKETS];
	sessions.buckets[s->token % N_BUCKETS] = s;
	pthread_mutex_unlock(&sessions.lock);
	return token;
}

unsigned long session_count(void)
{
	unsigned long n;

	pthread_mutex_lock(&sessions.lock);
	n = sessions.n_sessions;
	pthread_mutex_unlock(&sessions.lock);
	return n;
}
