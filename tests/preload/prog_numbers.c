/*
 * prog_numbers.c - uses descriptor numbers 3 to 9 as it likes while a thread allocates: closes
 * them, puts a data file there, makes children that must inherit only what is the program's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

#define DATA 30

static volatile int stop;

static void *allocate(void *unused)
{
	while (!stop)
		for (int i = 0; i < 1000; i++)
			free(keep(malloc(100)));
	return NULL;
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	REQUIRE(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int main(void)
{
	char path[] = "/tmp/heapspy-numbers.XXXXXX";
	int file = mkstemp(path), before, status, round;
	struct stat st;
	pthread_t thread;

	REQUIRE(file >= 0 && dup2(file, DATA) == DATA && !close(file) && !unlink(path));
	before = count_descriptors();
	REQUIRE(!pthread_create(&thread, NULL, allocate, NULL));
	for (round = 0; round < 300; round++) {
		int number = 3 + round % 7;
		pid_t child;

		REQUIRE(dup2(DATA, number) == number);
		usleep(300);
		REQUIRE(pwrite(number, "data", 4, 0) == 4 && !close(number));
		child = fork();
		if (!child)
			_exit(count_descriptors() != before);
		REQUIRE(waitpid(child, &status, 0) == child && status == 0);
	}
	stop = 1;
	pthread_join(thread, NULL);
	REQUIRE(!fstat(DATA, &st) && st.st_size == 4);
	printf("{}\n");
	return 0;
}
