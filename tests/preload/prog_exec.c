/*
 * prog_exec.c - keeps 100 blocks of 1000 bytes, and becomes another program.
 *
 *     prog_exec [fail] [wait SECONDS] -- COMMAND...
 *
 * fail: tries a program that is not there first, and keeps 50 blocks more afterwards. wait: sleeps
 * before it, with "kept" on stdout.
 */
#include "victim.h"

static void *kept[150];

SITE static void keep_blocks(void)
{
	for (int i = 0; i < 100; i++)
		kept[i] = keep(malloc(1000));
}

SITE static void keep_after_failure(void)
{
	for (int i = 100; i < 150; i++)
		kept[i] = keep(malloc(1000));
}

int main(int argc, char **argv)
{
	char nothing[] = "nothing", *words[] = { nothing, NULL };
	int i;

	keep_blocks();
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "fail")) {
			REQUIRE(execv("/nonexistent", words) == -1);
			keep_after_failure();
		} else if (!strcmp(argv[i], "wait") && i + 1 < argc) {
			REQUIRE(write(STDOUT_FILENO, "kept\n", 5) == 5);
			sleep_s(atof(argv[++i]));
		}
	REQUIRE(i + 1 < argc);
	execvp(argv[i + 1], argv + i + 1);
	return 99;
}
