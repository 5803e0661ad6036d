/*
 * churn.c - a log shipper that makes a new string for every step of every line.
 *
 * It holds its index of hosts and little else, yet allocates a hundred times as much.
 */
#include <string.h>
#include "finding.h"

#define N_HOSTS 6000
#define N_LINES 150000

static char *hosts[N_HOSTS];

static void load_hosts(void)
{
	for (unsigned i = 0; i < N_HOSTS; i++)
		hosts[i] = memset(must(malloc(4000)), 'h', 4000);
}

/* Room for the worst case, six characters for one: nearly all of it stays empty. */
static char *escape_json(const char *text)
{
	char *escaped = must(malloc(6 * strlen(text) + 3)), *to = escaped;

	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*to++ = '\\';
		*to++ = *text;
	}
	strcpy(to, "\"");
	return escaped;
}

static char *format_line(unsigned number, const char *message)
{
	char *line = must(malloc(1200));
	char *escaped = escape_json(message);

	snprintf(line, 1200, "{\"line\":%u,\"host\":\"%.8s\",\"message\":%s}", number,
		hosts[number % N_HOSTS], escaped);
	free(escaped);
	return line;
}

int main(void)
{
	char message[900];
	size_t n_bytes = 0;

	load_hosts();
	memset(message, 'm', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	for (unsigned i = 0; i < N_LINES; i++) {
		char *line = format_line(i, message);

		n_bytes += strlen(line);
		free(line);
	}
	printf("%u lines, %zu bytes shipped\n", N_LINES, n_bytes);
	return 0;
}
