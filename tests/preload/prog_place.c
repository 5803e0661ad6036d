/*
 * prog_place.c - goes on allocating while the ground is taken from under it. Each word of its
 * command line is done in turn:
 *
 *     blocks N        allocates N blocks of up to 4000 bytes, and keeps every second one
 *     fill N          the same with stacks of their own for each block: the state has to grow
 *     room N          N blocks of 1000 bytes, all but the last of which are freed again
 *     wait SECONDS    allocates and frees a little until then
 *     thread          a thread that allocates and frees a little until the end
 *     ask             prints "ask", and goes on at a line of its stdin
 *     label           asks for a snapshot, should heapspy be there
 *     cd DIR, chroot DIR, user UID, umask OCTAL, close FIRST
 *     limit NAME N    sets the soft RLIMIT_NAME; N "max": to the hard one
 *     lock FLAGS      mlockall(FLAGS); prints 0 or the errno, as it is
 *     filter HOW      a filter of system calls; HOW "good": it allows all, "bad": there is none
 *     fork            a child that does what follows, while the parent waits for it
 *
 * Prints what it has kept, returns 7.
 */
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "heapspy/heapspy.h"
#include "victim.h"

#define KEPT_MAX 200000

static void *kept[KEPT_MAX];
static size_t n_kept, kept_bytes;
static uint64_t seed = 1;
static pthread_t helper;
static int has_thread, ending;

static void keep_block(void *block, size_t bytes)
{
	REQUIRE(block);
	memset(block, 1, bytes);
	if (n_kept == KEPT_MAX || draw(&seed) % 2) {
		free(block);
		return;
	}
	kept[n_kept++] = block;
	kept_bytes += bytes;
}

SITE static void blocks(int n)
{
	for (int i = 0; i < n; i++) {
		size_t bytes = 1 + draw(&seed) % 4000;

		keep_block(keep(malloc(bytes)), bytes);
	}
}

/* Behind those that are kept. The last one keeps the heap from shrinking. */
static void room(size_t n)
{
	size_t i;

	REQUIRE(n && n_kept + n <= KEPT_MAX);
	for (i = 0; i < n; i++)
		REQUIRE((kept[n_kept + i] = malloc(1000)) != NULL);
	for (i = 0; i < n - 1; i++)
		free(kept[n_kept + i]);
	kept[n_kept] = kept[n_kept + n - 1];
	n_kept++;
	kept_bytes += 1000;
}

SITE static void *allocate_left(uint64_t path, size_t bytes);
SITE static void *allocate_right(uint64_t path, size_t bytes);

/* Each path of ten turns is a stack of its own. */
static void *allocate_on(uint64_t path, size_t bytes)
{
	if (path == 1)
		return malloc(bytes);
	return path & 1 ? allocate_right(path >> 1, bytes) : allocate_left(path >> 1, bytes);
}

SITE static void *allocate_left(uint64_t path, size_t bytes)
{
	return keep(allocate_on(path, bytes));
}

SITE static void *allocate_right(uint64_t path, size_t bytes)
{
	return keep(allocate_on(path, bytes));
}

static void fill(int n)
{
	for (int i = 0; i < n; i++) {
		size_t bytes = 1 + draw(&seed) % 100;

		keep_block(allocate_on(1024 | draw(&seed) % 1024, bytes), bytes);
	}
}

SITE static void wait_for(double seconds)
{
	double until_s = now_s() + seconds;

	while (now_s() < until_s && !__atomic_load_n(&ending, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 100; i++)
			free(keep(malloc(1000)));
		sleep_s(0.002);
	}
}

static void *thread_main(void *argument)
{
	wait_for(1e6);
	return NULL;
}

static void ask(void)
{
	char line[64];

	printf("ask\n");
	fflush(stdout);
	REQUIRE(read(0, line, sizeof(line)) > 0);
}

static void limit(const char *name, const char *value)
{
	static const struct {
		const char *name;
		int number;
	} limits[] = { { "AS", RLIMIT_AS }, { "FSIZE", RLIMIT_FSIZE }, { "NOFILE", RLIMIT_NOFILE },
		{ "NPROC", RLIMIT_NPROC }, { "MEMLOCK", RLIMIT_MEMLOCK }, { "STACK", RLIMIT_STACK },
		{ "DATA", RLIMIT_DATA }, { "CPU", RLIMIT_CPU }, { "CORE", RLIMIT_CORE } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit now;

		if (strcmp(name, limits[i].name) != 0)
			continue;
		REQUIRE(getrlimit(limits[i].number, &now) == 0);
		now.rlim_cur =
			strcmp(value, "max") ? (rlim_t)strtoull(value, NULL, 10) : now.rlim_max;
		REQUIRE(setrlimit(limits[i].number, &now) == 0);
		return;
	}
	REQUIRE(!"a limit known here");
}

static void become(uid_t uid)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setgid(uid) == 0);
	REQUIRE(setuid(uid) == 0);
}

static void filter(const char *how)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	int good = strcmp(how, "good") == 0;

	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, good ? &program : (void *)1, 0, 0) ==
		(good ? 0 : -1));
}

static int wait_for_child(pid_t child)
{
	int status;

	REQUIRE(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Number of words after the first that belong to it. */
static int do_word(char **words)
{
	const char *word = words[0], *first = words[1] ? words[1] : "";

	if (strcmp(word, "blocks") == 0)
		return blocks(atoi(first)), 1;
	if (strcmp(word, "fill") == 0)
		return fill(atoi(first)), 1;
	if (strcmp(word, "room") == 0)
		return room((size_t)atoi(first)), 1;
	if (strcmp(word, "wait") == 0)
		return wait_for(atof(first)), 1;
	if (strcmp(word, "ask") == 0)
		return ask(), 0;
	if (strcmp(word, "umask") == 0)
		return umask((mode_t)strtoul(first, NULL, 8)), 1;
	if (strcmp(word, "filter") == 0)
		return filter(first), 1;
	if (strcmp(word, "user") == 0)
		return become((uid_t)atoi(first)), 1;
	if (strcmp(word, "lock") == 0)
		return printf("lock: %d\n", mlockall(atoi(first)) ? errno : 0), 1;
	if (strcmp(word, "limit") == 0)
		return limit(first, words[2]), 2;
	if (strcmp(word, "label") == 0)
		return heapspy_snapshot("label"), 0;
	if (strcmp(word, "thread") == 0) {
		has_thread = pthread_create(&helper, NULL, thread_main, NULL) == 0;
		return 0;
	}
	if (strcmp(word, "fork") == 0) {
		pid_t child;

		fflush(stdout);
		child = fork();
		REQUIRE(child >= 0);
		if (child > 0)
			exit(wait_for_child(child));
		return 0;
	}
	if (strcmp(word, "close") == 0)
		return close_range((unsigned)atoi(first), ~0u, 0), 1;
	if (strcmp(word, "cd") == 0)
		REQUIRE(chdir(first) == 0);
	else if (strcmp(word, "chroot") == 0)
		REQUIRE(chroot(first) == 0 && chdir("/") == 0);
	else
		REQUIRE(!"a word known here");
	return 1;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		i += do_word(argv + i);
	if (has_thread) {
		__atomic_store_n(&ending, 1, __ATOMIC_RELAXED);
		pthread_join(helper, NULL);
	}
	printf("{\"kept\": %zu, \"bytes\": %zu, \"thread\": %d}\n", n_kept, kept_bytes, has_thread);
	fprintf(stderr, "done\n");
	return 7;
}
