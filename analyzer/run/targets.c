/*
 * targets.c - owns the list of profiled processes and the moments of their
 * snapshots. How they come into it is targets_find.c's business, how a state is
 * read is live_state.c's; signals and the command that was started are session.c's.
 */
#include "analyzer/run/targets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/clock.h"
#include "analyzer/target/proc.h"
#include "preload/state/snapshot_file.h"
#include "preload/state/state_map.h"

#define RETRY_NS           20000000ull
#define MEMORY_NS          100000000ull
#define MEMORY_MANY_NS     1000000000ull
#define MEMORY_TARGETS_MAX 8
#define NO_LIMIT_NS        1000000000ull
#define NO_TIME            UINT64_MAX

int targets_init(struct targets *t, const char *state_dir, struct fail *f)
{
	struct proc_stat self;

	memset(t, 0, sizeof(*t));
	t->own_pid = (uint32_t)getpid();
	t->inotify_fd = -1;
	t->dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dir_fd >= 0)
		t->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (t->inotify_fd < 0 ||
		inotify_add_watch(t->inotify_fd, state_dir, IN_CREATE | IN_ONLYDIR) < 0)
		return fail_set(f, EXIT_CODE_OTHER,
			"cannot watch the state directory '%s': %s; name another one on tmpfs "
			"(--state)",
			state_dir, strerror(errno));
	if (!proc_read_stat(t->own_pid, &self))
		return fail_set(f, EXIT_CODE_OTHER, "cannot read /proc/self/stat: is /proc there?");
	t->own_start_ticks = self.start_ticks;
	return 0;
}

static void forget(struct target *target)
{
	live_state_close(target->live);
	target->live = NULL;
	if (target->pidfd >= 0)
		close(target->pidfd);
	target->pidfd = -1;
}

size_t targets_n_alive(const struct targets *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->n; i++)
		n += t->all[i].live != NULL;
	return n;
}

bool targets_has(const struct targets *t, uint32_t pid)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->all[i].live && t->all[i].pid == pid)
			return true;
	return false;
}

static struct peak peak_of_state(const struct state_header *h)
{
	struct peak_record record = {
		.other_bytes = { (double)h->half_peak[0].other_bytes,
			(double)h->half_peak[1].other_bytes },
		.interval_bytes = h->interval_bytes << (h->level & HEAPSPY_LEVEL_MAX),
		.older_bytes = (double)h->older_peak_bytes,
		.older_interval_bytes = h->interval_bytes
					<< (h->older_peak_level & HEAPSPY_LEVEL_MAX),
		.most_bytes = (double)h->peak_live.bytes,
		.live_bytes = (double)state_live_bytes(h),
		.has_halves = true,
	};

	return peak_estimate(&record, 0, INTERVAL_Z95);
}

/* Keeps what the summary says of a target in step with its state. */
static void note_figures(struct target *target, uint64_t now_ns)
{
	const struct state_header *h = live_state_header(target->live);
	uint64_t end_ns = h->exit_ns ? h->exit_ns : now_ns;
	unsigned i;

	target->samples = h->samples;
	target->self_ns = h->self_ns;
	target->own_bytes = h->committed_bytes + h->work_bytes;
	target->lifetime_ns = end_ns > h->start_ns ? end_ns - h->start_ns : 0;
	target->wrote_end = h->wrote_end != 0;
	target->wrote_some = h->next_number > 1;
	if (!target->wrote_end) /* what destructors freed afterwards is of no interest */
		target->live_bytes = state_live_bytes(h);
	target->peak = peak_of_state(h);
	target->rss_peak_bytes = live_state_rss_peak_bytes(target->live);
	target->lost = 0;
	for (i = HEAPSPY_LOSS_NO_SCRATCH; i <= HEAPSPY_LOSS_REPLACED; i++)
		target->lost += h->losses[i];
}

static bool refresh(struct target *target)
{
	target->is_damaged = !live_state_refresh(target->live);
	return !target->is_damaged;
}

/* False: for want of a place, though the state is sound; it may be written later. */
static bool write_snapshot(struct targets *t, struct target *target, enum heapspy_reason reason)
{
	struct live_state_written written;
	uint64_t live_bytes;
	struct fail f;

	if (live_state_write(target->live, reason, NULL, NULL, &written, &f) < 0) {
		if (!t->n_failures++)
			t->first_failure = f;
		target->n_failures++;
		return f.exit_code != EXIT_CODE_OTHER;
	}
	target->n_snapshots++;
	live_bytes = state_live_bytes(live_state_header(target->live));
	if (live_bytes > target->pictured_bytes)
		target->pictured_bytes = live_bytes;
	snprintf(target->dir, sizeof(target->dir), "%s", written.path);
	*strrchr(target->dir, '/') = '\0';
	return true;
}

/*
 * Whether the end of a process is worth a snapshot. How brief the life of one was that was killed
 * is no matter: what it had seen counts.
 */
static bool is_worth_telling(
	const struct target *target, const struct state_header *h, bool is_replaced)
{
	return target->n_snapshots || (!is_replaced && !h->exit_ns && h->samples) ||
	       snapshot_file_is_due_at_exit(h, h->start_ns + target->lifetime_ns);
}

/*
 * The last snapshot of a process that has ended, or of an image that was replaced by another, and
 * the end of its state if that could be written.
 */
static void finish(struct targets *t, struct target *target, uint64_t now_ns, bool is_replaced)
{
	const struct state_header *h;
	bool is_done = true;

	if (refresh(target)) {
		note_figures(target, now_ns);
		h = live_state_header(target->live);
		/* It gave us up for lost, and did without. */
		target->writes_itself |= h->wrote_end && is_worth_telling(target, h, is_replaced);
		if (!target->writes_itself && !h->wrote_end &&
			is_worth_telling(target, h, is_replaced))
			is_done = write_snapshot(t, target,
				h->exit_ns ? HEAPSPY_REASON_EXIT : HEAPSPY_REASON_RECOVERED);
	}
	/* Else it is left to heapspy recover. */
	if (is_done)
		unlinkat(t->dir_fd, target->name, 0);
	forget(target);
}

/* Not one that is there beside it, by another copy of the library (dlmopen). */
void targets_finish_earlier_images(struct targets *t, uint32_t pid, uint64_t start_ns)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->all[i].live && t->all[i].pid == pid && !live_state_is_mapped(t->all[i].live))
			finish(t, &t->all[i], start_ns, true);
}

/* On the grid, however late this one is. */
static uint64_t next_due_ns(const struct target *target, uint64_t now_ns)
{
	return now_ns + target->interval_ns - (now_ns - target->start_ns) % target->interval_ns;
}

static bool is_peak_due(const struct target *target, uint64_t now_ns)
{
	const struct state_header *h = live_state_header(target->live);
	uint64_t pictured_bytes = target->pictured_bytes > h->pictured_bytes
					  ? target->pictured_bytes
					  : h->pictured_bytes;

	return target->due_ns && now_ns >= target->peak_from_ns &&
	       snapshot_file_is_peak_due(h, pictured_bytes);
}

static void attend(struct targets *t, struct target *target, uint64_t now_ns)
{
	const struct state_header *h;

	if (live_state_has_ended(target->live)) {
		finish(t, target, now_ns, false);
		return;
	}
	if (!refresh(target)) {
		if (target->due_ns)
			target->due_ns = next_due_ns(target, now_ns);
		return;
	}
	note_figures(target, now_ns);
	live_state_rss_bytes(target->live);
	h = live_state_header(target->live);
	if (target->writes_itself)
		return;
	/* One that has ended and lives on, without a clock, has nothing new to tell. */
	if (h->exit_ns)
		target->due_ns = 0;
	/* It has not ended after all: what it called failed. */
	else if (!target->due_ns && target->interval_ns)
		target->due_ns = next_due_ns(target, now_ns);
	/* While we were silent the process may have written for itself. */
	else if (target->due_ns && h->due_ns > target->due_ns &&
		 h->due_ns <= now_ns + target->interval_ns)
		target->due_ns = h->due_ns;
	if (target->due_ns && now_ns >= target->due_ns) {
		target->due_ns = next_due_ns(target, now_ns);
		/* As the process itself: nothing to tell of one that has not sampled. */
		if (h->samples)
			write_snapshot(t, target, HEAPSPY_REASON_INTERVAL);
	} else if (is_peak_due(target, now_ns)) {
		target->peak_from_ns = now_ns + target->interval_ns / SNAPSHOT_FILE_PEAKS;
		write_snapshot(t, target, HEAPSPY_REASON_PEAK);
	}
	live_state_hold_lease(target->live, now_ns, target->due_ns);
}

/* Of the many short processes that a shell or a compiler starts nothing is kept. */
static void forget_untold(struct targets *t)
{
	size_t i, kept = 0;

	for (i = 0; i < t->n; i++) {
		const struct target *target = &t->all[i];

		if (target->live || target->n_snapshots || target->n_failures ||
			target->writes_itself || target->not_interposed || target->is_damaged)
			t->all[kept++] = *target;
		else
			t->n_untold++;
	}
	t->n = kept;
}

/* Not each time that something happens to somebody. */
static bool wants_attention(const struct target *target, uint64_t now_ns)
{
	struct pollfd end = { target->pidfd, POLLIN, 0 };

	return target->live &&
	       (now_ns >= target->attended_ns + STATE_HEARTBEAT_NS ||
		       (target->due_ns && now_ns >= target->due_ns) || poll(&end, 1, 0) > 0);
}

/* Whether it is near its limit; and tells it how much room there is for its state. */
static void look_at_limit(struct targets *t, struct target *target, uint64_t now_ns)
{
	const struct state_header *h = live_state_header(target->live);
	bool is_first = !target->near_limit.looked_ns, is_due;
	struct memory_limit_look limits;

	if (target->writes_itself)
		return;
	live_state_look_at_limit(target->live, false, &limits);
	live_state_set_room(target->live, &limits.group, now_ns);
	is_due = near_limit_is_due(&target->near_limit, target->near_limit_ppm, &limits.fullest,
		now_ns, target->interval_ns);
	target->limit_pause_ns = near_limit_pause_ns(
		&target->near_limit, target->near_limit_ppm, &limits.fullest, now_ns);
	if (!limits.fullest.kind)
		target->limit_pause_ns = NO_LIMIT_NS;
	else if (target->limit_pause_ns > MEMORY_NS)
		target->limit_pause_ns = MEMORY_NS;
	/* Where its parent was when it was forked is not its news. */
	if (is_due && !(is_first && h->flags & HEAPSPY_INFO_FORK_CHILD) && refresh(target) &&
		h->samples && !h->exit_ns)
		write_snapshot(t, target, HEAPSPY_REASON_LIMIT);
}

/* More seldom where there are many. */
static uint64_t memory_pause_ns(const struct target *target, bool few)
{
	uint64_t pause_ns = target->limit_pause_ns;

	return !few ? MEMORY_MANY_NS : pause_ns && pause_ns < MEMORY_NS ? pause_ns : MEMORY_NS;
}

/*
 * RSS cannot be asked for once a process is gone, and its last snapshot is written then; nor can
 * one be written before it if its memory limit is what ends it. So memory is looked at more often
 * than all else.
 */
static void look_at_memory(struct targets *t, uint64_t now_ns)
{
	bool few = targets_n_alive(t) <= MEMORY_TARGETS_MAX;
	size_t i;

	for (i = 0; i < t->n; i++) {
		struct target *target = &t->all[i];

		if (!target->live || now_ns < target->memory_ns + memory_pause_ns(target, few))
			continue;
		target->memory_ns = now_ns;
		if (few)
			live_state_rss_bytes(target->live);
		if (now_ns >= target->limit_looked_ns + target->limit_pause_ns) {
			target->limit_looked_ns = now_ns;
			look_at_limit(t, target, now_ns);
		}
	}
}

void targets_attend(struct targets *t, uint64_t now_ns)
{
	size_t i;

	look_at_memory(t, now_ns);
	for (i = 0; i < t->n; i++)
		if (wants_attention(&t->all[i], now_ns)) {
			t->all[i].attended_ns = now_ns;
			attend(t, &t->all[i], now_ns);
		}
	forget_untold(t);
}

uint64_t targets_next_ns(const struct targets *t, uint64_t now_ns)
{
	uint64_t next_ns = t->n_unready ? now_ns + RETRY_NS : NO_TIME;
	bool few = targets_n_alive(t) <= MEMORY_TARGETS_MAX;
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct target *target = &t->all[i];

		if (!target->live)
			continue;
		if (next_ns > target->attended_ns + STATE_HEARTBEAT_NS)
			next_ns = target->attended_ns + STATE_HEARTBEAT_NS;
		if (next_ns > target->memory_ns + memory_pause_ns(target, few))
			next_ns = target->memory_ns + memory_pause_ns(target, few);
		if (target->due_ns && target->due_ns < next_ns)
			next_ns = target->due_ns;
	}
	return next_ns;
}

void targets_leave(struct targets *t)
{
	uint64_t now_ns;
	size_t i;

	targets_discover(t);
	now_ns = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < t->n; i++) {
		struct target *target = &t->all[i];

		if (!target->live)
			continue;
		/* One that is at its exit handlers has left its last state to us. */
		if (live_state_has_ended(target->live) ||
			(refresh(target) && live_state_header(target->live)->exit_ns))
			finish(t, target, now_ns, false);
		else /* Silence for longer than the lease: it goes on by itself at once. */
			live_state_hold_lease(target->live, 0, target->due_ns);
	}
	forget_untold(t);
}

void targets_deinit(struct targets *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		forget(&t->all[i]);
	for (i = 0; i < t->n_unready; i++)
		free(t->unready[i].name);
	free(t->unready);
	free(t->all);
	if (t->inotify_fd >= 0)
		close(t->inotify_fd);
	if (t->dir_fd >= 0)
		close(t->dir_fd);
}
