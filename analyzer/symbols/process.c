/*
 * process.c - owns the way from what a snapshot says of its process to that
 * process's entry in /proc. What is done with its files is the callers'.
 *
 * The directory /proc/PID is opened first and everything is read through it:
 * such a descriptor stands for one process and fails once that is gone, so a
 * number that is used again cannot mislead. See proc(5), pid_namespaces(7).
 */
#include "analyzer/symbols/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Begins and ends a small text file below directory_fd; "" when it cannot be read. */
static void read_text(int directory_fd, const char *path, char *text, size_t text_bytes)
{
	int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	while (fd >= 0 && n < text_bytes - 1 && (got = read(fd, text + n, text_bytes - 1 - n)) > 0)
		n += (size_t)got;
	if (fd >= 0)
		close(fd);
	text[n] = '\0';
}

bool process_same_boot(const struct process_id *id)
{
	static const uint8_t unknown[sizeof(id->boot_id)];
	uint8_t ours[sizeof(id->boot_id)] = { 0 };
	unsigned n_digits = 0;
	char text[64];

	read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text));
	for (const char *p = text; *p && n_digits < 2 * sizeof(ours); p++) {
		if (!isxdigit((unsigned char)*p))
			continue;
		ours[n_digits / 2] =
			(uint8_t)(ours[n_digits / 2] << 4 |
				  (isdigit((unsigned char)*p) ? *p - '0' : *p - 'a' + 10));
		n_digits++;
	}
	return memcmp(id->boot_id, unknown, sizeof(unknown)) != 0 &&
	       memcmp(id->boot_id, ours, sizeof(ours)) == 0;
}

/* Field 22 of the stat file; 0 when there is none. */
static uint64_t start_ticks_of(int proc_fd)
{
	char text[1024], *p;

	read_text(proc_fd, "stat", text, sizeof(text));
	/* The command's name may hold spaces and parentheses; nothing behind it does. */
	p = strrchr(text, ')');
	for (unsigned field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		p += p != NULL;
	}
	return p ? strtoull(p, NULL, 10) : 0;
}

/* The last number of a line of the status file: a pid in the innermost namespace. 0: no line. */
static uint64_t last_number(const char *status, const char *key)
{
	const char *line = strstr(status, key);
	uint64_t value = 0;
	char *end;

	if (!line)
		return 0;
	line += strlen(key);
	while (*line == '\t' || *line == ' ') {
		value = strtoull(line, &end, 10);
		if (end == line)
			break;
		line = end;
	}
	return value;
}

/* Whether the process behind proc_fd is the one; fills in its user. */
static bool is_it(int proc_fd, const struct process_id *id, uid_t *uidp)
{
	char status[4096];
	const char *uids;
	unsigned real, effective;

	if (start_ticks_of(proc_fd) != id->start_ticks)
		return false;
	read_text(proc_fd, "status", status, sizeof(status));
	uids = strstr(status, "\nUid:");
	if (!uids || sscanf(uids, "\nUid:\t%u\t%u", &real, &effective) != 2)
		return false;
	*uidp = effective;
	return last_number(status, "\nNSpid:") == id->pid;
}

static bool try_entry(
	struct process *process, int all_fd, const char *name, const struct process_id *id)
{
	process->proc_fd = openat(all_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process->proc_fd < 0)
		return false;
	if (is_it(process->proc_fd, id, &process->uid)) {
		process->root_fd =
			openat(process->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return true;
	}
	close(process->proc_fd);
	process->proc_fd = -1;
	return false;
}

bool process_open(struct process *process, const struct process_id *id)
{
	char name[16];
	struct dirent *entry;
	bool found = false;
	DIR *all;

	*process = (struct process){ .proc_fd = -1, .root_fd = -1 };
	if (id->pid == 0 || id->start_ticks == 0 || !process_same_boot(id))
		return false;
	all = opendir("/proc");
	if (!all)
		return false;
	snprintf(name, sizeof(name), "%u", id->pid);
	found = try_entry(process, dirfd(all), name, id);
	/* In a pid namespace of its own it goes by another number here. */
	while (!found && (entry = readdir(all))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			found = try_entry(process, dirfd(all), entry->d_name, id);
	}
	closedir(all);
	return found;
}

void process_close(struct process *process)
{
	if (process->root_fd >= 0)
		close(process->root_fd);
	if (process->proc_fd >= 0)
		close(process->proc_fd);
	*process = (struct process){ .proc_fd = -1, .root_fd = -1 };
}

int process_open_file(const struct process *process, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	if (process->root_fd < 0)
		return -1;
	return (int)syscall(SYS_openat2, process->root_fd, path, &how, sizeof(how));
}

int process_open_exe(const struct process *process)
{
	return openat(process->proc_fd, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* Whether path, as /proc/PID/maps shows it, is a file called base_name. */
static bool is_called(char *path, const char *base_name)
{
	static const char deleted[] = " (deleted)";
	size_t length = strcspn(path, "\n");
	const char *slash;

	path[length] = '\0';
	if (length > strlen(deleted) && strcmp(path + length - strlen(deleted), deleted) == 0)
		path[length - strlen(deleted)] = '\0';
	slash = strrchr(path, '/');
	return slash && strcmp(slash + 1, base_name) == 0;
}

bool process_each_mapped(const struct process *process, const char *base_name,
	bool (*each)(void *data, int fd), void *data)
{
	int fd = openat(process->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	FILE *maps = fd >= 0 ? fdopen(fd, "r") : NULL;
	unsigned n_tried = 0;
	char *line = NULL;
	size_t line_bytes = 0;
	bool stopped = false;

	if (!maps) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!stopped && n_tried < PROCESS_MAPPED_MAX && getline(&line, &line_bytes, maps) > 0) {
		unsigned long start, end;
		char rights[5], name[64];
		int at = 0;

		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &start, &end, rights, &at) != 3 ||
			at == 0 || rights[2] != 'x' || !is_called(line + at, base_name))
			continue;
		n_tried++;
		snprintf(name, sizeof(name), "map_files/%lx-%lx", start, end);
		fd = openat(process->proc_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0)
			stopped = each(data, fd);
	}
	free(line);
	fclose(maps);
	return stopped;
}
