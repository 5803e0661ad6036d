/*
 * dead_states.c - owns the judgement over one state file. What a snapshot of it says is
 * live_state.c's business, who gets it, recover/'s.
 */
#include "analyzer/target/dead_states.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/clock.h"
#include "analyzer/target/here.h"
#include "analyzer/target/last_sign.h"
#include "analyzer/target/live_state.h"
#include "analyzer/target/proc.h"
#include "analyzer/target/state_source.h"
#include "preload/state/snapshot_file.h"

/* Who has the file open for writing, or mapped. */
enum use { USE_UNKNOWN, USE_NOBODY, USE_SOMEBODY };

/* A state file under examination. */
struct case_of {
	int dir_fd;
	const char *name;
	enum use use;
	bool is_state; /* the header is one, of this version */
	struct state_header header;
	/* Who made it: by the header, else by the file's name. */
	uint32_t pid;
	uint64_t start_ticks;
	struct dead_state *out;
};

static void set_reason(struct case_of *c, enum dead_state_kind kind, const char *reason)
{
	c->out->kind = kind;
	snprintf(c->out->reason, sizeof(c->out->reason), "%s", reason);
}

static enum use use_of(int fd)
{
	/* Sent to the holder of a lease when somebody opens the file. */
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	enum use use = USE_UNKNOWN;

	sigaction(SIGIO, &ignore, &before);
	if (!fcntl(fd, F_SETLEASE, F_RDLCK)) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		use = USE_NOBODY;
	} else if (errno == EAGAIN) {
		use = USE_SOMEBODY;
	}
	sigaction(SIGIO, &before, NULL);
	return use;
}

/* heapspy.<uid>.<pid>.<start ticks>-<start ns> */
static bool parse_name(struct case_of *c)
{
	unsigned long long start_ticks, start_ns;
	unsigned uid;
	int end = 0;

	if (sscanf(c->name, "heapspy.%u.%u.%llu-%llu%n", &uid, &c->pid, &start_ticks, &start_ns,
		    &end) != 4 ||
		!end || c->name[end])
		return false;
	c->start_ticks = start_ticks;
	return true;
}

/* Opens the file and reads its beginning. False: out->kind says what it is. */
static bool examine(struct case_of *c, bool is_named)
{
	struct state_source file = { .fd = -1 };
	ssize_t n = 0;
	struct stat st;

	file.fd = openat(
		c->dir_fd, c->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (file.fd < 0) {
		if (is_named)
			set_reason(c, DEAD_STATE_DAMAGED,
				errno == ELOOP ? "is a symbolic link" : strerror(errno));
		return false;
	}
	if (fstat(file.fd, &st) || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && geteuid())) {
		if (is_named)
			set_reason(c, DEAD_STATE_DAMAGED,
				S_ISREG(st.st_mode) ? "belongs to another user" : "is no file");
		close(file.fd);
		return false;
	}
	c->out->device = st.st_dev;
	c->out->inode = st.st_ino;
	c->out->uid = st.st_uid;
	c->out->bytes = (uint64_t)st.st_blocks * 512;
	c->use = use_of(file.fd);
	memset(&c->header, 0, sizeof(c->header));
	n = pread(file.fd, &c->header, sizeof(c->header), 0);
	c->is_state = n == sizeof(c->header) && state_source_check(&c->header) &&
		      state_source_holds(&file, c->header.committed_bytes);
	close(file.fd);
	if (c->is_state) {
		c->pid = c->header.pid;
		c->start_ticks = c->header.start_ticks;
		memcpy(c->out->comm, c->header.comm, sizeof(c->out->comm));
	}
	c->out->pid = c->pid;
	return true;
}

/* Why the bytes are no state. */
static void judge_bytes(struct case_of *c)
{
	const struct state_header *h = &c->header;

	if (!h->magic && c->out->has_name)
		c->out->kind = DEAD_STATE_UNFINISHED;
	else if (h->magic != STATE_MAGIC)
		set_reason(c, DEAD_STATE_DAMAGED, "does not begin as a state does");
	else if (h->version != STATE_VERSION)
		set_reason(c, DEAD_STATE_DAMAGED,
			"was made by a libheapspy.so of another version, whose heapspy can read "
			"it");
	else
		set_reason(c, DEAD_STATE_DAMAGED, "its sizes contradict each other, or it is cut");
}

/* Whether the holder of the lease is there to make the last snapshot. */
static bool is_claimed(const struct state_header *h)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), silent_ns = now_ns - h->lease.heartbeat_ns;

	if (!h->lease.pid || !h->lease.heartbeat_ns || !here_is_same_boot(h))
		return false;
	/* From another namespace it can only be heard. */
	if (h->lease.is_beyond || !here_shares_pids(h))
		return silent_ns < STATE_LEASE_NS;
	return proc_is_alive(h->lease.pid, h->lease.start_ticks);
}

/* Where the end is not known, nor is how brief the life was: what has been seen counts then. */
static bool has_something(const struct state_header *h)
{
	return (!h->exit_ns && h->samples) ||
	       snapshot_file_is_due_at_exit(h, last_sign_of_header(h));
}

static void judge_dead(struct case_of *c)
{
	const struct state_header *h = &c->header;

	if (!c->is_state)
		judge_bytes(c);
	else if (is_claimed(h))
		c->out->kind = DEAD_STATE_CLAIMED;
	else if (h->wrote_end)
		c->out->kind = DEAD_STATE_TOLD;
	else
		c->out->kind = has_something(h) ? DEAD_STATE_TELLS : DEAD_STATE_EMPTY;
}

/* Whether the process with that number here is the one, and still has the same image. */
static bool has_image(const struct case_of *c)
{
	struct live_state *live;
	bool has;

	if (!c->is_state)
		return true;
	if (live_state_open_file(c->dir_fd, c->name, false, &live) < 0)
		return true;
	has = !live_state_has_ended(live);
	live_state_close(live);
	return has;
}

/*
 * Whether a process of that number has the state mapped: its image lives, though its program file
 * may have been replaced, or a time namespace given it another start time. Children of the dead
 * have it mapped as well, under other numbers.
 */
static bool is_mapped(const struct case_of *c, uint32_t pid)
{
	bool found = proc_maps_file(proc_living_thread(pid), c->out->inode);
	DIR *dir = found ? NULL : opendir("/proc");
	struct dirent *entry;

	while (dir && !found && (entry = readdir(dir))) {
		pid = (uint32_t)strtoul(entry->d_name, NULL, 10);
		found = pid && proc_own_pid(pid) == c->pid &&
			(!geteuid() || proc_uid(pid) == c->out->uid) &&
			proc_maps_file(proc_living_thread(pid), c->out->inode);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* By pid, start time, boot and namespace: where the lease did not tell. */
static void judge_by_number(struct case_of *c)
{
	uint32_t pid = proc_pid_here(c->pid, c->start_ticks);

	if (c->use == USE_SOMEBODY && is_mapped(c, pid))
		c->out->kind = DEAD_STATE_ALIVE;
	else if (c->is_state && !here_is_same_boot(&c->header))
		judge_dead(c);
	else if (proc_is_alive(pid, c->start_ticks)) {
		if (has_image(c))
			c->out->kind = DEAD_STATE_ALIVE;
		else
			judge_dead(c);
	} else if (access("/proc/self/stat", F_OK)) {
		set_reason(c, DEAD_STATE_UNCLEAR,
			"may be of a process that is not seen from here: is /proc there?");
	} else if (c->is_state && !here_shares_pids(&c->header) && !here_get()->sees_all) {
		set_reason(c, DEAD_STATE_UNCLEAR,
			"is of another pid namespace (a container?), whose processes are not seen "
			"from here");
	} else if (!c->is_state && c->use == USE_SOMEBODY &&
		   (!here_get()->sees_all || !c->header.magic)) {
		set_reason(c, DEAD_STATE_UNCLEAR, "is open in a process that may be making it");
	} else {
		judge_dead(c);
	}
}

void dead_states_judge(int dir_fd, const char *name, bool is_named, struct dead_state *out)
{
	struct case_of c = { .dir_fd = dir_fd, .name = name, .out = out };

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->has_name = parse_name(&c);
	if ((!out->has_name && !is_named) || !examine(&c, is_named))
		return;
	if (c.use == USE_NOBODY)
		judge_dead(&c);
	else
		judge_by_number(&c);
}

static int skip_others(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "heapspy.", 8);
}

static unsigned long long start_of(const char *name)
{
	const char *dash = strrchr(name, '-');

	return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

static int compare_starts(const struct dirent **a, const struct dirent **b)
{
	unsigned long long x = start_of((*a)->d_name), y = start_of((*b)->d_name);

	return x != y ? (x < y ? -1 : 1) : strcmp((*a)->d_name, (*b)->d_name);
}

ssize_t dead_states_list(int dir_fd, struct dead_state **statesp)
{
	struct dirent **entries;
	ssize_t n_states = 0;
	int i, n;

	n = scandirat(dir_fd, ".", &entries, skip_others, compare_starts);
	if (n < 0)
		return -1;
	*statesp = alloc_array((size_t)n, sizeof(**statesp));
	for (i = 0; i < n; i++) {
		dead_states_judge(dir_fd, entries[i]->d_name, false, &(*statesp)[n_states]);
		n_states += (*statesp)[n_states].kind != DEAD_STATE_NONE;
		free(entries[i]);
	}
	free(entries);
	return n_states;
}

int dead_states_claim(int dir_fd, const struct dead_state *state)
{
	int fd = openat(
		dir_fd, state->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return -EBUSY;
	}
	/* Who had it before us has removed it. */
	if (fstat(fd, &st) || !st.st_nlink || st.st_dev != state->device ||
		st.st_ino != state->inode) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

bool dead_states_remove(int dir_fd, const struct dead_state *state)
{
	struct stat st;

	if (fstatat(dir_fd, state->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT;
	if (!state->has_name || st.st_dev != state->device || st.st_ino != state->inode) {
		errno = ESTALE;
		return false;
	}
	return !unlinkat(dir_fd, state->name, 0) || errno == ENOENT;
}
