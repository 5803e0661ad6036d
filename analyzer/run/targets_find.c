/*
 * targets_find.c - owns the way of a process into the list of targets: which files
 * of the state directory are states of ours, and what is settled at their first sight.
 */
#include "analyzer/run/targets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/clock.h"
#include "analyzer/target/dead_states.h"
#include "analyzer/target/here.h"
#include "analyzer/target/proc.h"
#include "preload/state/settings.h"
#include "preload/state/snapshot_file.h"

#define PREFIX          "heapspy."
#define UNREADY_MAX     4096
#define UNREADY_NS      2000000000ull
#define ORPHANED_NS     200000000ull
#define SPARE_FDS       6 /* for the looks into /proc, and for writing a snapshot */
#define INTERVAL_NS_MIN 10000000ull

static bool is_listed(const struct targets *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!strcmp(t->all[i].name, name))
			return true;
	return false;
}

/*
 * Root writes where it was told to, not where a process that it started says; so
 * does everybody for a process of another user, or with another view of the files.
 */
static void settle_place(struct targets *t, struct live_state *live, const struct state_header *h)
{
	struct settings_names names = { h->comm, h->host, h->pid };
	bool is_followed = live_state_has_place(live);
	struct settings settings;

	live_state_doubt_places(live);
	if (!t->dir[0] || (is_followed && geteuid()))
		return;
	if (!is_followed || h->dir_is_parents || !t->environment) {
		live_state_set_place(live, t->dir, !is_followed || h->dir_is_parents);
		return;
	}
	settings_read(&settings, t->environment, names, NULL, NULL);
	live_state_set_place(live, settings.dir, false);
}

static void adopt(struct targets *t, const char *name, struct live_state *live)
{
	const struct state_header *h = live_state_header(live);
	struct target *target;

	targets_finish_earlier_images(t, live_state_pid(live), h->start_ns);
	t->all = alloc_room(t->all, t->n, &t->capacity, sizeof(*t->all));
	target = &t->all[t->n++];
	memset(target, 0, sizeof(*target));
	target->live = live;
	settle_place(t, live, h);
	live_state_set_keep(live, t->keep_bytes);
	snprintf(target->name, sizeof(target->name), "%s", name);
	target->pid = live_state_pid(live);
	snprintf(target->comm, sizeof(target->comm), "%s", h->comm);
	target->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)target->pid, 0);
	/* Taken once: the state is in the target's hands. */
	if (h->snapshot_interval_ns >= INTERVAL_NS_MIN) {
		target->interval_ns = h->snapshot_interval_ns;
		target->start_ns = h->start_ns;
		target->due_ns = h->start_ns + h->snapshot_interval_ns;
		target->peak_from_ns = h->start_ns + h->snapshot_interval_ns / SNAPSHOT_FILE_PEAKS;
	}
	target->writes_itself = h->writer != WRITER_AUTO && h->writer != WRITER_EXTERNAL;
	if (target->writes_itself)
		target->due_ns = 0;
	target->near_limit_ppm = h->near_limit_ppm;
	target->not_interposed = h->flags & HEAPSPY_INFO_NOT_INTERPOSED;
}

/*
 * Whether a state is that of a descendant: anybody may write a file that names us.
 * Of another user's files only the living can be believed.
 */
static bool is_ours(const struct targets *t, struct live_state *live)
{
	if (live_state_is_foreign(live))
		return proc_is_below(live_state_pid(live), t->own_pid) &&
		       live_state_is_owners(live);
	/* It may end between the looks, and has no ancestors then. */
	return live_state_has_ended(live) || proc_is_below(live_state_pid(live), t->own_pid) ||
	       live_state_has_ended(live);
}

/* Whether one more process can be looked after: the lowest free descriptor is what is used up. */
static bool has_room(const struct targets *t)
{
	struct rlimit limit;
	int fd = fcntl(t->dir_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return false;
	close(fd);
	return getrlimit(RLIMIT_NOFILE, &limit) || (rlim_t)fd + SPARE_FDS < limit.rlim_cur;
}

/* Returns 0 when there is no more to do, else come again: -EAGAIN it is being made, -EMFILE. */
static int try_name(struct targets *t, const char *name)
{
	const struct state_header *h;
	struct live_state *live;
	int ret;

	if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) ||
		strlen(name) >= sizeof(((struct target *)0)->name) || is_listed(t, name))
		return 0;
	if (!has_room(t))
		return -EMFILE;
	ret = live_state_open_file(t->dir_fd, name, true, &live);
	if (ret < 0)
		return ret == -EAGAIN                                       ? -EAGAIN
		       : ret == -EMFILE || ret == -ENFILE || ret == -ENOMEM ? -EMFILE
									    : 0;
	h = live_state_header(live);
	/* In a container that was started together with ours the same numbers may run. */
	if (h->lease.pid == t->own_pid && h->lease.start_ticks == t->own_start_ticks &&
		(h->lease.is_beyond || here_shares_pids(h)) && is_ours(t, live))
		adopt(t, name, live);
	else
		live_state_close(live);
	return 0;
}

static void take_in(struct targets *t, const char *name)
{
	int ret = try_name(t, name);
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	unsigned uid, pid;

	if (!ret || t->n_unready >= UNREADY_MAX || sscanf(name, PREFIX "%u.%u.", &uid, &pid) != 2)
		return;
	t->unready =
		alloc_room(t->unready, t->n_unready, &t->unready_capacity, sizeof(*t->unready));
	t->unready[t->n_unready++] = (struct targets_unready){ alloc_text(name, strlen(name)),
		now_ns + ORPHANED_NS, now_ns + UNREADY_NS };
}

/* Whether the maker of a file of ours died in the middle of it. */
static bool is_orphaned(const struct targets *t, const char *name, struct dead_state *state)
{
	unsigned long long start_ticks;
	unsigned uid, pid;

	if (sscanf(name, PREFIX "%u.%u.%llu-", &uid, &pid, &start_ticks) != 3 ||
		proc_is_alive(proc_pid_here(pid, start_ticks), start_ticks))
		return false;
	/* It may be one that we do not see, of another container, and have the file open. */
	dead_states_judge(t->dir_fd, name, false, state);
	return state->kind == DEAD_STATE_UNFINISHED && state->uid == geteuid() && uid == geteuid();
}

static void retry_unready(struct targets *t)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	struct dead_state state;
	size_t i, kept = 0;
	int ret = 0;

	for (i = 0; i < t->n_unready; i++) {
		struct targets_unready *one = &t->unready[i];

		/* Where there is no room for one there is none for the next. */
		if (ret != -EMFILE)
			ret = try_name(t, one->name);
		if (ret == -EMFILE && targets_n_alive(t)) {
			one->until_ns = now_ns + UNREADY_NS;
		} else if (ret == -EAGAIN && now_ns >= one->orphaned_ns &&
			   is_orphaned(t, one->name, &state)) {
			dead_states_remove(t->dir_fd, &state);
			ret = 0;
		}
		if (ret && now_ns < one->until_ns)
			t->unready[kept++] = *one;
		else
			free(one->name);
	}
	t->n_unready = kept;
}

static void scan_all(struct targets *t)
{
	int fd = openat(t->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		take_in(t, entry->d_name);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

void targets_discover(struct targets *t)
{
	char buffer[16 << 10] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool lost = false;
	ssize_t n;

	retry_unready(t);
	while ((n = read(t->inotify_fd, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;
		ssize_t at;

		for (at = 0; at < n; at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const void *)(buffer + at);
			lost |= (event->mask & IN_Q_OVERFLOW) != 0;
			if (event->len)
				take_in(t, event->name);
		}
		/* Those that have ended make room. */
		targets_attend(t, clock_ns(CLOCK_MONOTONIC));
	}
	if (lost)
		scan_all(t);
}
