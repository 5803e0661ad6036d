/*
 * prog_basic.c - the plainest victim: keeps N blocks of 1000 bytes, frees 40 N, returns CODE.
 *
 *     prog_basic [N [CODE [SECONDS]]]
 */
#include "victim.h"

static void **kept;

SITE static void keep_blocks(int n)
{
	for (int i = 0; i < n; i++) {
		kept[i] = keep(malloc(1000));
		REQUIRE(kept[i]);
		memset(kept[i], 1, 1000);
	}
}

SITE static void churn_blocks(int n)
{
	for (int i = 0; i < n; i++) {
		void *block = keep(malloc(1000));

		REQUIRE(block);
		free(block);
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000;
	int code = argc > 2 ? atoi(argv[2]) : 7;
	double until_s = now_s() + (argc > 3 ? atof(argv[3]) : 0);

	kept = calloc((size_t)n, sizeof(*kept));
	REQUIRE(kept);
	keep_blocks(n);
	do {
		churn_blocks(40 * n); /* enough for a sample in any run */
		if (until_s > now_s())
			sleep_s(0.01);
	} while (now_s() < until_s);
	printf("{\"live\": %d}\n", n * 1000);
	fprintf(stderr, "done\n");
	return code;
}
