/*
 * state_source.c - owns the finding of states and the access to their bytes.
 * What the bytes mean is state_copy.c's business.
 */
#include "analyzer/target/state_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "analyzer/target/proc.h"

#define STATE_BYTES_MAX (8ull << 30) /* the largest HEAPSPY_STATE_MAX */
#define PATH_BYTES      4352

bool state_source_check(struct state_header *h)
{
	if (h->magic != STATE_MAGIC || h->version != STATE_VERSION ||
		h->header_bytes < sizeof(*h) || h->header_bytes > h->committed_bytes ||
		h->committed_bytes > h->max_bytes || h->used_bytes > h->max_bytes ||
		h->max_bytes > STATE_BYTES_MAX)
		return false;
	h->comm[sizeof(h->comm) - 1] = '\0';
	h->host[sizeof(h->host) - 1] = '\0';
	h->exe[sizeof(h->exe) - 1] = '\0';
	h->front_malloc[sizeof(h->front_malloc) - 1] = '\0';
	h->next_malloc[sizeof(h->next_malloc) - 1] = '\0';
	h->dir[sizeof(h->dir) - 1] = '\0';
	h->cwd[sizeof(h->cwd) - 1] = '\0';
	h->tmpdir[sizeof(h->tmpdir) - 1] = '\0';
	return true;
}

bool state_source_read(const struct state_source *source, uint64_t offset, void *out, size_t bytes)
{
	char *p = out;

	while (bytes) {
		struct iovec local = { p, bytes };
		struct iovec remote = { (void *)(uintptr_t)(source->address + offset), bytes };
		ssize_t n;

		if (source->fd >= 0)
			n = pread(source->fd, p, bytes, (off_t)offset);
		else
			n = process_vm_readv((pid_t)source->pid, &local, 1, &remote, 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return true;
}

bool state_source_write(
	const struct state_source *source, uint64_t offset, const void *data, size_t bytes)
{
	return source->fd >= 0 && pwrite(source->fd, data, bytes, (off_t)offset) == (ssize_t)bytes;
}

bool state_source_holds(const struct state_source *source, uint64_t bytes)
{
	struct stat st;

	if (source->fd < 0)
		return bytes <= proc_rss_bytes(source->pid);
	return !fstat(source->fd, &st) && bytes <= (uint64_t)st.st_blocks * 512;
}

static int open_file(struct state_source *source, int dir_fd, const char *name, bool writable,
	struct state_header *header)
{
	struct stat st;
	int error = 0;

	memset(source, 0, sizeof(*source));
	source->fd = -1;
	/* Some devices do things when they are opened. */
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -EINVAL;
	source->fd = openat(
		dir_fd, name, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (source->fd < 0)
		return -errno;
	if (fstat(source->fd, &st))
		error = -errno;
	else if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && geteuid()))
		error = -EINVAL;
	else if (!state_source_read(source, 0, header, sizeof(*header)) || !header->magic)
		error = -EAGAIN;                                          /* still being made */
	else if (!state_source_check(header) || fstat(source->fd, &st) || /* it may have grown */
		 header->committed_bytes > (uint64_t)st.st_blocks * 512)
		error = -EINVAL;
	if (error) {
		close(source->fd);
		source->fd = -1;
		return error;
	}
	source->uid = st.st_uid;
	source->pid = header->pid;
	return 0;
}

int state_source_open(struct state_source *source, int dir_fd, const char *name, bool writable,
	struct state_header *header)
{
	int ret = open_file(source, dir_fd, name, writable, header);

	/* No search for one that left in order, nor for one that knows our number in its /proc. */
	if (!ret && !header->exit_ns &&
		(header->lease.pid != (uint32_t)getpid() || header->lease.is_beyond))
		source->pid = proc_pid_here(header->pid, header->start_ticks);
	return ret;
}

int state_source_open_dead(
	struct state_source *source, int dir_fd, const char *name, struct state_header *header)
{
	int ret = open_file(source, dir_fd, name, false, header);

	source->is_gone = true;
	return ret;
}

void state_source_close(struct state_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

/* One line of /proc/PID/maps; false for one that does not parse. path is "" for anonymous. */
static bool parse_mapping(char *line, uint64_t *startp, char *permissions, const char **pathp)
{
	uint64_t end;
	int path_at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", startp, &end, permissions,
		    &path_at) < 3)
		return false;
	*pathp = path_at ? line + path_at : "";
	return true;
}

struct search {
	uint32_t pid, own_pid;
	uint32_t tid; /* through which its memory is seen */
	uint64_t start_ticks;
	bool has_library;
	bool has_parents; /* a state that it inherited and that is not its own */
	bool has_other_version;
};

/* Whether the state mapped at start is that of the process; fills source and header if so. */
static bool try_mapping(struct search *search, uint64_t start, const char *path,
	struct state_source *source, struct state_header *header)
{
	struct state_source memory = { .fd = -1, .pid = search->tid, .address = start };
	char through_root[PATH_BYTES];

	if (!state_source_read(&memory, 0, header, sizeof(header->magic) + 4) ||
		header->magic != STATE_MAGIC)
		return false;
	search->has_other_version |= header->version != STATE_VERSION;
	if (!state_source_read(&memory, 0, header, sizeof(*header)) || !state_source_check(header))
		return false;
	if (header->pid != search->own_pid || header->start_ticks != search->start_ticks) {
		search->has_parents = true;
		return false;
	}
	*source = memory;
	/* The file lives on when the process has ended: better, where it can be had. */
	snprintf(through_root, sizeof(through_root), "/proc/%u/root%s", search->tid, path);
	if (path[0] == '/') {
		struct state_header of_file;
		struct state_source file;

		if (!state_source_open(&file, AT_FDCWD, through_root, false, &of_file)) {
			if (of_file.start_id == header->start_id) {
				file.pid = search->pid;
				file.address = start;
				*source = file;
			} else {
				state_source_close(&file);
			}
		}
	}
	return true;
}

static bool search_maps(
	struct search *search, FILE *maps, struct state_source *source, struct state_header *header)
{
	char *line = NULL;
	size_t capacity = 0;
	bool found = false;

	while (!found && getline(&line, &capacity, maps) > 0) {
		char permissions[8];
		const char *path;
		uint64_t start;

		if (!parse_mapping(line, &start, permissions, &path))
			continue;
		search->has_library |= strstr(path, "/libheapspy.so") != NULL;
		/* A state file by its name, or private memory that might be one. */
		if (permissions[0] == 'r' && permissions[1] == 'w' &&
			(strstr(path, "/heapspy.") || !path[0] || !strncmp(path, "[anon:", 6)))
			found = try_mapping(search, start, path, source, header);
	}
	free(line);
	return found;
}

int state_source_find(
	struct state_source *source, uint32_t pid, struct state_header *header, struct fail *f)
{
	struct search search = { .pid = pid, .own_pid = proc_own_pid(pid) };
	struct proc_stat process;
	struct stat owner;
	char path[64];
	bool found;
	FILE *maps;

	if (!proc_read_stat(pid, &process) || !proc_is_alive(pid, process.start_ticks))
		return fail_set(f, EXIT_CODE_INPUT, "no process %u is running", pid);
	search.start_ticks = process.start_ticks;
	search.tid = proc_living_thread(pid);
	snprintf(path, sizeof(path), "/proc/%u/maps", search.tid);
	maps = fopen(path, "re");
	if (!maps)
		return fail_set(f, EXIT_CODE_INPUT, "cannot look into process %u: %s; %s", pid,
			strerror(errno),
			geteuid() ? "it belongs to another user: become that user, or root"
				  : "not even root may here (a container, or a security module)");
	found = search_maps(&search, maps, source, header);
	fclose(maps);
	snprintf(path, sizeof(path), "/proc/%u", pid);
	if (found) {
		source->uid = stat(path, &owner) ? (uid_t)-1 : owner.st_uid;
		return 0;
	}
	if (search.has_other_version)
		return fail_set(f, EXIT_CODE_INPUT,
			"process %u runs under a libheapspy.so of another version than this "
			"heapspy: "
			"use the one that belongs to it",
			pid);
	if (search.has_parents)
		return fail_set(f, EXIT_CODE_INPUT,
			"process %u is a forked child that has not sampled anything itself yet",
			pid);
	if (search.has_library)
		return fail_set(f, EXIT_CODE_INPUT,
			"process %u has libheapspy.so loaded, but is passed through: heapspy "
			"doctor %u",
			pid, pid);
	return fail_set(f, EXIT_CODE_INPUT,
		"process %u is not under heapspy: it must be started so: heapspy run -- COMMAND",
		pid);
}
