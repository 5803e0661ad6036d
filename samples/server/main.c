/*
 * main.c - the sample server: a small HTTP server with one leak, for trying heapspy on.
 *
 *     server [PORT]            on 127.0.0.1; without PORT a free one, which it prints
 *
 *     GET /login?user=NAME     opens a session and answers its token     (session.c)
 *     GET /page/N              a rendered page, from a bounded cache     (cache.c)
 *     GET /stats               sessions and bytes in the cache
 *
 * A fixed set of workers accepts connections, each serving one at a time.
 * SIGTERM and SIGINT are awaited by main, which wakes the workers, joins them and returns 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "server.h"

#define N_WORKERS     8
#define REQUEST_BYTES 8192

static int listener;
static atomic_bool stopping;
static atomic_int connections[N_WORKERS]; /* descriptor each worker serves, -1 none */

void die(const char *what)
{
	fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
	exit(1);
}

void *must(void *block)
{
	if (!block)
		die("out of memory");
	return block;
}

static int answer(int fd, const struct request *r)
{
	unsigned long number;
	char line[128];
	int result;

	if (strcmp(r->path, "/login") == 0 && strncmp(r->query, "user=", 5) == 0) {
		snprintf(line, sizeof(line), "token %lu\n", session_create(r->query + 5));
		return respond(fd, "200 OK", line, strlen(line));
	}
	if (sscanf(r->path, "/page/%lu", &number) == 1) {
		size_t bytes;
		char *text = cache_get(number, &bytes);

		result = respond(fd, "200 OK", text, bytes);
		free(text);
		return result;
	}
	if (strcmp(r->path, "/stats") == 0) {
		snprintf(line, sizeof(line), "sessions %lu cache_bytes %zu\n", session_count(),
			cache_bytes());
		return respond(fd, "200 OK", line, strlen(line));
	}
	return respond(fd, "404 Not Found", "no such page\n", 13);
}

/* Serves one connection until the client closes it; one request at a time. */
static void serve(int fd)
{
	char *text = must(malloc(REQUEST_BYTES));
	size_t n = 0;
	ssize_t got;

	while (n < REQUEST_BYTES - 1 && (got = recv(fd, text + n, REQUEST_BYTES - 1 - n, 0)) > 0) {
		struct request *r;
		int result;

		n += (size_t)got;
		text[n] = '\0';
		if (!strstr(text, "\r\n\r\n"))
			continue;
		r = parse_request(text);
		result = r ? answer(fd, r) : respond(fd, "400 Bad Request", "what?\n", 6);
		if (r)
			request_free(r);
		else
			result = -1;
		if (result != 0)
			break;
		n = 0;
	}
	free(text);
}

static void *worker(void *slot)
{
	atomic_int *connection = slot;

	while (!atomic_load(&stopping)) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		atomic_store(connection, fd);
		if (!atomic_load(&stopping))
			serve(fd);
		atomic_store(connection, -1);
		close(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in where = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t where_bytes = sizeof(where);
	pthread_t threads[N_WORKERS];
	sigset_t stop_signals;
	int one = 1, sig;

	if (argc > 2 || (argc == 2 && strspn(argv[1], "0123456789") != strlen(argv[1]))) {
		fprintf(stderr, "usage: server [PORT]\n");
		return 2;
	}
	if (argc == 2)
		where.sin_port = htons((uint16_t)atoi(argv[1]));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0)
		die("socket");
	if (bind(listener, (struct sockaddr *)&where, sizeof(where)) != 0 ||
		listen(listener, 128) != 0 ||
		getsockname(listener, (struct sockaddr *)&where, &where_bytes) != 0)
		die("cannot listen");
	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGTERM);
	sigaddset(&stop_signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);
	for (int i = 0; i < N_WORKERS; i++) {
		atomic_store(&connections[i], -1);
		if (pthread_create(&threads[i], NULL, worker, &connections[i]) != 0)
			die("cannot start a worker");
	}
	printf("listening on 127.0.0.1:%d\n", ntohs(where.sin_port));
	fflush(stdout);

	sigwait(&stop_signals, &sig);
	atomic_store(&stopping, true);
	shutdown(listener, SHUT_RDWR);
	for (int i = 0; i < N_WORKERS; i++) {
		int fd = atomic_load(&connections[i]);

		if (fd >= 0)
			shutdown(fd, SHUT_RDWR);
	}
	for (int i = 0; i < N_WORKERS; i++)
		pthread_join(threads[i], NULL);
	printf("stopped with %lu sessions\n", session_count());
	return 0;
}
