/* here.c - owns the look at our own boot and namespaces. */
#include "analyzer/target/here.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_PID_NAMESPACE 0xEFFFFFFCu /* the kernel's number for the one of the start */

static void read_boot_id(uint8_t out[16])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned digits = 0;
	int c;

	while (file && digits < 32 && (c = getc(file)) != EOF) {
		int value = isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;

		if (!isxdigit(c))
			continue;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | value);
		digits++;
	}
	if (file)
		fclose(file);
}

static uint64_t namespace_number(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

/* Whether /proc is that of our own pid namespace. */
static bool proc_is_ours(void)
{
	char link[16];
	ssize_t n = readlink("/proc/self", link, sizeof(link) - 1);

	link[n > 0 ? n : 0] = '\0';
	return n > 0 && strtoul(link, NULL, 10) == (unsigned long)getpid();
}

const struct here *here_get(void)
{
	static struct here here;
	static bool is_read;

	if (!is_read) {
		is_read = true;
		read_boot_id(here.boot_id);
		here.pid_namespace = namespace_number("/proc/self/ns/pid");
		here.mount_namespace = namespace_number("/proc/self/ns/mnt");
		here.sees_all = here.pid_namespace == FIRST_PID_NAMESPACE && proc_is_ours();
	}
	return &here;
}

static bool is_known(const uint8_t id[16])
{
	static const uint8_t unknown[16];

	return memcmp(id, unknown, sizeof(unknown)) != 0;
}

bool here_is_same_boot(const struct state_header *state)
{
	const struct here *here = here_get();

	return !is_known(state->boot_id) || !is_known(here->boot_id) ||
	       !memcmp(state->boot_id, here->boot_id, sizeof(here->boot_id));
}

static bool is_same(uint64_t theirs, uint64_t ours)
{
	return !theirs || !ours || theirs == ours;
}

bool here_shares_pids(const struct state_header *state)
{
	return here_is_same_boot(state) && is_same(state->pid_namespace, here_get()->pid_namespace);
}

/* After a start of the machine the numbers are others, and the paths are the same. */
bool here_shares_paths(const struct state_header *state)
{
	return !here_is_same_boot(state) ||
	       is_same(state->mount_namespace, here_get()->mount_namespace);
}
