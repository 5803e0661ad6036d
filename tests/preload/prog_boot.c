/*
 * prog_boot.c MODE - frees what lib_dlsym.so was given before a preloaded library knew a malloc.
 *
 * fork: in a forked child. alias: after a block whose address ends as theirs has come and gone.
 * resize: by realloc, which has to keep what is in them.
 * Prints how many there were: {"early": N}
 */
#include <malloc.h>
#include <sys/wait.h>
#include "victim.h"

#define ALIAS_BYTES (256ul << 20) /* addresses so far apart share a bit of the filter */
#define GRAIN       32ul

void *dlsym_kept(int i);

/* Allocates and frees a block whose address shares a bit with that of block. */
static void meet_alias(const void *block)
{
	for (;;) {
		char *probe = keep(malloc(24));
		size_t ahead =
			((uintptr_t)block / GRAIN - (uintptr_t)probe / GRAIN) * GRAIN % ALIAS_BYTES;

		if (!ahead) {
			free(probe);
			return;
		}
		if (ahead > 8192)
			REQUIRE(keep(malloc(ahead - 4096)));
	}
}

static void free_all(void)
{
	for (int i = 0; dlsym_kept(i); i++)
		free(dlsym_kept(i));
}

int main(int argc, char **argv)
{
	int n_early = 0, status;
	char *block;
	pid_t pid;

	REQUIRE(argc == 2);
	/* The allocator rounds up what it gives; the arena of the first moments does not. */
	for (int i = 0; (block = dlsym_kept(i)); i++)
		n_early += malloc_usable_size(block) == strlen(block) + 1;
	if (!strcmp(argv[1], "fork")) {
		pid = fork();
		if (!pid) {
			free_all();
			_exit(0);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	} else if (!strcmp(argv[1], "alias")) {
		REQUIRE(mallopt(M_MMAP_MAX, 0)); /* addresses go up without a gap */
		for (int i = 0; (block = dlsym_kept(i)); i++)
			if (malloc_usable_size(block) == strlen(block) + 1)
				meet_alias(block);
	} else {
		for (int i = 0; (block = dlsym_kept(i)); i++) {
			char *name = keep(strdup(block)), *moved = keep(realloc(block, 5000));

			REQUIRE(moved && !strcmp(moved, name));
			free(moved);
			free(name);
		}
		printf("{\"early\": %d}\n", n_early);
		return 0;
	}
	free_all();
	printf("{\"early\": %d}\n", n_early);
	return 0;
}
