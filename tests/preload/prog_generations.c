/*
 * prog_generations.c CHILDREN GENERATIONS - what forked processes cost, in KiB.
 *
 *     {"all": KiB, "mapped": KiB}
 *
 * all: the memory of a process and of its CHILDREN, which sleep, each forked after all of the
 * 50000 blocks had been made anew. mapped: the address space of the last of GENERATIONS processes,
 * each forked by the one before when that had allocated.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "victim.h"

#define BLOCKS   50000
#define CHILDREN 32

static void *blocks[BLOCKS];

static long field_kib(pid_t pid, const char *file, const char *name)
{
	char path[64], line[256];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "r");
	REQUIRE(f != NULL);
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kib = strtol(line + strlen(name), NULL, 10);
	fclose(f);
	return kib;
}

static long all_kib(int n)
{
	pid_t children[CHILDREN];
	long kib;

	REQUIRE(n <= CHILDREN);
	for (int i = 0; i < n; i++) {
		children[i] = fork();
		REQUIRE(children[i] >= 0);
		if (!children[i])
			for (;;)
				pause();
		for (int k = 0; k < BLOCKS; k++) {
			free(blocks[k]);
			blocks[k] = keep(malloc(16));
		}
	}
	kib = field_kib(getpid(), "smaps_rollup", "Pss:");
	for (int i = 0; i < n; i++)
		kib += field_kib(children[i], "smaps_rollup", "Pss:");
	for (int i = 0; i < n; i++)
		REQUIRE(!kill(children[i], SIGKILL) &&
			waitpid(children[i], NULL, 0) == children[i]);
	return kib;
}

static void next_generation(int n, long *mapped_kib)
{
	int status;
	pid_t pid;

	keep(malloc(1000));
	if (!n) {
		*mapped_kib = field_kib(getpid(), "status", "VmSize:");
		return;
	}
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		next_generation(n - 1, mapped_kib);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
}

int main(int argc, char **argv)
{
	long *mapped_kib =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(argc == 3 && mapped_kib != MAP_FAILED);
	for (int k = 0; k < BLOCKS; k++)
		blocks[k] = keep(malloc(16));
	next_generation(atoi(argv[2]), mapped_kib);
	printf("{\"all\": %ld, \"mapped\": %ld}\n", all_kib(atoi(argv[1])), *mapped_kib);
	return 0;
}
