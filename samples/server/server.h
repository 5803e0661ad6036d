/*
 * server.h - the parts of the sample server.
 *
 * Every function may be called from any worker; each part locks its own table.
 * Running out of memory ends the server with a message.
 */
#ifndef SAMPLE_SERVER_H
#define SAMPLE_SERVER_H

#include <stddef.h>

/* Says why and exits 1. */
void die(const char *what) __attribute__((noreturn));
/* The block, or death by "out of memory". */
void *must(void *block);

/* Opens a session for the user and returns its token. */
unsigned long session_create(const char *user);
unsigned long session_count(void);

/* A copy of page `number`, to be freed by the caller; rendered first if the cache lacks it. */
char *cache_get(unsigned long number, size_t *bytes_out);
size_t cache_bytes(void);

struct request {
	char *method, *path, *query;
	char **headers;
	size_t n_headers;
};

/* Takes the text of a request apart, to be freed with request_free(); NULL: not a request. */
struct request *parse_request(const char *text);
void request_free(struct request *request);
/* Sends one answer; -1 when the client is gone. */
int respond(int fd, const char *status, const char *body, size_t body_bytes);

#endif
