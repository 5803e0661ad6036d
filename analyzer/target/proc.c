/* proc.c - owns the parsing of /proc/PID files. */
#include "analyzer/target/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARENT_TRIES 10

/* The start of /proc/PID/name, NUL-terminated; false when it cannot be read. */
static bool read_file(uint32_t pid, const char *name, char *out, size_t bytes)
{
	char path[64];
	ssize_t n;
	int fd, error;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, out, bytes - 1);
	error = errno;
	close(fd);
	errno = error;
	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

bool proc_read_stat(uint32_t pid, struct proc_stat *out)
{
	unsigned long long start_ticks, stack_start = 0;
	char text[1024];
	const char *p;

	if (!read_file(pid, "stat", text, sizeof(text)))
		return false;
	p = strrchr(text, ')'); /* the command before it may hold anything */
	if (!p || sscanf(p + 1,
			  " %c %u %*d %*d %*d %d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u "
			  "%*d %llu %*u %*d %*u %*u %*u %llu",
			  &out->state, &out->ppid, &out->terminal_group, &out->n_threads,
			  &start_ticks, &stack_start) < 5) {
		errno = ESRCH;
		return false;
	}
	out->start_ticks = start_ticks;
	out->stack_start = stack_start;
	return true;
}

/* By hidepid, from a user who may not trace it: that can be a process of its own. */
static bool is_hidden(uint32_t pid)
{
	return pid && (!kill((pid_t)pid, 0) || errno == EPERM);
}

bool proc_is_alive_as(uint32_t pid, uint64_t start_ticks, struct proc_stat *out)
{
	memset(out, 0, sizeof(*out));
	if (!proc_read_stat(pid, out))
		return (errno != ENOENT && errno != ESRCH) || is_hidden(pid);
	/* A main thread that has left is a zombie, and the process lives on in the others. */
	return out->start_ticks == start_ticks &&
	       ((out->state != 'Z' && out->state != 'X') || out->n_threads > 1);
}

bool proc_is_alive(uint32_t pid, uint64_t start_ticks)
{
	struct proc_stat stat;

	return proc_is_alive_as(pid, start_ticks, &stat);
}

bool proc_is_there(uint32_t pid)
{
	struct proc_stat stat;

	return proc_read_stat(pid, &stat);
}

/* The text behind "Name:" in /proc/PID/status, up to the end of its line. */
static bool status_field(uint32_t pid, const char *name, char *out, size_t bytes)
{
	char text[4096], *p;

	if (!read_file(pid, "status", text, sizeof(text)))
		return false;
	p = strstr(text, name);
	if (!p)
		return false;
	p += strlen(name);
	p[strcspn(p, "\n")] = '\0';
	snprintf(out, bytes, "%s", p);
	return true;
}

uint32_t proc_own_pid(uint32_t pid)
{
	char text[256];
	const char *last;

	if (!status_field(pid, "\nNSpid:", text, sizeof(text)))
		return pid;
	last = strrchr(text, '\t');
	return last ? (uint32_t)strtoul(last + 1, NULL, 10) : pid;
}

uint32_t proc_pid_here(uint32_t own_pid, uint64_t start_ticks)
{
	uint32_t found = own_pid;
	struct dirent *entry;
	DIR *dir;

	if (proc_is_alive(own_pid, start_ticks))
		return own_pid;
	dir = opendir("/proc");
	while (dir && (entry = readdir(dir))) {
		uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (pid && proc_is_alive(pid, start_ticks) && proc_own_pid(pid) == own_pid) {
			found = pid;
			break;
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

bool proc_is_below(uint32_t pid, uint32_t ancestor)
{
	struct proc_stat stat = { 0 };
	unsigned tries;

	/* A parent that ends under our eyes leaves its children to another one. */
	for (tries = 0; tries < PARENT_TRIES; tries++) {
		uint32_t at = pid;

		while (at != ancestor && proc_read_stat(at, &stat) && stat.ppid)
			at = stat.ppid;
		if (at == ancestor || !stat.ppid)
			return at == ancestor;
	}
	return false;
}

uint32_t proc_living_thread(uint32_t pid)
{
	uint32_t found = pid;
	struct proc_stat stat;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	if (!proc_read_stat(pid, &stat) || stat.state != 'Z')
		return pid;
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		uint32_t tid = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (tid && tid != pid) {
			found = tid;
			break;
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

bool proc_maps_file(uint32_t pid, uint64_t inode)
{
	char path[64], *line = NULL;
	size_t capacity = 0;
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno != ENOENT && errno != ESRCH;
	while (!found && getline(&line, &capacity, maps) > 0) {
		unsigned long long number;

		found = strstr(line, "/heapspy.") &&
			sscanf(line, "%*s %*s %*s %*s %llu", &number) == 1 && number == inode;
	}
	free(line);
	fclose(maps);
	return found;
}

uint32_t proc_uid(uint32_t pid)
{
	char text[128];
	unsigned real, effective;

	return status_field(pid, "\nUid:", text, sizeof(text)) &&
			       sscanf(text, "%u %u", &real, &effective) == 2
		       ? effective
		       : UINT32_MAX;
}

uint64_t proc_rss_bytes(uint32_t pid)
{
	char text[64];

	return status_field(pid, "\nVmRSS:", text, sizeof(text)) ? strtoull(text, NULL, 10) << 10
								 : 0;
}

bool proc_shares_dir(uint32_t pid, const char *dir)
{
	struct stat ours, theirs;
	char path[4352];

	if (proc_shares_files(pid))
		return true;
	snprintf(path, sizeof(path), "/proc/%u/root%s", pid, dir);
	return !stat(dir, &ours) && !stat(path, &theirs) && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

bool proc_shares_files(uint32_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/ns/mnt", pid);
	if (!stat("/proc/self/ns/mnt", &ours) && !stat(path, &theirs) &&
		ours.st_ino != theirs.st_ino)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/root", pid);
	return stat("/", &ours) || stat(path, &theirs) ||
	       (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
}
