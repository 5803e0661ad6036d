/*
 * load.c - the load of the sample server.
 *
 *     load PORT [SECONDS [REQUESTS [SEED]]]
 *
 * Spreads REQUESTS evenly over SECONDS on N_CLIENTS connections: one in four is a login, the
 * others ask for pages, popular ones more often. The same SEED gives the same requests.
 * Prints what was answered; exit 1 when an answer was missing or wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_CLIENTS      4
#define N_PAGES        8192
#define ANSWER_BYTES   65536
#define GRACE_SECONDS  5 /* a load that falls behind its pace gives up this late */
#define ANSWER_SECONDS 5

struct client {
	pthread_t thread;
	int index;
	unsigned long n_logins, n_pages, n_errors, n_late;
};

static unsigned long port, seconds = 15, n_requests = 30000, seed = 1;
static struct timespec started;

/* splitmix64: request i is a function of seed and i, whichever client sends it. */
static uint64_t random_of(uint64_t i)
{
	uint64_t z = seed * 0x9e3779b97f4a7c15u + (i + 1) * 0xbf58476d1ce4e5b9u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static double elapsed_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - started.tv_sec) +
	       (double)(now.tv_nsec - started.tv_nsec) * 1e-9;
}

static void sleep_until_s(double due_s)
{
	double left_s = due_s - elapsed_s();

	if (left_s > 0)
		usleep((useconds_t)(left_s * 1e6));
}

static int connect_server(void)
{
	struct sockaddr_in where = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&where, sizeof(where)) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Sends one request and reads its whole answer; 0 when that was a 200. */
static int ask(int fd, const char *path, char *answer)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: heapspy-load\r\n"
		"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\n\r\n",
		path);
	size_t have = 0, want = 0;

	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return -1;
	while (want == 0 || have < want) {
		ssize_t got = recv(fd, answer + have, ANSWER_BYTES - 1 - have, 0);
		char *body;

		if (got <= 0)
			return -1;
		have += (size_t)got;
		answer[have] = '\0';
		body = want ? NULL : strstr(answer, "\r\n\r\n");
		if (body) {
			char *length = strstr(answer, "Content-Length: ");

			if (!length || length > body)
				return -1;
			want = (size_t)(body + 4 - answer) + strtoul(length + 16, NULL, 10);
			if (want >= ANSWER_BYTES)
				return -1;
		}
	}
	return strncmp(answer, "HTTP/1.1 200", 12) == 0 ? 0 : -1;
}

static void *client_run(void *arg)
{
	struct client *c = arg;
	char *answer = malloc(ANSWER_BYTES);
	int fd = connect_server();

	for (uint64_t i = (uint64_t)c->index; i < n_requests; i += N_CLIENTS) {
		uint64_t r = random_of(i);
		char path[64];

		if (elapsed_s() > (double)(seconds + GRACE_SECONDS)) {
			c->n_late += (n_requests - i + N_CLIENTS - 1) / N_CLIENTS;
			break;
		}
		sleep_until_s((double)i * (double)seconds / (double)n_requests);
		if (r % 4 == 0)
			snprintf(path, sizeof(path), "/login?user=user%u", (unsigned)(r >> 40));
		else
			/* The product of two draws: low page numbers come more often. */
			snprintf(path, sizeof(path), "/page/%u",
				(unsigned)((r >> 8 & 0xffff) * (r >> 24 & 0xffff) * N_PAGES >> 32));
		if (!answer || fd < 0 || ask(fd, path, answer) != 0) {
			c->n_errors++;
			if (fd >= 0)
				close(fd);
			fd = connect_server();
		} else if (r % 4 == 0) {
			c->n_logins++;
		} else {
			c->n_pages++;
		}
	}
	if (fd >= 0)
		close(fd);
	free(answer);
	return NULL;
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end || *text == '-' || value == 0 || value > max) {
		fprintf(stderr, "load: '%s' is not a number from 1 to %lu\n", text, max);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	struct client clients[N_CLIENTS] = { 0 };
	unsigned long n_logins = 0, n_pages = 0, n_errors = 0, n_late = 0;

	if (argc < 2 || argc > 5) {
		fprintf(stderr, "usage: load PORT [SECONDS [REQUESTS [SEED]]]\n");
		return 2;
	}
	port = number(argv[1], 65535);
	if (argc > 2)
		seconds = number(argv[2], 86400);
	if (argc > 3)
		n_requests = number(argv[3], 1000000000);
	if (argc > 4)
		seed = number(argv[4], ~0ul);

	clock_gettime(CLOCK_MONOTONIC, &started);
	for (int i = 0; i < N_CLIENTS; i++) {
		clients[i].index = i;
		if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0) {
			fprintf(stderr, "load: cannot start a client\n");
			return 1;
		}
	}
	for (int i = 0; i < N_CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
		n_logins += clients[i].n_logins;
		n_pages += clients[i].n_pages;
		n_errors += clients[i].n_errors;
		n_late += clients[i].n_late;
	}
	printf("%lu logins and %lu pages answered in %.1f s, %lu wrong, %lu not sent in time\n",
		n_logins, n_pages, elapsed_s(), n_errors, n_late);
	return n_errors || n_late ? 1 : 0;
}
