/*
 * prog_descriptors.c - closes every descriptor and uses the numbers again, over and over, while it
 * allocates. No byte of anybody else may get into its files, and none may be closed by others.
 *
 *     prog_descriptors WAY [thread]     with a thread that allocates too
 *
 * WAY: close_range, closefrom, proc (what /proc/self/fd lists), each (all numbers, by hand), dup2
 * (one file over all numbers), shared (a child by clone that shares the table does it).
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "victim.h"

#define FIRST   3
#define FILES   40
#define NUMBERS 256

static atomic_int ending;

static void *work(void *unused)
{
	while (!ending)
		for (int i = 0; i < 200; i++)
			free(keep(malloc(1000 + (size_t)i)));
	return unused;
}

static void close_listed(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int numbers[NUMBERS], n = 0;
	struct dirent *entry;

	REQUIRE(dir);
	while ((entry = readdir(dir)) && n < NUMBERS)
		if (atoi(entry->d_name) >= FIRST)
			numbers[n++] = atoi(entry->d_name);
	closedir(dir);
	while (n)
		close(numbers[--n]);
}

static void close_all(const char *way)
{
	int fd;

	if (strcmp(way, "close_range") == 0) {
		REQUIRE(close_range(FIRST, ~0u, 0) == 0);
	} else if (strcmp(way, "closefrom") == 0) {
		closefrom(FIRST);
	} else if (strcmp(way, "proc") == 0) {
		close_listed();
	} else if (strcmp(way, "dup2") == 0) {
		fd = open("/dev/null", O_RDWR);
		for (int to = FIRST; to < NUMBERS; to++)
			REQUIRE(dup2(fd, to) == to);
		for (int to = FIRST; to < NUMBERS; to++)
			REQUIRE(close(to) == 0);
	} else {
		for (int to = FIRST; to < NUMBERS; to++)
			close(to);
	}
}

static int close_in_child(void *unused)
{
	close_all("each");
	return 0;
}

static void close_by_sharer(void)
{
	size_t bytes = 256 * KIB;
	char *stack = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	REQUIRE(stack != MAP_FAILED);
	pid = clone(close_in_child, stack + bytes, CLONE_FILES | SIGCHLD, NULL);
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	munmap(stack, bytes);
}

/* Opens FILES files under the lowest numbers, writes its own number into each. */
static void use_numbers(int round)
{
	char name[32], text[32], back[64];
	struct stat st;
	ssize_t n;

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file.%d", i);
		REQUIRE(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600) == FIRST + i);
	}
	for (int i = 0; i < FILES; i++) {
		snprintf(text, sizeof(text), "%d of round %d\n", i, round);
		REQUIRE(write(FIRST + i, text, strlen(text)) == (ssize_t)strlen(text));
		free(keep(malloc(100000)));
	}
	for (int i = 0; i < FILES; i++) {
		snprintf(text, sizeof(text), "%d of round %d\n", i, round);
		REQUIRE(fstat(FIRST + i, &st) == 0 && st.st_size == (off_t)strlen(text));
		n = pread(FIRST + i, back, sizeof(back), 0);
		REQUIRE(n == st.st_size && memcmp(back, text, (size_t)n) == 0);
	}
}

int main(int argc, char **argv)
{
	double until_s = now_s() + 0.2;
	pthread_t thread;
	int rounds = 0;

	REQUIRE(argc > 1);
	if (argc > 2)
		REQUIRE(!pthread_create(&thread, NULL, work, NULL));
	for (; now_s() < until_s || rounds < 3; rounds++) {
		if (strcmp(argv[1], "shared") == 0)
			close_by_sharer();
		else
			close_all(argv[1]);
		use_numbers(rounds);
	}
	ending = 1;
	if (argc > 2)
		pthread_join(thread, NULL);
	printf("%d files are mine\n", FILES);
	return 9;
}
