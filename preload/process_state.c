/*
 * process_state.c - owns the first filling of a state. When one is made is decided
 * in lifecycle.c; how it grows, in state/; where its file lies, in state_files.c.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include "preload/clock.h"
#include "preload/cpu_budget.h"
#include "preload/limit_watch.h"
#include "preload/live_table.h"
#include "preload/log.h"
#include "preload/process.h"
#include "preload/process_state.h"
#include "preload/rawsys.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/state_files.h"
#include "sample_math.h"

#define FIRST_LIVE_BUCKETS 64
#define FIRST_INDEX_SLOTS  512
#define FIRST_MODULES      64
#define FIRST_THREADS      64
#define NAMES              64
#define TICKS              128
#define ANCESTORS_MAX      16
#define MAX_BYTES_MIN      (256u << 10)
#define WATCH_AFTER_NS     100000000ull /* the first look at the memory limit */
#define TICK_NS            10000000ull  /* USER_HZ */

/* The start of a small file, NUL-terminated; its length, 0 when it cannot be read. */
static size_t read_file(const char *path, char *out, size_t bytes)
{
	long fd = rawsys(SYS_open, path, O_RDONLY | O_CLOEXEC), n;

	out[0] = '\0';
	if (fd < 0)
		return 0;
	n = rawsys(SYS_read, fd, out, bytes - 1);
	rawsys(SYS_close, fd);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	return (size_t)n;
}

static void read_boot_id(uint8_t out[16])
{
	char text[64];
	unsigned digits = 0;
	const char *p;

	read_file("/proc/sys/kernel/random/boot_id", text, sizeof(text));
	for (p = text; *p && digits < 32; p++) {
		int v = *p >= '0' && *p <= '9'   ? *p - '0'
			: *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
						 : -1;

		if (v < 0)
			continue;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | v);
		digits++;
	}
}

/* The name that the program was started by, if that is a whole path. */
static void read_started_name(char *out, size_t bytes)
{
	const char *name = (const char *)getauxval(AT_EXECFN);

	if (name && name[0] == '/' && strlen(name) < bytes)
		strcpy(out, name);
}

void process_state_read_facts(struct process_facts *facts)
{
	struct utsname names;
	size_t n;
	long ret;

	n = read_file("/proc/self/comm", facts->comm, sizeof(facts->comm));
	if (n && facts->comm[n - 1] == '\n')
		facts->comm[n - 1] = '\0';
	/* Without /proc: of the thread that asks, which is nearly always the first. */
	if (!facts->comm[0])
		rawsys(SYS_prctl, PR_GET_NAME, facts->comm);
	if (!facts->comm[0])
		strcpy(facts->comm, "unknown");
	if (!rawsys(SYS_uname, &names)) {
		memcpy(facts->host, names.nodename, sizeof(facts->host) - 1);
		facts->host[sizeof(facts->host) - 1] = '\0';
	}
	ret = rawsys(SYS_readlink, "/proc/self/exe", facts->exe, sizeof(facts->exe) - 1);
	facts->exe[ret > 0 ? ret : 0] = '\0';
	if (ret <= 0)
		read_started_name(facts->exe, sizeof(facts->exe));
	read_boot_id(facts->boot_id);
}

uint64_t process_state_start_ticks(uint32_t pid, uint32_t *ppidp)
{
	char path[48], text[512];
	uint64_t value = 0;
	unsigned field = 2;
	const char *p;

	*ppidp = 0;
	if (pid)
		log_format(path, sizeof(path), "/proc/%u/stat", pid);
	else
		strcpy(path, "/proc/self/stat");
	read_file(path, text, sizeof(text));
	p = strrchr(text, ')'); /* the command before it may hold anything */
	for (; p && *p && field < 22; p++) {
		if (*p != ' ')
			continue;
		field++;
		for (value = 0; p[1] >= '0' && p[1] <= '9'; p++)
			value = value * 10 + (uint64_t)(p[1] - '0');
		if (field == 4)
			*ppidp = (uint32_t)value;
	}
	return field == 22 ? value : 0;
}

/* From field n of a text of /proc/PID/stat on; n is greater than 2. */
static const char *stat_from(const char *text, unsigned n)
{
	const char *p = strrchr(text, ')');

	for (n -= 2; p && *p && n; p++)
		n -= *p == ' ';
	return p ? p : "";
}

bool process_state_is_vfork_child(void)
{
	char path[48], own[512], its[512];
	const char *a, *b;
	uint32_t parent;

	process_state_start_ticks(0, &parent);
	log_format(path, sizeof(path), "/proc/%u/stat", parent);
	/* Of its main thread: with a second one it would have a state, see thread_made(). */
	if (!read_file(path, its, sizeof(its)) || !read_file("/proc/self/stat", own, sizeof(own)) ||
		*stat_from(its, 3) != 'D')
		return false;
	/* Fields 23 and 24, size and resident pages, of one memory or of two. */
	a = stat_from(own, 23);
	b = stat_from(its, 23);
	for (; *a && *a == *b && a < stat_from(own, 25); a++, b++)
		;
	return *a && a == stat_from(own, 25);
}

/*
 * When a forked process began, on CLOCK_MONOTONIC: the kernel counts in hundredths of a second
 * since boot. now_ns where that cannot be true.
 */
static uint64_t forked_at_ns(uint64_t start_ticks, uint64_t now_ns)
{
	uint64_t boot_ns = clock_ns(CLOCK_BOOTTIME), then_ns = start_ticks * TICK_NS;

	if (!start_ticks || then_ns > boot_ns || boot_ns - then_ns > now_ns)
		return now_ns;
	return now_ns - (boot_ns - then_ns);
}

/*
 * The tables a state starts with: about 60 KiB. Last what each sample needs: tables
 * are looked for from the end of the directory.
 */
static bool lay_out(struct state_header *state)
{
	return state_map_add_chunk(
		       state, STATE_CHUNK_TICKS, TICKS * sizeof(struct heapspy_tick), 0, NULL) &&
	       state_map_add_chunk(state, STATE_CHUNK_NAMES, NAMES * STATE_NAME_BYTES, 0, NULL) &&
	       state_map_add_chunk(state, STATE_CHUNK_THREADS,
		       FIRST_THREADS * sizeof(struct state_thread), 0, NULL) &&
	       state_map_add_chunk(state, STATE_CHUNK_MODULES,
		       FIRST_MODULES * sizeof(struct state_module), 0, NULL) &&
	       state_map_add_chunk(
		       state, STATE_CHUNK_INDEX, FIRST_INDEX_SLOTS * sizeof(uint64_t), 0, NULL) &&
	       state_map_add_chunk(state, STATE_CHUNK_LIVE,
		       live_table_segment_bytes(FIRST_LIVE_BUCKETS), 0, live_table_segment_init);
}

/* The whole cap is reserved at once, and what little there may be is the program's. */
static uint64_t below_limit(int resource, uint64_t bytes)
{
	struct rlimit limit;

	if (rawsys(SYS_getrlimit, resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
		bytes <= limit.rlim_cur / 16)
		return bytes;
	return limit.rlim_cur / 16 < MAX_BYTES_MIN ? MAX_BYTES_MIN : limit.rlim_cur / 16;
}

bool process_state_spare_locked(struct state_header *state)
{
	uint64_t max_bytes = below_limit(RLIMIT_MEMLOCK, state->max_bytes);

	if (!state_map_lower_cap(state, max_bytes))
		return false;
	log_verbose("the program locks its memory, which is limited: the cap of the state is %lu "
		    "bytes from here on",
		state->max_bytes);
	return true;
}

/*
 * Whether the process that offered to write snapshots is there, and sees the state directory
 * that we see. What cannot be found out counts as yes: silence ends the lease anyway.
 */
static bool is_offered_lease(const struct settings *settings)
{
	struct stat ours, theirs;
	char path[320];
	uint32_t parent;

	if (!settings->lease_pid || process_state_start_ticks(settings->lease_pid, &parent) !=
					    settings->lease_start_ticks)
		return false;
	log_format(path, sizeof(path), "/proc/%u/root%s", settings->lease_pid, settings->state_dir);
	return rawsys(SYS_stat, settings->state_dir, &ours) < 0 ||
	       rawsys(SYS_stat, path, &theirs) < 0 ||
	       (ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino);
}

bool process_state_proc_knows_us(uint32_t pid)
{
	char mine[16], link[16];
	long n = rawsys(SYS_readlink, "/proc/self", link, sizeof(link));

	return log_format(mine, sizeof(mine), "%u", pid) == (size_t)n &&
	       !memcmp(mine, link, (size_t)n);
}

/* An ancestor of this forked process had no state file: process_state_is_descendant() misses it. */
static bool ancestor_was_private;

/* Where snapshots go and who writes them: for the process itself, and for others. */
static void fill_in_writer(struct state_header *state, const struct settings *settings,
	bool is_leased, uint64_t now_ns)
{
	uint64_t interval_ns = settings->interval_ns;

	state->writer = settings->writer;
	state->snapshot_interval_ns = interval_ns;
	state->due_ns =
		interval_ns ? now_ns + interval_ns - (now_ns - state->start_ns) % interval_ns : 0;
	state->next_number = 1;
	state->keep_bytes = settings->keep_bytes;
	state->near_limit_ppm = settings->near_limit_ppm;
	state->watch_ns = now_ns + WATCH_AFTER_NS;
	memcpy(state->dir, settings->dir, sizeof(settings->dir));
	memcpy(state->cwd, settings->cwd, sizeof(settings->cwd));
	memcpy(state->tmpdir, settings->tmpdir, sizeof(settings->tmpdir));
	/* Settled here, and for good: parents end. */
	state->dir_is_parents =
		settings->dir[0] &&
		(state->flags & HEAPSPY_INFO_FORK_CHILD || !settings->dir_has_pid) &&
		(ancestor_was_private || process_state_is_descendant(settings));
	/* From here on this is the ancestor. */
	if (state->flags & HEAPSPY_INFO_STATE_PRIVATE)
		ancestor_was_private = true;
	if (is_leased) {
		state->lease.pid = settings->lease_pid;
		state->lease.is_beyond = !process_state_proc_knows_us(state->pid);
		state->lease.start_ticks = settings->lease_start_ticks;
		state->lease.heartbeat_ns = now_ns; /* time to find us */
	}
}

static uint64_t namespace_number(const char *path)
{
	struct stat st;

	return rawsys(SYS_stat, path, &st) < 0 ? 0 : st.st_ino;
}

struct state_header *process_state_create(
	const struct settings *settings, const struct process_facts *facts, uint32_t flags)
{
	struct state_header *state = NULL;
	uint32_t pid = (uint32_t)rawsys(SYS_getpid, 0), ppid;
	uint64_t start_ticks = process_state_start_ticks(0, &ppid);
	uint64_t pid_namespace = namespace_number("/proc/self/ns/pid");
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), max_bytes;
	uint64_t begun_ns =
		flags & HEAPSPY_INFO_FORK_CHILD ? forked_at_ns(start_ticks, now_ns) : now_ns;
	bool is_leased = is_offered_lease(settings);
	struct state_room room = { 0 };
	char path[384];
	int error = 0, file_error = 0;

	max_bytes = below_limit(RLIMIT_AS, settings->state_max_bytes);
	/* Under a lease its holder looks, at once. */
	if (!is_leased && !limit_watch_begin(&room)) {
		log_verbose("the memory group is full; nothing is profiled");
		return NULL;
	}
	if (!settings->state_anon) {
		/* A forked child has no image before; under a lease it is the holder's. */
		if (!is_leased && !(flags & HEAPSPY_INFO_FORK_CHILD))
			state_files_end_images(settings, pid, start_ticks, pid_namespace, now_ns);
		state_files_path(settings, pid, start_ticks, begun_ns, path, sizeof(path));
		state = state_map_create(path, max_bytes, &error);
		if (!state)
			log_verbose("no state file %s: %e; private memory serves", path, error);
	}
	if (!state) {
		flags |= HEAPSPY_INFO_STATE_PRIVATE;
		file_error = error;
		state = state_map_create(NULL, max_bytes, &error);
	}
	if (!state) {
		log_verbose("no memory for the state: %e; nothing is profiled", error);
		return NULL;
	}
	state->pid = pid;
	state->state_errno = (uint32_t)-file_error;
	state->room = room;
	state->start_ticks = start_ticks;
	state->start_ns = now_ns;
	state->start_wall_ns = clock_ns(CLOCK_REALTIME);
	state->start_id = (state->start_wall_ns ^ (uint64_t)pid << 40) * 0x9E3779B97F4A7C15ull;
	state->interval_bytes = settings->sample_bytes;
	state->work_bytes = process_memory_bytes();
	state->variance_unit_log2 = sample_variance_unit_log2(settings->sample_bytes);
	cpu_budget_begin(state, settings->cpu_max_ppm);
	/* From here on the time before its first sample is a forked child's own. */
	state->start_wall_ns -= now_ns - begun_ns;
	state->start_ns = begun_ns;
	memcpy(state->boot_id, facts->boot_id, sizeof(state->boot_id));
	memcpy(state->comm, facts->comm, sizeof(state->comm));
	memcpy(state->host, facts->host, sizeof(state->host));
	memcpy(state->exe, facts->exe, sizeof(state->exe));
	memcpy(state->front_malloc, facts->front_malloc, sizeof(state->front_malloc));
	memcpy(state->next_malloc, facts->next_malloc, sizeof(state->next_malloc));
	state->pid_namespace = pid_namespace;
	state->mount_namespace = namespace_number("/proc/self/ns/mnt");
	state->flags = flags | facts->flags | (settings->start_off ? HEAPSPY_INFO_STOPPED : 0);
	fill_in_writer(state, settings, is_leased, now_ns);
	state->n_names = 1; /* name 0 is "unknown" */
	if (!lay_out(state)) {
		log_verbose("no room for the state's tables: %e; nothing is profiled",
			(int)state->grow_errno);
		process_state_unlink(settings, pid, start_ticks, begun_ns);
		return NULL;
	}
	stack_table_reserve_last(state);
	/* Children come in crowds, programs one by one. */
	if (!settings->state_anon && !(flags & HEAPSPY_INFO_FORK_CHILD))
		state_files_sweep(settings, state);
	/* A reader outside takes a state without magic for none. */
	hs_store_release(&state->magic, STATE_MAGIC);
	return state;
}

void process_state_unlink(
	const struct settings *settings, uint32_t pid, uint64_t start_ticks, uint64_t start_ns)
{
	char path[384];

	state_files_path(settings, pid, start_ticks, start_ns, path, sizeof(path));
	rawsys(SYS_unlink, path);
}

struct ancestors {
	unsigned n;
	struct {
		uint32_t pid;
		uint64_t start_ticks;
	} of[ANCESTORS_MAX];
	bool found;
};

/* Notes whether the name is that of an ancestor's state. */
static bool is_ancestors(long dir_fd, const char *name, void *context)
{
	struct ancestors *a = context;
	char prefix[80];
	unsigned i;

	if (strncmp(name, "heapspy.", 8) != 0)
		return false;
	for (i = 0; i < a->n && !a->found; i++) {
		state_files_prefix(a->of[i].pid, a->of[i].start_ticks, prefix, sizeof(prefix));
		a->found = !strncmp(name, prefix, strlen(prefix));
	}
	return false;
}

bool process_state_is_descendant(const struct settings *settings)
{
	struct ancestors a = { 0 };
	uint32_t pid, parent;

	/* Not our own pid: the image before an exec was the same process. */
	process_state_start_ticks(0, &parent);
	/* Beyond the holder of the lease nobody is of this run. */
	while (a.n < ANCESTORS_MAX && parent > 1 && parent != settings->lease_pid) {
		pid = parent;
		a.of[a.n].pid = pid;
		a.of[a.n].start_ticks = process_state_start_ticks(pid, &parent);
		a.n += a.of[a.n].start_ticks != 0;
	}
	if (a.n)
		state_files_scan(settings->state_dir, is_ancestors, &a);
	return a.found;
}
