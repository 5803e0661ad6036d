/*
 * http.c - as much of HTTP/1.1 as the sample needs: requests without a body, plain answers.
 *
 * Most bytes of the server are allocated here, and freed within the same request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "server.h"

void request_free(struct request *r)
{
	for (size_t i = 0; i < r->n_headers; i++)
		free(r->headers[i]);
	free(r->headers);
	free(r->method);
	free(r->path);
	free(r->query);
	free(r);
}

/* Every part becomes a block of its own. */
struct request *parse_request(const char *text)
{
	char method[16], target[1024];
	struct request *r;

	if (sscanf(text, "%15s %1023s HTTP/1.", method, target) != 2)
		return NULL;
	r = must(calloc(1, sizeof(*r)));
	r->method = must(strdup(method));
	r->path = must(strndup(target, strcspn(target, "?")));
	r->query = must(strdup(strchr(target, '?') ? strchr(target, '?') + 1 : ""));
	for (text = strstr(text, "\r\n"); text && text[2] != '\r'; text = strstr(text, "\r\n")) {
		text += 2;
		r->headers = must(realloc(r->headers, (r->n_headers + 1) * sizeof(*r->headers)));
		r->headers[r->n_headers++] = must(strndup(text, strcspn(text, "\r")));
	}
	return r;
}

static int send_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return -1;
		bytes += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int respond(int fd, const char *status, const char *body, size_t body_bytes)
{
	char *answer = must(malloc(body_bytes + 256));
	int head = snprintf(
		answer, 256, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, body_bytes);
	int result;

	memcpy(answer + head, body, body_bytes);
	result = send_all(fd, answer, (size_t)head + body_bytes);
	free(answer);
	return result;
}
