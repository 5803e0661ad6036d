/*
 * prefork.c - a server with three worker processes, one of which leaks.
 *
 * Labels "ready" and "served" in every worker. Uploads are the business of the second.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <heapspy/heapspy.h>
#include "finding.h"

#define N_WORKERS    3
#define N_REQUESTS   3000 /* for each worker */
#define N_TEMPLATES  600
#define PAGE_BYTES   30000
#define UPLOAD_BYTES 12000

struct upload {
	struct upload *next;
	char data[UPLOAD_BYTES];
};

static char *templates[N_TEMPLATES];
static struct upload *uploads;

static void load_templates(void)
{
	for (unsigned i = 0; i < N_TEMPLATES; i++)
		templates[i] = memset(must(malloc(16000)), 't', 16000);
}

static size_t serve_page(unsigned number)
{
	char *page = must(malloc(PAGE_BYTES));
	size_t bytes;

	memset(page, templates[number % N_TEMPLATES][0], PAGE_BYTES);
	page[PAGE_BYTES - 1] = '\0';
	bytes = strlen(page);
	free(page);
	return bytes;
}

/* The bug: what was uploaded stays in the list after it has been stored. */
static void receive_upload(void)
{
	struct upload *u = must(malloc(sizeof(*u)));

	memset(u->data, 'u', sizeof(u->data));
	u->next = uploads;
	uploads = u;
}

static void work(unsigned worker)
{
	load_templates();
	heapspy_snapshot("ready");
	for (unsigned i = 0; i < N_REQUESTS; i++)
		if (worker == 1 && i % 2)
			receive_upload();
		else
			serve_page(i);
	heapspy_snapshot("served");
}

int main(void)
{
	for (unsigned worker = 0; worker < N_WORKERS; worker++) {
		if (fork() != 0)
			continue;
		work(worker);
		return 0;
	}
	while (wait(NULL) > 0)
		;
	printf("%u requests to each of %u workers\n", N_REQUESTS, N_WORKERS);
	return 0;
}
