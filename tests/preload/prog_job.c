/*
 * prog_job.c - what a shell sees of a program: signals, stops, the terminal.
 *
 *     prog_job signals     names each signal that comes, one a line; SIGUSR2 ends it with 3
 *     prog_job tty         answers lines of its standard input by "read LINE"; "end" ends it
 *     prog_job stop        the same, but answers Ctrl-Z by stopping itself with SIGSTOP
 *     prog_job stop_now    stops itself with SIGSTOP first
 *     prog_job write N     N blocks of 4096 bytes, kept, in steps of 64 between write()s to fd 1
 *
 * All but write say "ready" first, and keep 100 blocks of 1000 bytes in keep_blocks().
 */
#include <signal.h>
#include <unistd.h>
#include "victim.h"

static void *kept[100];

SITE static void keep_blocks(void)
{
	for (int i = 0; i < 100; i++)
		kept[i] = keep(malloc(1000));
}

static int name_signals(void)
{
	siginfo_t info;
	sigset_t set;
	int number;

	sigfillset(&set);
	sigdelset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		number = sigwaitinfo(&set, &info);
		if (number == SIGUSR2)
			return 3;
		printf("%s %d\n", number < SIGRTMIN ? sigabbrev_np(number) : "RT",
			info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
		fflush(stdout);
	}
}

static void stop_oneself(int number)
{
	raise(SIGSTOP);
}

static int answer_lines(void)
{
	char line[100];

	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("read %s", line);
		fflush(stdout);
		if (!strcmp(line, "end\n"))
			return 4;
	}
	return 5;
}

static int write_blocks(int n)
{
	for (int i = 0; i < n; i++) {
		void *block = keep(malloc(4096));

		REQUIRE(block);
		memset(block, 1, 4096);
		if (i % 64 == 0)
			REQUIRE(write(1, ".", 1) == 1);
	}
	return 6;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "write"))
		return write_blocks(atoi(argv[2]));
	keep_blocks();
	if (!strcmp(mode, "signals"))
		return name_signals();
	if (!strcmp(mode, "stop"))
		signal(SIGTSTP, stop_oneself);
	if (!strcmp(mode, "stop_now"))
		raise(SIGSTOP);
	return answer_lines();
}
