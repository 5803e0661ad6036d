/*
 * fragmentation.c - a message store whose memory is free and yet not given back.
 *
 * One message in ten is pinned. The others expire, but no page of memory is without
 * a pinned one, so the process stays as large as it was. Labels "loaded", "expired".
 */
#include <string.h>
#include <heapspy/heapspy.h>
#include "finding.h"

#define N_MESSAGES    300000
#define MESSAGE_BYTES 320
#define PINNED_EACH   10 /* 10 of 320 bytes: one or two in each page of 4096 */

static char *messages[N_MESSAGES];

static void receive_message(unsigned number)
{
	messages[number] = memset(must(malloc(MESSAGE_BYTES)), 'm', MESSAGE_BYTES);
}

static unsigned expire_messages(void)
{
	unsigned n_pinned = 0;

	for (unsigned i = 0; i < N_MESSAGES; i++) {
		if (i % PINNED_EACH == 0) {
			n_pinned++;
			continue;
		}
		free(messages[i]);
		messages[i] = NULL;
	}
	return n_pinned;
}

int main(void)
{
	unsigned n_pinned;

	for (unsigned i = 0; i < N_MESSAGES; i++)
		receive_message(i);
	heapspy_snapshot("loaded");
	n_pinned = expire_messages();
	heapspy_snapshot("expired");
	printf("%u messages, %u of them pinned\n", N_MESSAGES, n_pinned);
	return 0;
}
