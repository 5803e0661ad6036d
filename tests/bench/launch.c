/*
 * launch.c - runs a program, several times if asked, and says what each run took. It is small, so
 * that the peak of memory is the program's: a child starts with its parent's.
 *
 *     launch [-c CPU] [-n TIMES] [-e NAME=VALUE]... REPORT PROGRAM [ARGUMENT]...
 *
 * REPORT gets a JSON object a line for each run: wall and CPU (user and system) in seconds, peak
 * RSS in KiB, and how it ended, as wait4 says. The exit status is 0 when all runs could be started.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_VARIABLES 32

static char *variables[MAX_VARIABLES];
static unsigned n_variables;

static void fail(const char *what)
{
	fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void run(FILE *report, char **argv)
{
	struct rusage usage;
	double begin = now_s();
	int status;
	pid_t child = vfork();

	if (child < 0)
		fail("vfork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* launch itself may be killed */
		execvp(argv[0], argv);
		_exit(127);
	}
	while (wait4(child, &status, 0, &usage) < 0)
		if (errno != EINTR)
			fail("wait4");
	fprintf(report, "{\"wall\": %.6f, \"cpu\": %.6f, \"peak_kib\": %ld, \"status\": %d}\n",
		now_s() - begin, seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int main(int argc, char **argv)
{
	long times = 1;
	cpu_set_t cpus;
	FILE *report;
	int option;

	while ((option = getopt(argc, argv, "+c:n:e:")) != -1) {
		if (option == 'c') {
			CPU_ZERO(&cpus);
			CPU_SET(atoi(optarg), &cpus);
			if (sched_setaffinity(0, sizeof(cpus), &cpus))
				fail("sched_setaffinity");
		} else if (option == 'n') {
			times = atol(optarg);
		} else if (option == 'e' && n_variables < MAX_VARIABLES) {
			variables[n_variables++] = optarg;
		} else {
			return 2;
		}
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: launch [-c CPU] [-n TIMES] [-e NAME=VALUE]... REPORT "
				"PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	report = fopen(argv[optind], "we");
	if (!report)
		fail(argv[optind]);
	for (unsigned i = 0; i < n_variables; i++)
		putenv(variables[i]);
	while (times-- > 0)
		run(report, argv + optind + 1);
	return fclose(report) ? 1 : 0;
}
