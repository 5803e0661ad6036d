/*
 * live_state.c - owns the reading of a process from outside: copy, serialize,
 * and what only /proc knows. Where the state lies is state_source.c's business.
 */
#include "analyzer/target/live_state.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/clock.h"
#include "analyzer/target/proc.h"
#include "analyzer/target/state_copy.h"
#include "analyzer/target/state_source.h"
#include "preload/state/snapshot_file.h"

#define RSS_VALID_NS   200000000ull
#define RSS_SETTLED_NS 1000000000ull

struct live_state {
	struct state_source source;
	struct state_header header;
	struct state_copy copy;
	uint64_t ended_ns; /* when its end was noticed; 0: it goes on */
	uint64_t rss_bytes, rss_peak_bytes;
	uint64_t rss_ns; /* when they were seen */
	char place[STATE_PATH_BYTES];
	bool place_is_parents;
	dev_t exe_device;     /* of the program, once seen */
	ino_t exe_inode;      /* 0: not yet */
	uint64_t stack_start; /* of the image that was there first; 0 unknown */
};

int live_state_open(uint32_t pid, struct live_state **outp, struct fail *f)
{
	struct live_state *live = alloc_aligned(sizeof(*live));

	if (state_source_find(&live->source, pid, &live->header, f) < 0) {
		free(live);
		return -1;
	}
	*outp = live;
	return 0;
}

int live_state_open_file(int dir_fd, const char *name, bool writable, struct live_state **outp)
{
	struct live_state *live = alloc_aligned(sizeof(*live));
	int ret = state_source_open(&live->source, dir_fd, name, writable, &live->header);

	if (ret < 0) {
		free(live);
		return ret;
	}
	*outp = live;
	return 0;
}

void live_state_close(struct live_state *live)
{
	if (!live)
		return;
	state_source_close(&live->source);
	state_copy_deinit(&live->copy);
	free(live);
}

uint32_t live_state_pid(const struct live_state *live)
{
	return live->source.pid;
}

const struct state_header *live_state_header(const struct live_state *live)
{
	return &live->header;
}

bool live_state_refresh(struct live_state *live)
{
	struct state_header header;

	if (!state_source_read(&live->source, 0, &header, sizeof(header)) ||
		!state_source_check(&header))
		return false;
	live->header = header;
	return true;
}

/*
 * Whether the process runs another program now than the one that made the state.
 * An upgrade of the file underneath it appends " (deleted)" to the name; a
 * process in a root directory of its own names its file differently.
 */
static bool has_another_image(struct live_state *live)
{
	char path[64 + STATE_PATH_BYTES], exe[STATE_PATH_BYTES];
	const char *made_by = live->header.exe;
	uint32_t pid = live->source.pid;
	struct stat now, then;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	/* Its file may be renamed or replaced meanwhile: so a known one is recognized by number. */
	if (!stat(path, &now) && live->exe_inode)
		return now.st_ino != live->exe_inode || now.st_dev != live->exe_device;
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0 || n == sizeof(exe) - 1 || !made_by[0])
		return false;
	exe[n] = '\0';
	if (stat(path, &now))
		return false;
	if (!strncmp(exe, made_by, strlen(made_by)) &&
		(!exe[strlen(made_by)] || !strcmp(exe + strlen(made_by), " (deleted)"))) {
		live->exe_device = now.st_dev;
		live->exe_inode = now.st_ino;
		return false;
	}
	snprintf(path, sizeof(path), "/proc/%u/root%s", pid, made_by);
	return stat(path, &then) || now.st_ino != then.st_ino || now.st_dev != then.st_dev;
}

/* An exec of the same file shows by the place of its stack alone. */
static bool has_another_stack(struct live_state *live, uint64_t stack_start)
{
	if (!live->stack_start)
		live->stack_start = stack_start;
	return stack_start && stack_start != live->stack_start;
}

bool live_state_has_ended(struct live_state *live)
{
	struct proc_stat stat;

	if (!live->ended_ns &&
		(!proc_is_alive_as(live->source.pid, live->header.start_ticks, &stat) ||
			has_another_stack(live, stat.stack_start) || has_another_image(live)))
		live->ended_ns = clock_ns(CLOCK_MONOTONIC);
	return live->ended_ns != 0;
}

static void read_memory_use(struct live_state *live)
{
	struct snapshot_facts facts = { .rss_bytes = 0 };
	struct snapshot_file *file;

	if (!live_state_has_ended(live)) {
		file = alloc_array(1, sizeof(*file));
		snapshot_file_read_memory_use(file, live->source.pid, &facts);
		free(file);
	}
	if (facts.rss_bytes) {
		live->rss_bytes = facts.rss_bytes;
		live->rss_peak_bytes = facts.rss_peak_bytes;
		live->rss_ns = clock_ns(CLOCK_MONOTONIC);
	}
}

/* What was seen a while before the end, or in the first moments, is not what it was at the end. */
static bool rss_is_known(const struct live_state *live, uint64_t cut_ns)
{
	return !live->ended_ns || (cut_ns < live->rss_ns + RSS_VALID_NS &&
					  cut_ns > live->header.start_ns + RSS_SETTLED_NS);
}

uint64_t live_state_rss_bytes(struct live_state *live)
{
	read_memory_use(live);
	return live->rss_bytes;
}

uint64_t live_state_rss_peak_bytes(const struct live_state *live)
{
	uint64_t end_ns = live->header.exit_ns ? live->header.exit_ns : live->ended_ns;

	return rss_is_known(live, end_ns) ? live->rss_peak_bytes : 0;
}

static void read_limit(struct live_state *live, struct snapshot_facts *facts)
{
	struct snapshot_file *file;

	if (live_state_has_ended(live))
		return;
	file = alloc_array(1, sizeof(*file));
	snapshot_file_read_limit(file, live->source.pid, facts);
	free(file);
}

/* Copies the state and collects what goes beside it. */
static int begin_reading(struct live_state *live, enum heapspy_reason reason, const char *label,
	struct snapshot_facts *facts, struct fail *f)
{
	const struct state_header *state;
	bool ended;

	read_memory_use(live);
	if (!state_copy_take(&live->copy, &live->source))
		return fail_set(f, EXIT_CODE_INPUT, "the state of process %u can no longer be read",
			live->source.pid);
	ended = live_state_has_ended(live);
	state = live->copy.state;
	live->header = *state;
	memset(facts, 0, sizeof(*facts));
	facts->reason = (uint32_t)reason;
	facts->number = state->next_number;
	facts->label = label;
	facts->now_ns = state->exit_ns ? state->exit_ns
			: ended        ? live->ended_ns
				       : live->copy.begin_ns;
	facts->wall_ns = clock_ns(CLOCK_REALTIME);
	if (facts->now_ns < live->copy.begin_ns)
		facts->wall_ns -= live->copy.begin_ns - facts->now_ns;
	if (rss_is_known(live, facts->now_ns)) {
		facts->rss_bytes = live->rss_bytes;
		facts->rss_peak_bytes = live->rss_peak_bytes;
	}
	read_limit(live, facts);
	facts->bytes_seen = state_copy_bytes_seen;
	facts->bytes_seen_context = &live->copy;
	return 0;
}

struct memory_file {
	uint64_t sound_bytes; /* snapshot_bytes_max() */
	uint8_t *data;
	size_t bytes, capacity;
};

static bool write_to_memory(void *context, uint64_t offset, const void *data, size_t bytes)
{
	struct memory_file *file = context;

	if (offset + bytes > file->sound_bytes)
		return false;
	if (offset + bytes > file->capacity) {
		file->capacity = 2 * (offset + bytes);
		file->data = alloc_resize(file->data, file->capacity, 1);
	}
	if (offset > file->bytes) /* the header comes last */
		memset(file->data + file->bytes, 0, offset - file->bytes);
	memcpy(file->data + offset, data, bytes);
	if (offset + bytes > file->bytes)
		file->bytes = offset + bytes;
	return true;
}

int live_state_read(
	struct live_state *live, struct snapshot **snapshotp, bool *endedp, struct fail *f)
{
	struct memory_file memory = { 0 };
	struct snapshot_sink sink = { write_to_memory, &memory, NULL, SNAPSHOT_FILE_BUFFER_BYTES };
	struct snapshot_facts facts;
	char name[64];
	int ret = -1;

	if (begin_reading(live, HEAPSPY_REASON_REQUEST, NULL, &facts, f) < 0)
		return -1;
	memory.sound_bytes = snapshot_bytes_max(live->copy.state);
	snprintf(name, sizeof(name), "process %u", live->source.pid);
	sink.buffer = alloc_array(1, sink.buffer_bytes);
	if (snapshot_write(live->copy.state, &facts, &sink))
		ret = snapshot_decode(memory.data, memory.bytes, name, 0, snapshotp, f);
	else
		fail_set(f, EXIT_CODE_INPUT, "the state of %s is damaged", name);
	*endedp = live->ended_ns != 0;
	free(sink.buffer);
	free(memory.data);
	return ret;
}

void live_state_set_place(struct live_state *live, const char *dir, bool inside)
{
	live->place_is_parents = inside;
	snprintf(live->place, sizeof(live->place), "%s", dir);
}

bool live_state_is_foreign(const struct live_state *live)
{
	return live->source.uid != geteuid();
}

bool live_state_is_owners(struct live_state *live)
{
	return !live_state_has_ended(live) && proc_uid(live->source.pid) == live->source.uid;
}

bool live_state_has_place(const struct live_state *live)
{
	const struct state_header *h = &live->header;
	char parent[STATE_PATH_BYTES];
	char *slash;

	/* The directory itself may not be there yet. */
	snprintf(parent, sizeof(parent), "%s", h->dir[0] == '/' ? h->dir : h->cwd);
	slash = h->dir[0] == '/' ? strrchr(parent, '/') : NULL;
	if (slash)
		slash[slash == parent] = '\0';
	return !live_state_is_foreign(live) && proc_shares_dir(live->source.pid, parent);
}

/* A directory of another user's choosing, or of another view of the files, is not for us. */
static void choose_place(struct live_state *live)
{
	struct state_header *state = live->copy.state;

	if (live->place[0]) {
		memcpy(state->dir, live->place, sizeof(state->dir));
		state->cwd[0] = '\0';
		state->tmpdir[0] = '\0';
		state->dir_is_parents = live->place_is_parents;
		state->next_number = 1;
		return;
	}
	if (live_state_has_place(live))
		return;
	state->dir[0] = '\0';
	state->tmpdir[0] = '\0';
	state->next_number = 1;
	if (!getcwd(state->cwd, sizeof(state->cwd)))
		state->cwd[0] = '\0';
}

static int write_with(struct live_state *live, struct snapshot_file *file,
	enum heapspy_reason reason, const char *label, const char *path,
	struct live_state_written *out, struct fail *f)
{
	struct snapshot_facts facts;
	long ret;

	if (begin_reading(live, reason, label, &facts, f) < 0)
		return -1;
	if (path) {
		ret = snapshot_file_write_as(file, live->copy.state, &facts, path);
		out->number = 0;
	} else {
		choose_place(live);
		ret = snapshot_file_write(file, live->copy.state, &facts);
		out->number = ret > 0 ? (uint32_t)ret : 0;
	}
	if (ret == -EUCLEAN)
		return fail_set(
			f, EXIT_CODE_INPUT, "the state of process %u is damaged", live->source.pid);
	if (ret < 0)
		return fail_set(f, EXIT_CODE_OTHER, "cannot write '%s': %s%s",
			file->path[0] && ret != -ENOENT ? file->path
			: path                          ? path
							: file->dir,
			strerror((int)-ret),
			ret == -EEXIST ? "; no file is ever written over: choose another name"
				       : "");
	snprintf(out->path, sizeof(out->path), "%s", file->path);
	out->bytes = file->bytes;
	return 0;
}

int live_state_write(struct live_state *live, enum heapspy_reason reason, const char *label,
	const char *path, struct live_state_written *out, struct fail *f)
{
	/* Not kept: run looks after many processes. */
	struct snapshot_file *file = alloc_array(1, sizeof(*file));
	int ret = write_with(live, file, reason, label, path, out, f);

	free(file);
	return ret;
}

bool live_state_hold_lease(struct live_state *live, uint64_t now_ns, uint64_t due_ns)
{
	return state_source_write(&live->source, offsetof(struct state_header, lease.heartbeat_ns),
		       &now_ns, sizeof(now_ns)) &&
	       state_source_write(&live->source, offsetof(struct state_header, due_ns), &due_ns,
		       sizeof(due_ns));
}
