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
#include "analyzer/read/run_dir.h"
#include "analyzer/target/here.h"
#include "analyzer/target/last_sign.h"
#include "analyzer/target/memory_room.h"
#include "analyzer/target/proc.h"
#include "analyzer/target/roots_path.h"
#include "analyzer/target/state_copy.h"
#include "analyzer/target/state_source.h"
#include "preload/state/snapshot_file.h"

#define RSS_VALID_NS   200000000ull
#define RSS_SETTLED_NS 1000000000ull
#define WRITING_NS_MIN 1000ull
#define WRITING_NS_MAX 60000000000ull
#define ROOM_BYTES     (1ull << 20) /* for all but the copy of the state */

struct live_state {
	struct state_source source;
	struct state_header header;
	struct state_copy copy;
	uint64_t ended_ns; /* when its end was noticed; 0: it goes on */
	uint64_t rss_bytes, rss_peak_bytes;
	uint64_t rss_ns; /* when they were seen */
	struct memory_room memory_room;
	bool is_limited; /* our own memory: a copy is not kept longer than needed */
	struct snapshot_keep keep;
	uint64_t keep_bytes;
	bool keep_is_set;
	bool was_dead; /* when it was opened, */
	bool places_are_doubted;
	bool place_is_forgotten, cwd_is_forgotten, tmpdir_is_forgotten;
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

int live_state_open_dead(int dir_fd, const char *name, struct live_state **outp)
{
	struct live_state *live = alloc_aligned(sizeof(*live));
	int ret = state_source_open_dead(&live->source, dir_fd, name, &live->header);

	if (ret < 0) {
		free(live);
		return ret;
	}
	live->was_dead = true;
	live->ended_ns = last_sign_of_header(&live->header) | 1; /* 0: goes on */
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

bool live_state_is_mapped(const struct live_state *live)
{
	uint32_t tid = proc_living_thread(live->source.pid);
	struct state_header header;
	struct stat st;

	if (live->source.fd >= 0)
		return !fstat(live->source.fd, &st) && proc_maps_file(tid, st.st_ino);
	return state_source_read(&live->source, 0, &header, sizeof(header)) &&
	       header.magic == STATE_MAGIC && header.start_id == live->header.start_id;
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
	if (strncmp(exe, made_by, strlen(made_by)) ||
		(exe[strlen(made_by)] && strcmp(exe + strlen(made_by), " (deleted)"))) {
		snprintf(path, sizeof(path), "/proc/%u/root%s", pid, made_by);
		if ((stat(path, &then) || now.st_ino != then.st_ino || now.st_dev != then.st_dev) &&
			!live_state_is_mapped(live))
			return true;
	}
	live->exe_device = now.st_dev;
	live->exe_inode = now.st_ino;
	return false;
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
	live->source.is_gone = live->ended_ns != 0;
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

void live_state_look_at_limit(
	struct live_state *live, bool is_exact, struct memory_limit_look *look)
{
	if (live_state_has_ended(live))
		memset(look, 0, sizeof(*look));
	else
		memory_room_look(&live->memory_room, live->source.pid, is_exact, look);
}

bool live_state_set_room(struct live_state *live, const struct memory_limit *group, uint64_t now_ns)
{
	struct state_room room = { .ns = now_ns };

	if (group->kind) {
		room.limit_bytes = group->limit_bytes;
		room.left_bytes = memory_limit_left_bytes(group);
		room.rss_bytes = live->rss_bytes;
		room.bytes_seen = live->header.bytes_seen;
		room.committed_bytes = live->header.committed_bytes;
	}
	return state_source_write(
		&live->source, offsetof(struct state_header, room), &room, sizeof(room));
}

/*
 * A copy of the state and a file of it are charged to our own memory group, and if that is full
 * the kernel kills somebody in it, the process itself above all.
 */
static int find_room(struct live_state *live, struct snapshot_facts *facts, struct fail *f)
{
	uint64_t room_bytes = memory_room_own_bytes();

	if (room_bytes == UINT64_MAX)
		return 0;
	live->is_limited = true;
	facts->spare_bytes = room_bytes - live->header.committed_bytes;
	if (room_bytes >= live->header.committed_bytes + ROOM_BYTES)
		return 0;
	return fail_set(f, EXIT_CODE_OTHER,
		"the control group of heapspy itself can spare %llu KiB of memory, too little for "
		"a "
		"snapshot of process %u: run heapspy in another one",
		(unsigned long long)room_bytes >> 10, live->source.pid);
}

/* Copies the state and collects what goes beside it. */
static int begin_reading(struct live_state *live, enum heapspy_reason reason, const char *label,
	struct snapshot_facts *facts, struct fail *f)
{
	const struct state_header *state;
	struct memory_limit_look limits;
	bool ended;

	memset(facts, 0, sizeof(*facts));
	if (find_room(live, facts, f) < 0)
		return -1;
	read_memory_use(live);
	if (!state_copy_take(&live->copy, &live->source))
		return fail_set(f, EXIT_CODE_INPUT, "the state of process %u can no longer be read",
			live->source.pid);
	ended = live_state_has_ended(live);
	state = live->copy.state;
	live->header = *state;
	facts->reason = (uint32_t)reason;
	facts->number = state->next_number;
	facts->label = label;
	facts->now_ns = state->exit_ns ? state->exit_ns
			: ended        ? live->ended_ns
				       : live->copy.begin_ns;
	facts->wall_ns = clock_ns(CLOCK_REALTIME);
	if (live->was_dead) {
		facts->now_ns = last_sign_of_state(state);
		facts->wall_ns = state->start_wall_ns + (facts->now_ns - state->start_ns);
	} else if (facts->now_ns < live->copy.begin_ns) {
		facts->wall_ns -= live->copy.begin_ns - facts->now_ns;
	}
	if (rss_is_known(live, facts->now_ns)) {
		facts->rss_bytes = live->rss_bytes;
		facts->rss_peak_bytes = live->rss_peak_bytes;
	}
	live_state_look_at_limit(live, true, &limits);
	facts->limit = limits.least;
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

void live_state_set_keep(struct live_state *live, uint64_t keep_bytes)
{
	live->keep_bytes = keep_bytes;
	live->keep_is_set = true;
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
	if (live->place_is_forgotten || live_state_is_foreign(live))
		return false;
	return live->was_dead ? here_shares_paths(h) : proc_shares_dir(live->source.pid, parent);
}

void live_state_doubt_places(struct live_state *live)
{
	live->places_are_doubted = !geteuid();
}

/* Of the header that is being written: a process that lives, or a child, can change it under us. */
static void judge_places(struct live_state *live)
{
	const struct state_header *h = &live->header;
	char place[2 * STATE_PATH_BYTES];

	/* Without a directory of its own it takes one in these, where that is sure to be root's. */
	live->cwd_is_forgotten = !roots_path_is(h->cwd);
	live->tmpdir_is_forgotten = !roots_path_is(h->tmpdir);
	if (h->dir[0] == '/')
		snprintf(place, sizeof(place), "%s", h->dir);
	else
		snprintf(place, sizeof(place), "%s%s%s", h->cwd, h->dir[0] ? "/" : "", h->dir);
	live->place_is_forgotten = !roots_path_is(place);
}

static void take_own_cwd(struct state_header *state)
{
	if (!getcwd(state->cwd, sizeof(state->cwd)))
		state->cwd[0] = '\0';
}

/* A directory of another user's choosing, or of another view of the files, is not for us. */
static void choose_place(struct live_state *live)
{
	struct state_header *state = live->copy.state;

	if (live->place[0]) {
		memcpy(state->dir, live->place, sizeof(state->dir));
		take_own_cwd(state);
		state->tmpdir[0] = '\0';
		state->dir_is_parents = live->place_is_parents;
		state->next_number = 1;
		return;
	}
	if (live->places_are_doubted)
		judge_places(live);
	if (live_state_has_place(live)) {
		if (live->cwd_is_forgotten)
			take_own_cwd(state);
		if (live->tmpdir_is_forgotten)
			state->tmpdir[0] = '\0';
		return;
	}
	state->dir[0] = '\0';
	state->tmpdir[0] = '\0';
	state->next_number = 1;
	take_own_cwd(state);
}

/* Nor do files go because another user's state says so. */
static void choose_keep(struct live_state *live)
{
	if (live->keep_is_set)
		live->copy.state->keep_bytes = live->keep_bytes;
	else if (live_state_is_foreign(live))
		live->copy.state->keep_bytes = 0;
}

/* How long the writing of a snapshot took, by the clock of its file system; at least a little. */
static uint64_t writing_ns(const char *path, const struct heapspy_info *info)
{
	struct stat st;
	int64_t ns;

	if (stat(path, &st))
		return WRITING_NS_MIN;
	ns = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec - (int64_t)info->cut_wall_ns;
	return ns > (int64_t)WRITING_NS_MIN && ns < (int64_t)WRITING_NS_MAX ? (uint64_t)ns
									    : WRITING_NS_MIN;
}

/*
 * The snapshots that are there already: of each of them the process was there to tell. Nor is
 * the number believed that a dead one has counted to.
 */
static void fit_behind(
	struct live_state *live, struct snapshot_file *file, struct snapshot_facts *facts)
{
	struct state_header *state = live->copy.state;
	char name[SNAPSHOT_KEEP_NAME_BYTES], label[1];
	struct heapspy_info last;
	struct fail ignored;
	uint64_t number;

	state->next_number = 1;
	if (snapshot_dir_prepare(state, file->dir) < 0)
		return;
	number = run_dir_last_number(file->dir);
	if (!number || number > SNAPSHOT_KEEP_NUMBER_MAX)
		return;
	snapshot_keep_name((uint32_t)number, name);
	snprintf(file->path, sizeof(file->path), "%s/%s", file->dir, name);
	if (snapshot_peek(file->path, &last, label, sizeof(label), &ignored) < 0 ||
		last.start_id != state->start_id)
		return;
	/* Not at the same time as that: it lived on, to write it. */
	if (last.cut_ns >= facts->now_ns - state->start_ns)
		facts->now_ns = state->start_ns + last.cut_ns + writing_ns(file->path, &last);
	/* Of the clocks at the start and then, the later one is nearer. */
	facts->wall_ns = last.cut_wall_ns + (facts->now_ns - state->start_ns - last.cut_ns);
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
		if (live->was_dead)
			fit_behind(live, file, &facts);
		choose_keep(live);
		ret = snapshot_file_write(file, &live->keep, live->copy.state, &facts);
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
	if (live->is_limited)
		state_copy_deinit(&live->copy);
	return ret;
}

bool live_state_hold_lease(struct live_state *live, uint64_t now_ns, uint64_t due_ns)
{
	return state_source_write(&live->source, offsetof(struct state_header, lease.heartbeat_ns),
		       &now_ns, sizeof(now_ns)) &&
	       state_source_write(&live->source, offsetof(struct state_header, due_ns), &due_ns,
		       sizeof(due_ns));
}
