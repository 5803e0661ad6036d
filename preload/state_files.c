/*
 * state_files.c - owns the directory of the states: how their files are named, what
 * becomes of them at an exec, and the sweeping of the dead. What is in them is the
 * business of state/ and of the tables. Raw system calls: this runs in a hook.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "preload/clock.h"
#include "preload/log.h"
#include "preload/process_state.h"
#include "preload/rawsys.h"
#include "preload/state_files.h"

#define FILES_MAX   512
#define SWEEP_NS    5000000ull
#define WORTH_NS    1000000000ull /* so long a life is worth telling of, samples or not */
#define NAME_BYTES  100
#define NAME_OFFSET 19 /* struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name */

/* The user of the beginning: a process may give up its rights on the way. */
static uint32_t first_user(void)
{
	static uint32_t user_plus_1;

	if (!user_plus_1)
		user_plus_1 = (uint32_t)rawsys(SYS_geteuid, 0) + 1;
	return user_plus_1 - 1;
}

void state_files_prefix(uint32_t pid, uint64_t start_ticks, char *out, size_t bytes)
{
	log_format(out, bytes, "heapspy.%u.%u.%lu-", first_user(), pid, start_ticks);
}

void state_files_path(const struct settings *settings, uint32_t pid, uint64_t start_ticks,
	uint64_t start_ns, char *out, size_t bytes)
{
	char prefix[80];

	state_files_prefix(pid, start_ticks, prefix, sizeof(prefix));
	log_format(out, bytes, "%s/%s%lu", settings->state_dir, prefix, start_ns);
}

static void scan(
	long dir_fd, bool (*wants)(long dir_fd, const char *name, void *context), void *context)
{
	char buffer[320]; /* a name is 255 at most; the stack may be a small one */
	long n;

	while ((n = rawsys(SYS_getdents64, dir_fd, buffer, sizeof(buffer))) > 0) {
		uint16_t length;
		long at;

		for (at = 0; at < n; at += length) {
			const char *name = buffer + at + NAME_OFFSET;

			memcpy(&length, buffer + at + 16, sizeof(length));
			if (wants(dir_fd, name, context))
				rawsys(SYS_unlinkat, dir_fd, name, 0);
		}
	}
}

void state_files_scan(
	const char *dir, bool (*wants)(long dir_fd, const char *name, void *context), void *context)
{
	long fd = rawsys(SYS_open, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	scan(fd, wants, context);
	rawsys(SYS_close, fd);
}

static bool read_at(long fd, size_t offset, void *out, size_t bytes)
{
	return rawsys(SYS_pread64, fd, out, bytes, offset) == (long)bytes;
}

#define READ_FIELD(fd, field, out)                                                                 \
	read_at(fd, offsetof(struct state_header, field), out, sizeof(*(out)))

/* Opens what is a state of this version in a file of this user's; its user need not be asked. */
static long open_state(long dir_fd, const char *name, int access)
{
	uint32_t version = 0;
	uint64_t magic = 0;
	struct stat st;
	long fd;

	fd = rawsys(
		SYS_openat, dir_fd, name, access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	if (rawsys(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		st.st_uid != (uid_t)rawsys(SYS_geteuid, 0) || st.st_nlink != 1 ||
		!READ_FIELD(fd, magic, &magic) || !READ_FIELD(fd, version, &version) ||
		magic != STATE_MAGIC || version != STATE_VERSION) {
		rawsys(SYS_close, fd);
		return -EINVAL;
	}
	return fd;
}

/*
 * Whether a file of that name is mapped into this process. An exec leaves no mapping: so it is no
 * earlier image's, but that of another copy of this library (dlmopen).
 */
static bool is_mapped_here(const char *name)
{
	long fd = rawsys(SYS_open, "/proc/self/maps", O_RDONLY | O_CLOEXEC), n, at;
	size_t length = strlen(name), same = 0;
	char buffer[256]; /* the stack may be a small one */

	if (fd < 0)
		return false;
	while (same < length && (n = rawsys(SYS_read, fd, buffer, sizeof(buffer))) > 0)
		for (at = 0; at < n && same < length; at++) /* only its first letter is an 'h' */
			same = buffer[at] == name[same] ? same + 1 : buffer[at] == name[0];
	rawsys(SYS_close, fd);
	return same == length;
}

struct images {
	char prefix[80];
	uint64_t now_ns, pid_namespace;
	bool nobody_asks; /* HEAPSPY_WRITER=off */
};

/* Whether the state of an earlier image goes, or is left with the time of its end in it. */
static bool ends_image(long dir_fd, const char *name, void *context)
{
	const struct images *images = context;
	uint64_t start_ns, samples, exit_ns, pid_namespace;
	uint32_t wrote_end, number, flags;
	bool stays;
	long fd;

	if (strncmp(name, images->prefix, strlen(images->prefix)) != 0 || is_mapped_here(name))
		return false;
	fd = open_state(dir_fd, name, O_RDWR);
	/* Containers that are started together have processes of one number and one start time.
	 * Whose a state is that is being made cannot be told: what is left of one is for heapspy
	 * recover. */
	if (fd < 0)
		return false;
	stays = READ_FIELD(fd, pid_namespace, &pid_namespace) &&
		pid_namespace != images->pid_namespace;
	if (!stays && !images->nobody_asks && READ_FIELD(fd, wrote_end, &wrote_end) && !wrote_end &&
		READ_FIELD(fd, start_ns, &start_ns) && READ_FIELD(fd, samples, &samples) &&
		READ_FIELD(fd, next_number, &number) && READ_FIELD(fd, exit_ns, &exit_ns) &&
		READ_FIELD(fd, flags, &flags)) {
		stays = (samples && !(flags & HEAPSPY_INFO_FORK_CHILD)) || number > 1 ||
			images->now_ns - start_ns >= WORTH_NS;
		if (stays && !exit_ns)
			rawsys(SYS_pwrite64, fd, &images->now_ns, sizeof(images->now_ns),
				offsetof(struct state_header, exit_ns));
	}
	rawsys(SYS_close, fd);
	return !stays;
}

void state_files_end_images(const struct settings *settings, uint32_t pid, uint64_t start_ticks,
	uint64_t pid_namespace, uint64_t now_ns)
{
	struct images images = { .now_ns = now_ns,
		.pid_namespace = pid_namespace,
		.nobody_asks = settings->writer == WRITER_OFF };

	state_files_prefix(pid, start_ticks, images.prefix, sizeof(images.prefix));
	state_files_scan(settings->state_dir, ends_image, &images);
}

/* A state by its name. */
struct swept {
	uint64_t start_ticks, start_ns, bytes;
	uint32_t pid;
	uint32_t is_dead;
};

/* Too large for the stacks this may run on. */
struct sweep {
	const struct state_header *self;
	uint64_t until_ns;
	uint64_t bytes; /* of all in the list; then of the dead */
	unsigned n;
	struct swept of[FILES_MAX];
};

/* The number at *pp, which end ends; moves *pp behind that. */
static bool parse_number(const char **pp, char end, uint64_t *out)
{
	const char *p = *pp;

	for (*out = 0; *p >= '0' && *p <= '9'; p++)
		*out = *out * 10 + (uint64_t)(*p - '0');
	if (p == *pp || *p != end)
		return false;
	*pp = p + 1;
	return true;
}

/* Notes a state of this user; removes nothing. */
static bool notes_state(long dir_fd, const char *name, void *context)
{
	struct sweep *sweep = context;
	struct swept *one = &sweep->of[sweep->n];
	const char *p = name + 8;
	uint64_t user, pid;
	struct stat st;

	if (sweep->n == FILES_MAX || strncmp(name, "heapspy.", 8) != 0 ||
		!parse_number(&p, '.', &user) || user != first_user() ||
		!parse_number(&p, '.', &pid) || !parse_number(&p, '-', &one->start_ticks) ||
		!parse_number(&p, '\0', &one->start_ns) ||
		rawsys(SYS_newfstatat, dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return false;
	one->pid = (uint32_t)pid;
	one->bytes = (uint64_t)st.st_blocks * 512;
	sweep->bytes += one->bytes;
	sweep->n++;
	return false;
}

/* The most that the dead may keep in dir's file system; 0: no need to look at them at all. */
static uint64_t limit_bytes(const char *dir)
{
	uint64_t limit = STATE_FILES_DEAD_BYTES, part;
	struct statfs fs;

	if (rawsys(SYS_statfs, dir, &fs) < 0)
		return 0;
	part = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / STATE_FILES_DEAD_PART;
	if (part && part < limit)
		limit = part;
	return (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize > limit ? limit : 0;
}

/*
 * Whether a process is, or may be, in another time namespace than we: what we read as its start
 * time is not what it has read itself.
 */
static bool has_other_clock(uint32_t pid)
{
	struct stat ours, theirs;
	char path[48];

	if (rawsys(SYS_stat, "/proc/self/ns/time", &ours) < 0)
		return false; /* a kernel without */
	log_format(path, sizeof(path), "/proc/%u/ns/time", pid);
	return rawsys(SYS_stat, path, &theirs) < 0 || theirs.st_ino != ours.st_ino;
}

/*
 * A /proc with hidepid shows a user only what it may trace, which is not all of its own: who has
 * made itself undumpable is not there. A signal finds it.
 */
static bool is_running(uint32_t pid, uint64_t start_ticks)
{
	uint32_t parent;
	uint64_t ticks = process_state_start_ticks(pid, &parent);

	if (!ticks)
		return rawsys(SYS_kill, pid, 0) != -ESRCH;
	return ticks == start_ticks || has_other_clock(pid);
}

/* No process of this number and start time is there, or it has another image by now. */
static bool is_dead(const struct sweep *sweep, const struct swept *one)
{
	unsigned i;

	if (!is_running(one->pid, one->start_ticks))
		return true;
	for (i = 0; i < sweep->n; i++)
		if (sweep->of[i].pid == one->pid && sweep->of[i].start_ticks == one->start_ticks &&
			sweep->of[i].start_ns > one->start_ns)
			return true;
	return false;
}

static void name_of(const struct swept *one, char *out, size_t bytes)
{
	size_t n;

	state_files_prefix(one->pid, one->start_ticks, out, bytes);
	n = strlen(out);
	log_format(out + n, bytes - n, "%lu", one->start_ns);
}

/*
 * Whether the file says so too, and nobody will come for it. Of a process that runs only an image
 * that has ended: another copy of this library (dlmopen) looks like the next one.
 */
static bool may_go(const struct sweep *sweep, const struct swept *one, long dir_fd)
{
	uint64_t pid_namespace, start_ticks, exit_ns;
	struct state_lease lease;
	uint8_t boot_id[16];
	char name[NAME_BYTES];
	uint32_t pid;
	bool may;
	long fd;

	name_of(one, name, sizeof(name));
	fd = open_state(dir_fd, name, O_RDONLY);
	if (fd < 0)
		return false;
	may = READ_FIELD(fd, pid, &pid) && pid == one->pid &&
	      READ_FIELD(fd, start_ticks, &start_ticks) && start_ticks == one->start_ticks &&
	      READ_FIELD(fd, boot_id, &boot_id) &&
	      !memcmp(boot_id, sweep->self->boot_id, sizeof(boot_id)) &&
	      READ_FIELD(fd, pid_namespace, &pid_namespace) && pid_namespace &&
	      pid_namespace == sweep->self->pid_namespace && READ_FIELD(fd, lease, &lease) &&
	      READ_FIELD(fd, exit_ns, &exit_ns) &&
	      (exit_ns || !is_running(one->pid, one->start_ticks));
	if (may && lease.pid)
		may = !lease.is_beyond && !is_running(lease.pid, lease.start_ticks);
	rawsys(SYS_close, fd);
	return may;
}

static struct swept *oldest_dead(struct sweep *sweep)
{
	struct swept *oldest = NULL;
	unsigned i;

	for (i = 0; i < sweep->n; i++)
		if (sweep->of[i].is_dead && (!oldest || sweep->of[i].start_ns < oldest->start_ns))
			oldest = &sweep->of[i];
	return oldest;
}

/* Whether more than spare_ns is left. */
static bool has_time(const struct sweep *sweep, uint64_t spare_ns)
{
	return clock_ns(CLOCK_MONOTONIC) + spare_ns < sweep->until_ns;
}

static void remove_dead(struct sweep *sweep, long dir_fd, uint64_t limit)
{
	char name[NAME_BYTES];
	struct swept *one;
	unsigned i, n = 0;

	scan(dir_fd, notes_state, sweep);
	if (sweep->bytes <= limit)
		return;
	/* What seems dead from here and may not go is not counted either: it may be alive. */
	sweep->bytes = 0;
	for (i = 0; i < sweep->n && has_time(sweep, SWEEP_NS / 2); i++) {
		one = &sweep->of[i];
		one->is_dead = is_dead(sweep, one) && may_go(sweep, one, dir_fd);
		if (one->is_dead)
			sweep->bytes += one->bytes;
	}
	while (sweep->bytes > limit && has_time(sweep, 0) && (one = oldest_dead(sweep)) != NULL) {
		name_of(one, name, sizeof(name));
		one->is_dead = 0;
		sweep->bytes -= one->bytes;
		if (!rawsys(SYS_unlinkat, dir_fd, name, 0))
			n++;
	}
	if (n)
		log_verbose("%u states of dead processes removed, the oldest of more than %lu MiB: "
			    "heapspy recover keeps them",
			n, limit >> 20);
}

void state_files_sweep(const struct settings *settings, const struct state_header *state)
{
	uint64_t limit = limit_bytes(settings->state_dir);
	struct sweep *sweep;
	long fd, at;

	/* Without a /proc of ours all seem dead. */
	if (!limit || !process_state_proc_knows_us(state->pid))
		return;
	at = rawsys(SYS_mmap, 0, sizeof(*sweep), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096)
		return;
	sweep = (struct sweep *)at;
	sweep->self = state;
	sweep->until_ns = clock_ns(CLOCK_MONOTONIC) + SWEEP_NS;
	fd = rawsys(SYS_open, settings->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		remove_dead(sweep, fd, limit);
		rawsys(SYS_close, fd);
	}
	rawsys(SYS_munmap, at, sizeof(*sweep));
}
