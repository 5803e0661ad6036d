/*
 * snapshot_file.c - owns the way of a snapshot into its place: opened under a
 * temporary name, written, closed and renamed in one go, so that no descriptor
 * is kept and no half file is seen. What the bytes are is snapshot_writer.c's
 * business, which directory snapshot_dir.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include "preload/atomics.h"
#include "preload/file_limit.h"
#include "preload/log.h"
#include "preload/rawsys.h"
#include "preload/state/pending.h"
#include "preload/state/snapshot_file.h"
#include "preload/state/state_map.h"

#define TRIES           100
#define SPARE_PART      8            /* of a file: what the kernel needs beside its pages, */
#define SPARE_BYTES     (256u << 10) /* and for others in the group */
#define DISK_FILE_BYTES 4096         /* what a file may take on disk beside its bytes */
#define BRIEF_NS        1000000000ull
#define PEAK_STEP       50 /* a peak snapshot for each fiftieth more */
#define PEAK_NEAR       10 /* that lacks no more than a tenth of the peak */

struct descriptor {
	long fd;
	uint64_t limit_bytes, written_bytes;
	uint64_t sound_bytes; /* snapshot_bytes_max() */
	long error;           /* why it took no more; 0: it took all */
	const struct snapshot_facts *facts;
};

static bool goes_on(const struct snapshot_facts *facts)
{
	return !facts->goes_on || hs_load_relaxed(facts->goes_on);
}

static bool write_at(void *context, uint64_t offset, const void *data, size_t bytes)
{
	struct descriptor *file = context;
	const char *p = data;

	if (!goes_on(file->facts))
		return false;
	if (offset + bytes > file->limit_bytes || offset + bytes > file->sound_bytes) {
		file->error = offset + bytes > file->limit_bytes ? -EFBIG : -EUCLEAN;
		return false;
	}
	if (offset + bytes > file->written_bytes)
		file->written_bytes = offset + bytes;
	while (bytes) {
		long n = rawsys(SYS_pwrite64, file->fd, p, bytes, offset);

		if (n == -EINTR)
			continue;
		if (n <= 0) {
			file->error = n ? n : -ENOSPC;
			return false;
		}
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return true;
}

/* "VmRSS:    1234 kB" in /proc/PID/status, as bytes; 0: not there. */
static uint64_t status_field(const char *status, const char *name)
{
	const char *p = strstr(status, name);
	uint64_t v = 0;

	if (!p)
		return 0;
	for (p += strlen(name); *p == ' ' || *p == '\t'; p++)
		;
	for (; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v << 10;
}

void snapshot_file_read_memory_use(
	struct snapshot_file *file, uint32_t pid, struct snapshot_facts *facts)
{
	char *text = (char *)file->buffer;
	uint64_t rss_bytes;
	long fd, n;

	if (pid)
		log_format(file->path, sizeof(file->path), "/proc/%u/status", pid);
	else
		strcpy(file->path, "/proc/self/status");
	fd = rawsys(SYS_open, file->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = rawsys(SYS_read, fd, text, sizeof(file->buffer) - 1);
	rawsys(SYS_close, fd);
	text[n > 0 ? n : 0] = '\0';
	rss_bytes = status_field(text, "VmRSS:");
	if (rss_bytes) { /* a zombie has none */
		facts->rss_bytes = rss_bytes;
		facts->rss_peak_bytes = status_field(text, "VmHWM:");
	}
}

bool snapshot_file_bytes_seen(
	const struct state_header *state, void *context, uint64_t *bytes_seenp)
{
	uint64_t pending_bytes;
	bool whole;

	*bytes_seenp = hs_load_relaxed(&state->bytes_seen);
	whole = pending_sum(state, state->pid, &pending_bytes);
	*bytes_seenp += pending_bytes;
	return whole;
}

bool snapshot_file_is_due_at_exit(const struct state_header *state, uint64_t now_ns)
{
	/* A server may fork one for each request: no directories for those. */
	if (state->flags & HEAPSPY_INFO_FORK_CHILD && now_ns - state->start_ns < BRIEF_NS)
		return state->next_number != 1;
	return now_ns - state->start_ns >= BRIEF_NS || hs_load_relaxed(&state->samples) ||
	       state->next_number != 1 || state->flags & HEAPSPY_INFO_NOT_INTERPOSED;
}

bool snapshot_file_is_peak_due(const struct state_header *state, uint64_t pictured_bytes)
{
	uint64_t live_bytes = state_live_bytes(state);
	uint64_t most_bytes = hs_load_relaxed(&state->peak_live.bytes);

	return live_bytes > pictured_bytes + pictured_bytes / PEAK_STEP &&
	       live_bytes >= most_bytes - most_bytes / PEAK_NEAR;
}

/* Puts the finished file in its place, never over another one. */
static long publish(const char *temporary, const char *path)
{
	long ret = rawsys(SYS_renameat2, AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE);

	/* A file system that cannot promise it, or a filter that has not heard of it. */
	if (ret == -EINVAL || ret == -ENOSYS || ret == -EPERM) {
		ret = rawsys(SYS_link, temporary, path);
		if (!ret)
			rawsys(SYS_unlink, temporary);
	}
	return ret;
}

/*
 * Whether the file may fill the memory group, for which the kernel kills somebody: its pages are
 * charged, and those of a disk are taken back only after they were written.
 */
static bool is_too_much(const struct state_header *state, const struct snapshot_facts *facts)
{
	uint64_t used_bytes = hs_load_relaxed(&state->used_bytes);

	return facts->spare_bytes &&
	       facts->spare_bytes < used_bytes + used_bytes / SPARE_PART + SPARE_BYTES;
}

/* The bytes, under file->temporary. Returns 0 or -errno. */
static long write_temporary(struct snapshot_file *file, const struct state_header *state,
	const struct snapshot_facts *facts)
{
	struct descriptor descriptor = { .limit_bytes = file_limit_bytes(),
		.sound_bytes = snapshot_bytes_max(state),
		.facts = facts };
	struct snapshot_sink sink = { write_at, &descriptor, file->buffer, sizeof(file->buffer) };
	bool whole;

	if (is_too_much(state, facts))
		return -ENOMEM;
	if (goes_on(facts))
		rawsys(SYS_unlink, file->temporary); /* of a writer that was killed here */
	if (!goes_on(facts))
		return -ECANCELED;
	descriptor.fd = rawsys(SYS_open, file->temporary,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (descriptor.fd < 0)
		return descriptor.fd;
	rawsys(SYS_fchmod, descriptor.fd, 0600);
	whole = snapshot_write(state, facts, &sink);
	rawsys(SYS_close, descriptor.fd);
	if (!goes_on(facts))
		return -ECANCELED;
	file->bytes = descriptor.written_bytes;
	if (whole)
		return 0;
	rawsys(SYS_unlink, file->temporary);
	return descriptor.error ? descriptor.error : -EUCLEAN;
}

static void path_of(struct snapshot_file *file, uint32_t number)
{
	char name[SNAPSHOT_KEEP_NAME_BYTES];

	snapshot_keep_name(number, name);
	log_format(file->path, sizeof(file->path), "%s/%s", file->dir, name);
}

_Static_assert(SNAPSHOT_KEEP_WORK_BYTES <= SNAPSHOT_FILE_BUFFER_BYTES, "looks work in the buffer");

/* The next number that is free, above all that there are: what was removed is not used again. */
static void find_number(struct snapshot_file *file, struct snapshot_keep *keep,
	const struct snapshot_keep_place *place, struct snapshot_facts *facts)
{
	/* What the state says may be the work of a wild store. */
	if (facts->number <= keep->last || facts->number > SNAPSHOT_KEEP_NUMBER_MAX)
		facts->number = keep->last + 1;
	path_of(file, facts->number);
	while (facts->number < SNAPSHOT_KEEP_NUMBER_MAX && !rawsys(SYS_access, file->path, 0)) {
		snapshot_keep_add(keep, place, facts->number);
		path_of(file, ++facts->number);
	}
	facts->n_pruned = keep->n_pruned;
}

/*
 * For a disk that is no larger than the budget: it is full before that is, for it holds the file
 * that is being written, too, and the unused ends of all. Returns whether there is more room now.
 */
static bool make_room_on_disk(const struct snapshot_file *file, struct snapshot_keep *keep,
	const struct snapshot_keep_place *place)
{
	uint64_t bytes = file->bytes > keep->last_bytes ? file->bytes : keep->last_bytes;

	return snapshot_keep_make_room(
		keep, place, bytes + ((uint64_t)keep->n_names + 2) * DISK_FILE_BYTES);
}

long snapshot_file_write(struct snapshot_file *file, struct snapshot_keep *keep,
	const struct state_header *state, struct snapshot_facts *facts)
{
	struct snapshot_keep_place place = { file->dir, state->start_id, state->keep_bytes,
		file->buffer };
	unsigned tries;
	long ret;

	ret = snapshot_dir_prepare(state, file->dir);
	if (ret < 0)
		return ret;
	snapshot_keep_begin(keep, &place);
	/* Several may write at once: the process, and others outside. */
	log_format(file->temporary, sizeof(file->temporary), "%s/.%u.tmp", file->dir,
		(uint32_t)rawsys(SYS_getpid, 0));
	facts->number = state->next_number;
	for (tries = 0; tries < TRIES; tries++) {
		find_number(file, keep, &place, facts);
		if (facts->number > SNAPSHOT_KEEP_NUMBER_MAX)
			return -EOVERFLOW;
		ret = write_temporary(file, state, facts);
		if ((ret == -ENOSPC || ret == -EDQUOT) && make_room_on_disk(file, keep, &place))
			continue;
		if (ret)
			break;
		snapshot_keep_make_room(keep, &place, file->bytes);
		if (!goes_on(facts))
			return -ECANCELED;
		ret = publish(file->temporary, file->path);
		if (!ret) {
			snapshot_keep_add(keep, &place, facts->number);
			return (long)facts->number;
		}
		rawsys(SYS_unlink, file->temporary);
		if (ret != -EEXIST)
			break;
	}
	return ret;
}

int snapshot_file_write_as(struct snapshot_file *file, const struct state_header *state,
	struct snapshot_facts *facts, const char *path)
{
	long ret;

	if (log_format(file->path, sizeof(file->path), "%s", path) >= sizeof(file->path))
		return -ENAMETOOLONG;
	log_format(file->temporary, sizeof(file->temporary), "%s.%u.tmp", file->path,
		(uint32_t)rawsys(SYS_getpid, 0));
	ret = write_temporary(file, state, facts);
	if (!ret) {
		ret = publish(file->temporary, file->path);
		if (ret)
			rawsys(SYS_unlink, file->temporary);
	}
	return (int)ret;
}
