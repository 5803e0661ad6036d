/*
 * server_loop.c - a server without a network: producers allocate requests, consumers answer and
 * free them, so most frees are another thread's blocks. The work and the output depend on the
 * number of requests only.
 *
 *     server_loop [REQUESTS]
 *
 * Each producer has a queue to each consumer; a consumer takes from its queues in turn, so that
 * what its cache holds does not depend on who runs when.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_SIDES   2 /* producers, and consumers */
#define QUEUE     64
#define BUNDLE    32 /* requests handed over at a time */
#define HEADERS   4
#define BUCKETS   8192
#define CAPACITY  6000 /* entries of a cache */
#define PATHS     30000
#define MAX_VALUE 2048

struct request {
	char *path;
	char *header[HEADERS];
	char *body;
	size_t body_bytes;
};

struct bundle {
	struct request *request[BUNDLE];
	unsigned n;
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct bundle *slot[QUEUE];
	unsigned long put, taken;
};

struct entry {
	struct entry *next;
	char *path;
	char *value;
	size_t value_bytes;
	unsigned hits;
};

struct consumer {
	unsigned number;
	struct entry *bucket[BUCKETS];
	struct entry *ring[CAPACITY]; /* the oldest is replaced */
	unsigned long n_entries;
	uint64_t checksum;
};

static struct queue queues[N_SIDES][N_SIDES];
static struct consumer consumers[N_SIDES];
static long n_requests = 400000;

static void *need(void *block)
{
	if (!block) {
		fprintf(stderr, "server_loop: no memory\n");
		exit(1);
	}
	return block;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static uint64_t hash(uint64_t h, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3;
	return h;
}

/* A bundle of NULL ends the queue. */
static void put(struct queue *q, struct bundle *bundle)
{
	pthread_mutex_lock(&q->lock);
	while (q->put - q->taken == QUEUE)
		pthread_cond_wait(&q->changed, &q->lock);
	q->slot[q->put++ % QUEUE] = bundle;
	pthread_cond_signal(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static struct bundle *take(struct queue *q)
{
	struct bundle *bundle;

	pthread_mutex_lock(&q->lock);
	while (q->put == q->taken)
		pthread_cond_wait(&q->changed, &q->lock);
	bundle = q->slot[q->taken++ % QUEUE];
	pthread_cond_signal(&q->changed);
	pthread_mutex_unlock(&q->lock);
	return bundle;
}

static struct request *make_request(uint64_t *random)
{
	static const char *const names[HEADERS] = { "Host", "Accept", "Cookie", "User-Agent" };
	struct request *r = need(calloc(1, sizeof(*r)));
	char text[256];
	uint64_t dice = next_random(random);

	/* The minimum of two draws: some paths are asked for more often. */
	unsigned one = (unsigned)(dice % PATHS), two = (unsigned)((dice >> 20) % PATHS);

	snprintf(text, sizeof(text), "/api/v1/item/%u/detail", one < two ? one : two);
	r->path = need(strdup(text));
	for (unsigned i = 0; i < HEADERS; i++) {
		snprintf(text, sizeof(text), "%s: %.*s", names[i], (int)(dice >> (8 * i) & 63),
			"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz");
		r->header[i] = need(strdup(text));
	}
	r->body_bytes = 32 + (size_t)(dice >> 40) % 480;
	r->body = need(malloc(r->body_bytes));
	memset(r->body, (int)(dice >> 8 & 127), r->body_bytes);
	return r;
}

static void *produce(void *argument)
{
	unsigned number = (unsigned)(uintptr_t)argument;
	uint64_t random = 0x9e3779b97f4a7c15u * (number + 1);
	long left = n_requests / N_SIDES;
	struct bundle *bundle;

	for (unsigned to = 0; left > 0; to = (to + 1) % N_SIDES) {
		bundle = need(malloc(sizeof(*bundle)));
		for (bundle->n = 0; bundle->n < BUNDLE && left > 0; left--)
			bundle->request[bundle->n++] = make_request(&random);
		put(&queues[number][to], bundle);
	}
	for (unsigned to = 0; to < N_SIDES; to++)
		put(&queues[number][to], NULL);
	return NULL;
}

static struct entry **find(struct consumer *c, const char *path)
{
	struct entry **place = &c->bucket[hash(0xcbf29ce484222325, path, strlen(path)) % BUCKETS];

	while (*place && strcmp((*place)->path, path))
		place = &(*place)->next;
	return place;
}

static void evict(struct consumer *c, struct entry *old)
{
	struct entry **place = find(c, old->path);

	*place = old->next;
	free(old->path);
	free(old->value);
	free(old);
}

static struct entry *look_up(struct consumer *c, struct request *r)
{
	struct entry **place = find(c, r->path), *e = *place;
	struct entry **oldest;

	if (e) {
		e->hits++;
		return e;
	}
	oldest = &c->ring[c->n_entries++ % CAPACITY];
	if (*oldest)
		evict(c, *oldest);
	e = need(calloc(1, sizeof(*e)));
	e->path = need(strdup(r->path));
	e->value_bytes = 64 + (r->body_bytes * 37) % (MAX_VALUE - 64);
	e->value = need(malloc(e->value_bytes));
	memset(e->value, r->body[0], e->value_bytes);
	place = find(c, e->path);
	e->next = *place;
	*place = e;
	*oldest = e;
	return e;
}

/* The answer grows as its parts are added. */
static char *append(char *text, size_t *used, size_t *room, const char *part, size_t n)
{
	while (*used + n > *room) {
		*room = *room ? 2 * *room : 64;
		text = need(realloc(text, *room));
	}
	memcpy(text + *used, part, n);
	*used += n;
	return text;
}

static void answer(struct consumer *c, struct request *r)
{
	struct entry *e = look_up(c, r);
	size_t used = 0, room = 0;
	char *text = NULL;

	for (unsigned i = 0; i < HEADERS; i++)
		text = append(text, &used, &room, r->header[i], strlen(r->header[i]));
	text = append(text, &used, &room, e->value, e->value_bytes);
	text = append(text, &used, &room, r->body, r->body_bytes);
	c->checksum = hash(c->checksum, text, used < 64 ? used : 64) + used;
	free(text);
	for (unsigned i = 0; i < HEADERS; i++)
		free(r->header[i]);
	free(r->path);
	free(r->body);
	free(r);
}

static void *consume(void *argument)
{
	struct consumer *c = argument;
	struct bundle *bundle;
	unsigned from = 0, n_open = N_SIDES;
	int open[N_SIDES] = { 1, 1 };

	for (; n_open; from = (from + 1) % N_SIDES) {
		if (!open[from])
			continue;
		bundle = take(&queues[from][c->number]);
		if (!bundle) {
			open[from] = 0;
			n_open--;
			continue;
		}
		for (unsigned i = 0; i < bundle->n; i++)
			answer(c, bundle->request[i]);
		free(bundle);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t producer[N_SIDES], thread[N_SIDES];
	uint64_t checksum = 0;

	if (argc > 1)
		n_requests = atol(argv[1]);
	for (unsigned i = 0; i < N_SIDES * N_SIDES; i++) {
		pthread_mutex_init(&queues[i / N_SIDES][i % N_SIDES].lock, NULL);
		pthread_cond_init(&queues[i / N_SIDES][i % N_SIDES].changed, NULL);
	}
	for (unsigned i = 0; i < N_SIDES; i++) {
		consumers[i].number = i;
		if (pthread_create(&thread[i], NULL, consume, &consumers[i]) ||
			pthread_create(&producer[i], NULL, produce, (void *)(uintptr_t)i))
			need(NULL);
	}
	for (unsigned i = 0; i < N_SIDES; i++) {
		pthread_join(producer[i], NULL);
		pthread_join(thread[i], NULL);
		checksum ^= consumers[i].checksum + consumers[i].n_entries;
	}
	printf("{\"requests\": %ld, \"checksum\": \"%016llx\"}\n", n_requests,
		(unsigned long long)checksum);
	return 0;
}
