/*
 * prog_kill_in_walk.c - starts a program under heapspy, and kills it in the middle of a thinning
 * walk, which it sees in the state:
 *
 *     prog_kill_in_walk STATE_DIR SKIP COMMAND...
 *
 * SKIP: so many walks are let pass. After two seconds it kills it anyway. Prints its pid. A walk
 * over 100 000 samples takes some milliseconds; on a busy machine they may have passed all the
 * same.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "state.h"
#include "victim.h"

#define PATIENCE_S 2

/* The state of process pid, once it has one; NULL: not yet. */
static const struct state_header *find(const char *state_dir, pid_t pid)
{
	const struct state_header *state = NULL;
	struct dirent *entry;
	DIR *dir = opendir(state_dir);
	char part[32];

	REQUIRE(dir);
	snprintf(part, sizeof(part), ".%d.", (int)pid);
	while (!state && (entry = readdir(dir))) {
		int fd = strstr(entry->d_name, part) ? openat(dirfd(dir), entry->d_name, O_RDONLY)
						     : -1;

		if (fd < 0)
			continue;
		state = mmap(NULL, sizeof(*state), PROT_READ, MAP_SHARED, fd, 0);
		REQUIRE(state != MAP_FAILED);
		close(fd);
	}
	closedir(dir);
	return state;
}

int main(int argc, char **argv)
{
	const struct state_header *state = NULL;
	double until = now_s() + PATIENCE_S;
	uint32_t level = 0, seen = 0;
	unsigned skip;
	pid_t pid;

	REQUIRE(argc > 3);
	skip = (unsigned)atoi(argv[2]);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		execv(argv[3], argv + 3);
		_exit(127);
	}
	printf("%d\n", (int)pid);
	fflush(stdout);
	while (!state && now_s() < until) {
		sleep_s(1e-3);
		state = find(argv[1], pid);
	}
	while (state && now_s() < until) {
		level = __atomic_load_n(&state->level, __ATOMIC_RELAXED);
		if (level == seen ||
			__atomic_load_n(&state->walked_level, __ATOMIC_RELAXED) >= level)
			continue;
		if (!skip--)
			break;
		seen = level;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
