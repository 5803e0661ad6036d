/*
 * prog_steps.c - allocates as its standard input says, a line a step, and answers each with "ok":
 *
 *     leak N        N blocks of 64 KiB, never freed
 *     fill N        N blocks of 64 KiB into a cache
 *     drop          frees the cache
 *     churn N       N blocks of 64 KiB, each freed at once
 */
#include "victim.h"

#define BLOCK_BYTES 65536

struct block {
	struct block *next;
	char data[BLOCK_BYTES - sizeof(struct block *)];
};

static struct block *sessions, *cache;

SITE static void session_open(void)
{
	struct block *b = keep(malloc(sizeof(*b)));

	b->next = sessions;
	sessions = b;
}

SITE static void cache_fill(void)
{
	struct block *b = keep(malloc(sizeof(*b)));

	b->next = cache;
	cache = b;
}

SITE static void cache_drop(void)
{
	while (cache) {
		struct block *b = cache;

		cache = b->next;
		free(b);
	}
}

SITE static void parse_request(void)
{
	free(keep(malloc(BLOCK_BYTES)));
}

int main(void)
{
	char line[80], word[16];
	int i, n;

	printf("ok\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		n = 0;
		REQUIRE(sscanf(line, "%15s %d", word, &n) >= 1);
		for (i = 0; i < n && !strcmp(word, "leak"); i++)
			session_open();
		for (i = 0; i < n && !strcmp(word, "fill"); i++)
			cache_fill();
		for (i = 0; i < n && !strcmp(word, "churn"); i++)
			parse_request();
		if (!strcmp(word, "drop"))
			cache_drop();
		printf("ok\n");
		fflush(stdout);
	}
	return 0;
}
