/*
 * process_state.c - owns the first filling of a state. When one is made is decided
 * in lifecycle.c; how it grows, in state/; where its file lies, in state_files.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include "preload/clock.h"
#include "preload/compiler.h"
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
#define PAGE_BYTES         4096

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

/* Of /proc/PID/stat; all zero when it cannot be read. */
struct stat_fields {
	char condition; /* 'R', 'S', 'D' */
	uint32_t parent;
	uint64_t start_ticks, mapped_bytes, resident_pages;
};

static HS_COLD void read_stat(uint32_t pid, struct stat_fields *stat)
{
	char path[32], text[384]; /* the stack may be a small one */
	unsigned field = 2;
	uint64_t value;
	const char *p;

	memset(stat, 0, sizeof(*stat));
	if (pid)
		log_format(path, sizeof(path), "/proc/%u/stat", pid);
	else
		strcpy(path, "/proc/self/stat");
	read_file(path, text, sizeof(text));
	p = strrchr(text, ')'); /* the command before it may hold anything */
	for (; p && *p && field < 24; p++) {
		if (*p != ' ')
			continue;
		if (++field == 3)
			stat->condition = p[1];
		for (value = 0; p[1] >= '0' && p[1] <= '9'; p++)
			value = value * 10 + (uint64_t)(p[1] - '0');
		if (field == 4)
			stat->parent = (uint32_t)value;
		else if (field == 22)
			stat->start_ticks = value;
		else if (field == 23)
			stat->mapped_bytes = value;
		else if (field == 24)
			stat->resident_pages = value;
	}
}

uint64_t process_state_start_ticks(uint32_t pid, uint32_t *ppidp)
{
	struct stat_fields stat;

	read_stat(pid, &stat);
	*ppidp = stat.parent;
	return stat.start_ticks;
}

bool process_state_is_vfork_child(void)
{
	struct stat_fields own, its;
	unsigned tries;

	/*
	 * Of one memory, or of two. (The parent's are those of its main thread: with a second one
	 * it would have a state, see thread_made().) The first look may make a page resident
	 * between its halves; the second one does not.
	 */
	for (tries = 0; tries < 2; tries++) {
		read_stat(0, &own);
		read_stat(own.parent, &its);
		if (its.condition == 'D' && own.mapped_bytes == its.mapped_bytes &&
			own.resident_pages == its.resident_pages)
			return true;
	}
	return false;
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

/* Whether RLIMIT_MEMLOCK holds for the caller: a right may lift it, as only an attempt tells. */
static bool is_lock_limited(void)
{
	struct rlimit limit;
	long at;

	if (rawsys(SYS_getrlimit, RLIMIT_MEMLOCK, &limit) < 0)
		return false;
	/* Without access, so nothing is made resident. */
	at = rawsys(SYS_mmap, 0, limit.rlim_cur + PAGE_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_LOCKED, -1, 0);
	if (at < 0 && at > -4096)
		return at == -EAGAIN;
	rawsys(SYS_munmap, at, limit.rlim_cur + PAGE_BYTES);
	return false;
}

bool process_state_spare_locked(struct state_header *state, bool is_locked)
{
	uint64_t max_bytes = below_limit(RLIMIT_MEMLOCK, state->max_bytes);

	if (max_bytes == state->max_bytes || (is_locked && !is_lock_limited()) ||
		!state_map_lower_cap(state, max_bytes))
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
static HS_COLD bool is_offered_lease(const struct settings *settings)
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
static HS_COLD void fill_in_writer(struct state_header *state, const struct settings *settings,
	bool is_leased, uint64_t now_ns)
{
	uint64_t interval_ns = settings->interval_ns;
	/* Settled here, and for good: parents end. */
	bool dir_is_parents = settings->dir[0] &&
			      (state->flags & HEAPSPY_INFO_FORK_CHILD || !settings->dir_has_pid) &&
			      (ancestor_was_private || process_state_is_descendant(settings));
	bool is_beyond = is_leased && !process_state_proc_knows_us(state->pid);

	if (!process_is_making_state())
		return;
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
	state->dir_is_parents = dir_is_parents;
	/* From here on this is the ancestor. */
	if (state->flags & HEAPSPY_INFO_STATE_PRIVATE)
		ancestor_was_private = true;
	if (is_leased) {
		state->lease.pid = settings->lease_pid;
		state->lease.is_beyond = is_beyond;
		state->lease.start_ticks = settings->lease_start_ticks;
		state->lease.heartbeat_ns = now_ns; /* time to find us */
	}
}

static HS_COLD uint64_t namespace_number(const char *path)
{
	struct stat st;

	return rawsys(SYS_stat, path, &st) < 0 ? 0 : st.st_ino;
}

static HS_COLD struct state_header *map_file(const struct settings *settings, uint32_t pid,
	uint64_t start_ticks, uint64_t begun_ns, uint64_t max_bytes, int *errorp)
{
	struct state_header *state;
	char path[384];

	state_files_path(settings, pid, start_ticks, begun_ns, path, sizeof(path));
	state = state_map_create(path, max_bytes, errorp);
	if (!state && process_is_making_state())
		log_verbose("no state file %s: %e; private memory serves", path, *errorp);
	return state;
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
		state = map_file(settings, pid, start_ticks, begun_ns, max_bytes, &error);
	}
	if (!state) {
		flags |= HEAPSPY_INFO_STATE_PRIVATE;
		file_error = error;
		state = state_map_create(NULL, max_bytes, &error);
	}
	if (!process_is_making_state())
		return NULL;
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
	if (!process_is_making_state())
		return NULL;
	state->n_names = 1; /* name 0 is "unknown" */
	if (!lay_out(state)) {
		if (!process_is_making_state())
			return NULL;
		log_verbose("no room for the state's tables: %e; nothing is profiled",
			(int)state->grow_errno);
		process_state_unlink(settings, pid, start_ticks, begun_ns);
		return NULL;
	}
	stack_table_reserve_last(state);
	/* Children come in crowds, programs one by one. */
	if (!settings->state_anon && !(flags & HEAPSPY_INFO_FORK_CHILD))
		state_files_sweep(settings, state);
	if (!process_is_making_state())
		return NULL;
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
