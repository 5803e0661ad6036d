/*
 * prog_rights.c - gives up rights on the way, and allocates before and after. Tells what became of
 * it: the ids of each of its threads, the fates of the calls, whether it can be dumped.
 *
 *     prog_rights WAY [thread]     with a second thread that allocates, too
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "victim.h"

#define NOBODY 65534

static atomic_int ending;

SITE static void *keep_before(size_t n)
{
	return keep(malloc(n));
}

/* Not the same code as above, which the compiler would make one. */
SITE static void *keep_after(size_t n)
{
	return keep(calloc(1, n));
}

static void *work(void *unused)
{
	while (!ending)
		for (int i = 0; i < 1000; i++)
			free(keep(malloc(1000 + (size_t)i)));
	return unused;
}

static void drop_user(void)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setgid(NOBODY) == 0);
	REQUIRE(setuid(NOBODY) == 0);
	REQUIRE(setuid(0) < 0 && errno == EPERM);
}

static void drop_all_ids(void)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	REQUIRE(syscall(SYS_capset, &header, none) == 0);
}

static void keep_capabilities(void)
{
	REQUIRE(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	drop_all_ids();
}

static void change(const char *way)
{
	if (strcmp(way, "setuid") == 0)
		drop_user();
	else if (strcmp(way, "setresuid") == 0)
		drop_all_ids();
	else if (strcmp(way, "seteuid") == 0)
		REQUIRE(setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
	else if (strcmp(way, "keepcaps") == 0)
		keep_capabilities();
	else if (strcmp(way, "capset") == 0)
		drop_capabilities();
	else if (strcmp(way, "dumpable") == 0)
		REQUIRE(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	else if (strcmp(way, "nonewprivs") == 0)
		REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	else if (strcmp(way, "securebits") == 0)
		REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0) ==
			0);
	else
		REQUIRE(strcmp(way, "none") == 0);
}

/* "Uid" and what follows, of one thread. */
static void print_ids(const char *task)
{
	char path[64], line[256];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", task);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "Name:", 5) || !strncmp(line, "Uid:", 4) ||
			!strncmp(line, "Gid:", 4) || !strncmp(line, "Groups:", 7) ||
			!strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs:", 11))
			fputs(line, stdout);
	if (status)
		fclose(status);
}

static void report(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			print_ids(entry->d_name);
	if (tasks)
		closedir(tasks);
	printf("dumpable %d, securebits %d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
		prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

int main(int argc, char **argv)
{
	pthread_t thread;
	double until_s;

	REQUIRE(argc > 1);
	for (int i = 0; i < 1000; i++)
		keep_before(100);
	if (argc > 2)
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	sleep_s(0.05);
	change(argv[1]);
	for (until_s = now_s() + 0.2; now_s() < until_s;)
		free(keep(malloc(3000)));
	for (int i = 0; i < 1000; i++)
		keep_after(100);
	report();
	ending = 1;
	if (argc > 2)
		pthread_join(thread, NULL);
	return 4;
}
