/*
 * writer.c - owns the moments of snapshots, the helper thread and the files.
 * What goes into a file is state/snapshot_writer.c's business, how it gets into
 * its place state/snapshot_file.c's.
 *
 * The helper is malloc-free and stdio-free, blocks every signal, keeps no
 * descriptor, and is never joined: at exit it may be in the middle of a file,
 * which then stays a temporary one.
 */
#include <errno.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include "preload/atomics.h"
#include "preload/clock.h"
#include "preload/compiler.h"
#include "preload/limit_watch.h"
#include "preload/process.h"
#include "preload/log.h"
#include "preload/rawsys.h"
#include "preload/self_time.h"
#include "preload/state/snapshot_file.h"
#include "preload/state/state_map.h"
#include "preload/real_alloc.h"
#include "preload/thread_state.h"
#include "preload/writer.h"

#define HELPER_STACK_BYTES     (64u << 10)
#define HELPER_STACK_MAX_BYTES (8u << 20)
#define LOCK_WAIT_NS           2000000000ull
#define LOCK_POLL_NS           1000000ull
#define REFUSED_NS             10000000ull
#define HELPER_END_TRIES       200
#define EXIT_LEASE_NS          (2 * STATE_HEARTBEAT_NS + STATE_HEARTBEAT_NS / 2)

#define UNFIT_FOR_WRITING                                                                          \
	(HEAPSPY_STACK_TRUNCATED | HEAPSPY_STACK_SIGNAL | HEAPSPY_STACK_FOREIGN | HEAPSPY_STACK_CUT)

/* The holder of writer_lock. In a forked child it is of the parent, and is found out to be. */
static struct snapshot_keep keep;

/*
 * One line as long as it is always the same. By who can: the helper may not reach stderr if that
 * belongs to another user, or without /proc. The caller holds writer_lock.
 */
static void say_failure(struct state_header *state, long ret)
{
	static long said;

	hs_store_relaxed(&state->snapshot_errno, (uint32_t)-ret);
	if (ret != said && log_verbose("no snapshot, as long as this lasts: %e", (int)ret))
		said = ret;
}

/* Number of the snapshot, or -errno. The caller holds writer_lock. */
static long write_locked(struct state_header *state, enum heapspy_reason reason, const char *label)
{
	struct snapshot_facts facts = { .reason = (uint32_t)reason,
		.label = label,
		.bytes_seen = snapshot_file_bytes_seen,
		.goes_on = &process_page.writing };
	uint64_t begin_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	uint64_t live_bytes = state_live_bytes(state);
	struct snapshot_file *file;
	long at, ret;

	if (!limit_watch_has_room_to_write(state, &facts.limit, &facts.spare_bytes))
		at = -ENOMEM;
	else /* Mapped, because the stack may be a small one. */
		at = rawsys(SYS_mmap, 0, sizeof(*file), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096) {
		ret = at;
	} else {
		file = (struct snapshot_file *)at;
		snapshot_file_read_memory_use(file, 0, &facts);
		facts.wall_ns = clock_ns(CLOCK_REALTIME);
		facts.now_ns = clock_ns(CLOCK_MONOTONIC);
		ret = snapshot_file_write(file, &keep, state, &facts);
		hs_store_relaxed(&state->n_pruned, keep.n_pruned);
		rawsys(SYS_munmap, at, sizeof(*file));
	}
	if (!hs_load_relaxed(&process_page.writing)) /* a child has nothing to say of it */
		return -ECANCELED;
	if (ret > 0) {
		state->next_number = (uint32_t)ret + 1;
		if (live_bytes > state->pictured_bytes)
			hs_store_relaxed(&state->pictured_bytes, live_bytes);
	} else {
		say_failure(state, ret);
		state_count_loss(state, HEAPSPY_LOSS_SNAPSHOTS);
	}
	self_time_add(state, clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_cpu_ns);
	return ret;
}

static bool lock(struct state_header *state, uint64_t wait_ns)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	uint32_t tid = (uint32_t)rawsys(SYS_gettid, 0);

	for (;;) {
		struct timespec poll = { 0, LOCK_POLL_NS };
		uint32_t unlocked = 0;

		/* A handler may have forked, and we are the child. */
		if (process_state() != state)
			return false;
		/*
		 * Pairs with the release in unlock(). Our own: a handler that
		 * interrupted us is leaving, and what it interrupted never goes on.
		 */
		if (hs_cas_acq_rel(&state->writer_lock, &unlocked, tid) || unlocked == tid) {
			hs_add_relaxed(&process_page.writing, 1);
			return true;
		}
		if (!wait_ns || clock_ns(CLOCK_MONOTONIC) - begin_ns > wait_ns)
			return false;
		rawsys(SYS_nanosleep, &poll, 0);
	}
}

static void unlock(struct state_header *state)
{
	/* A handler may have forked, and we are the child: its parent still holds it. */
	if (!hs_load_relaxed(&process_page.writing))
		return;
	hs_sub_relaxed(&process_page.writing, 1);
	hs_store_release(&state->writer_lock, 0);
}

/* Whether snapshots are another process's business, and it has spoken within silence_ns. */
static bool has_holder(const struct state_header *state, uint64_t now_ns, uint64_t silence_ns)
{
	/* Signed: it may have spoken after we looked at the clock. */
	int64_t age_ns = (int64_t)(now_ns - hs_load_relaxed(&state->lease.heartbeat_ns));

	return state->lease.pid && !(state->flags & HEAPSPY_INFO_STATE_PRIVATE) &&
	       (state->writer == WRITER_AUTO || state->writer == WRITER_EXTERNAL) &&
	       /* A time far ahead is of another clock, or of nobody. */
	       age_ns < (int64_t)silence_ns && age_ns > -(int64_t)silence_ns;
}

static bool is_leased(const struct state_header *state, uint64_t now_ns)
{
	return has_holder(state, now_ns, STATE_LEASE_NS);
}

/* Writes the snapshot that is due; false when somebody else is at one. */
static bool write_due(struct state_header *state, uint64_t now_ns)
{
	uint64_t interval_ns = process_settings.interval_ns, due_ns = 0;

	if (!lock(state, 0))
		return false;
	if (writer_is_due(state, now_ns)) {
		/* On the grid, however late this one is. */
		if (interval_ns)
			due_ns = now_ns + interval_ns - (now_ns - state->start_ns) % interval_ns;
		hs_store_relaxed(&state->due_ns, due_ns);
		write_locked(state, HEAPSPY_REASON_INTERVAL, NULL);
	}
	unlock(state);
	return true;
}

/* More is live than in any snapshot so far. Somebody else who is at one takes care of it too. */
static void look_at_peak(struct state_header *state, uint64_t now_ns)
{
	if (is_leased(state, now_ns) || !lock(state, 0))
		return;
	if (snapshot_file_is_peak_due(state, state->pictured_bytes))
		write_locked(state, HEAPSPY_REASON_PEAK, NULL);
	unlock(state);
}

/* The same for one that is near its memory limit. The caller has seen that there is no lease. */
static void look_at_limit(struct state_header *state, uint64_t now_ns)
{
	uint64_t begin_cpu_ns;
	bool is_due;

	if (!lock(state, 0)) {
		limit_watch_put_off(state, now_ns);
		return;
	}
	begin_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	is_due = limit_watch_look(state, now_ns);
	self_time_add(state, clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_cpu_ns);
	if (is_due)
		write_locked(state, HEAPSPY_REASON_LIMIT, NULL);
	unlock(state);
}

/* A program that only ever allocates in signal handlers, or in code that ends each walk. */
static void say_overdue(struct state_header *state, uint64_t now_ns)
{
	uint32_t unsaid = 0;

	if (now_ns - hs_load_relaxed(&state->due_ns) > 2 * process_settings.interval_ns &&
		hs_cas_relaxed(&process_page.overdue_said, &unsaid, 1))
		log_verbose("no place to write a snapshot from: stacks end early or hold a signal "
			    "frame; HEAPSPY_WRITER=thread does without");
}

/* Whether the thread that samples is the one to write. */
static bool is_inline(const struct state_header *state)
{
	if (hs_load_relaxed(&process_page.main_ended) || hs_load_relaxed(&process_page.helper_left))
		return process_settings.writer != WRITER_EXTERNAL;
	switch (process_settings.writer) {
	case WRITER_INLINE:
		return true;
	case WRITER_AUTO:
		/* Who held the lease is gone, and no thread can be made in a hook. */
		return !hs_load_relaxed(&process_page.threaded) ||
		       (state->lease.pid && !hs_load_relaxed(&process_page.helper_started));
	default:
		return false;
	}
}

void writer_due(struct state_header *state, uint64_t now_ns, uint32_t stack_flags)
{
	bool is_fit = !(stack_flags & UNFIT_FOR_WRITING);

	/* A vfork child has a place, rights and limits of its own: it is not the one to write. */
	if (hs_load_relaxed(&process_seccomp) || !is_inline(state) || is_leased(state, now_ns) ||
		(uint32_t)rawsys(SYS_getpid, 0) != state->pid) {
		/* Not again at each sample. Whose business it is writes the same word. */
		if (limit_watch_is_due(state, now_ns) && !hs_load_relaxed(&process_page.helper_tid))
			limit_watch_put_off(state, now_ns);
		return;
	}
	if (writer_is_due(state, now_ns)) {
		if (is_fit)
			write_due(state, now_ns);
		else
			say_overdue(state, now_ns);
	}
	if (is_fit && limit_watch_is_due(state, now_ns))
		look_at_limit(state, now_ns);
}

/* Sleeps until the given time of CLOCK_MONOTONIC, or until the helper is to look up. */
static void helper_sleep(uint64_t until_ns)
{
	struct timespec until = { (time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000) };
	struct timespec poll = { 0, REFUSED_NS };
	long ret;

	ret = rawsys(SYS_futex, &process_page.helper_wake, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, 0,
		FUTEX_BITSET_MATCH_ANY);
	/* A filter that refuses it must not keep us busy. */
	if (ret < 0 && ret != -ETIMEDOUT && ret != -EAGAIN && ret != -EINTR &&
		rawsys(SYS_nanosleep, &poll, 0) < 0)
		hs_store_release(&process_page.helper_wake, 1);
}

/*
 * When the helper looks at the peak again: some times an interval. A program that took no sample
 * since the last look has nothing to show: it is left alone until its next snapshot on time, even
 * if it should wake up and be at its peak before that.
 */
static uint64_t next_look_ns(
	const struct state_header *state, uint64_t now_ns, uint64_t *last_samplesp)
{
	uint64_t samples = hs_load_relaxed(&state->samples);
	bool rests = samples == *last_samplesp;

	*last_samplesp = samples;
	return rests ? hs_load_relaxed(&state->due_ns)
		     : now_ns + process_settings.interval_ns / SNAPSHOT_FILE_PEAKS;
}

/*
 * A descriptor table of its own: the numbers that the helper's files get must
 * not be ones that the program may close, reuse, or hand to its children.
 */
static void leave_descriptors(void)
{
	if (!rawsys(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE))
		log_without_descriptors();
}

static void *helper_main(void *argument)
{
	struct state_header *state = argument;
	uint64_t look_ns, samples = 0;

	thread_state_enter(); /* nothing of this thread is a sample */
	hs_store_release(&process_page.helper_tid, (uint32_t)rawsys(SYS_gettid, 0));
	rawsys(SYS_prctl, PR_SET_NAME, "heapspy");
	leave_descriptors();
	look_ns = clock_ns(CLOCK_MONOTONIC) + process_settings.interval_ns / SNAPSHOT_FILE_PEAKS;
	while (!hs_load_acquire(&process_page.helper_wake) &&
		!hs_load_relaxed(&process_page.exit_progress)) {
		uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), due_ns, watch_ns;

		if (writer_is_due(state, now_ns)) {
			if (is_leased(state, now_ns))
				helper_sleep(now_ns + STATE_LEASE_NS);
			else if (!write_due(state, now_ns))
				helper_sleep(now_ns + REFUSED_NS);
			continue;
		}
		if (now_ns >= look_ns) {
			look_at_peak(state, now_ns);
			look_ns = next_look_ns(state, now_ns, &samples);
		}
		if (limit_watch_is_due(state, now_ns)) {
			if (is_leased(state, now_ns))
				limit_watch_put_off(state, now_ns);
			else
				look_at_limit(state, now_ns);
		}
		due_ns = hs_load_relaxed(&state->due_ns);
		watch_ns = hs_load_relaxed(&state->watch_ns);
		due_ns = due_ns < look_ns ? due_ns : look_ns;
		helper_sleep(due_ns < watch_ns ? due_ns : watch_ns);
	}
	return NULL;
}

bool writer_end_helper(void)
{
	struct timespec poll = { 0, LOCK_POLL_NS };
	uint32_t tries;

	if (!hs_load_acquire(&process_page.helper_started))
		return true;
	hs_store_release(&process_page.helper_wake, 1);
	rawsys(SYS_futex, &process_page.helper_wake, FUTEX_WAKE_PRIVATE, 1);
	for (tries = 0; tries < HELPER_END_TRIES; tries++) {
		/* 0: it has been made, but has not run yet. */
		uint32_t tid = hs_load_acquire(&process_page.helper_tid);

		if (tid && rawsys(SYS_tgkill, rawsys(SYS_getpid, 0), tid, 0) < 0)
			return true;
		rawsys(SYS_nanosleep, &poll, 0);
	}
	return false;
}

void writer_wait_for_others(const struct state_header *state)
{
	struct timespec poll = { 0, LOCK_POLL_NS };
	uint32_t tries = LOCK_WAIT_NS / LOCK_POLL_NS;

	if (!hs_load_relaxed(&process_page.threaded))
		return;
	do
		rawsys(SYS_nanosleep, &poll, 0);
	while (hs_load_acquire(&state->writer_lock) && --tries);
}

static void forget_helper(void)
{
	hs_store_relaxed(&process_page.helper_tid, 0);
	hs_store_relaxed(&process_page.helper_wake, 0);
	hs_store_release(&process_page.helper_started, 0);
}

void writer_helper_leaves(void)
{
	if (!hs_load_acquire(&process_page.helper_started))
		return;
	hs_store_relaxed(&process_page.helper_left, 1);
	/* One that is still at a long file ends with it, and is the last. */
	if (writer_end_helper())
		forget_helper();
}

void writer_main_ends(void)
{
	hs_store_relaxed(&process_page.main_ended, 1);
	writer_end_helper();
}

void writer_wait_for_exit(void)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	struct timespec poll = { 0, LOCK_POLL_NS };

	while (hs_load_acquire(&process_page.exit_progress) == EXIT_BEGUN &&
		hs_thread.inside == 0 && clock_ns(CLOCK_MONOTONIC) - begin_ns < LOCK_WAIT_NS)
		rawsys(SYS_nanosleep, &poll, 0);
}

typedef int (*create_function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static create_function create; /* the next one; NULL before load */

static void say_no_helper(struct state_header *state, int error)
{
	hs_store_relaxed(&state->helper_errno, (uint32_t)error);
	log_verbose("no helper thread: %e; the threads that allocate write the snapshots", error);
}

bool writer_make_way(void)
{
	struct state_header *state = process_state();

	if (!state || hs_load_relaxed(&process_seccomp) ||
		!hs_load_acquire(&process_page.helper_started) ||
		hs_load_relaxed(&process_page.main_ended))
		return false;
	say_no_helper(state, EAGAIN);
	writer_main_ends();
	return true;
}

/* Once a process; a program that may have no more threads goes on without. */
static void start_helper(struct state_header *state)
{
	static bool stack_is_counted;
	uint32_t not_started = 0;
	size_t stack_bytes = HELPER_STACK_BYTES;
	pthread_attr_t attributes;
	sigset_t all, before;
	uint8_t guard;
	pthread_t thread;
	int error;

	if (!create || !state->due_ns || hs_load_relaxed(&process_seccomp) ||
		hs_load_relaxed(&process_page.main_ended) ||
		hs_load_relaxed(&process_page.helper_started) ||
		is_leased(state, clock_ns(CLOCK_MONOTONIC)) ||
		(uint32_t)rawsys(SYS_getpid, 0) != state->pid ||
		!hs_cas_acq_rel(&process_page.helper_started, &not_started, 1))
		return;
	/* What pthread_create allocates for the helper is not the program's. */
	guard = thread_state_enter();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, stack_bytes);
	error = create(&thread, &attributes, helper_main, state);
	if (error == EINVAL) { /* large static TLS */
		stack_bytes = HELPER_STACK_MAX_BYTES;
		pthread_attr_setstacksize(&attributes, stack_bytes);
		error = create(&thread, &attributes, helper_main, state);
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	thread_state_leave(guard);
	if (!error && !stack_is_counted) { /* one that has ended leaves its stack to the next */
		stack_is_counted = true;
		process_memory_add(stack_bytes);
	}
	if (error) {
		hs_store_release(&process_page.helper_started, 0);
		hs_store_relaxed(&process_page.helper_left, 1);
		say_no_helper(state, error);
	} else {
		hs_store_relaxed(&process_page.helper_left, 0);
	}
}

bool writer_thread_coming(void)
{
	return !__atomic_exchange_n(&process_page.threaded, 1, __ATOMIC_RELAXED);
}

void writer_thread_made(bool made, bool first)
{
	struct state_header *state = process_state();
	int saved_errno = errno;

	if (!made && first)
		hs_store_relaxed(&process_page.threaded, 0);
	/* By the only thread there was: as long as it lives, the helper is not the last one. */
	if (first)
		thread_state_is_leader();
	if (made && state &&
		(process_settings.writer == WRITER_AUTO ||
			process_settings.writer == WRITER_THREAD))
		start_helper(state);
	errno = saved_errno;
}

void writer_after_load(void)
{
	struct state_header *state = process_state();

	create = (create_function)real_alloc_next("pthread_create");
	thread_state_is_leader();
	if (state && (process_settings.writer == WRITER_THREAD ||
			     (process_settings.writer == WRITER_AUTO &&
				     hs_load_relaxed(&process_page.threaded))))
		start_helper(state);
}

void writer_restart_helper(void)
{
	struct state_header *state = process_state();

	if (!state || !hs_load_relaxed(&process_page.helper_wake))
		return;
	forget_helper();
	start_helper(state);
}

int writer_snapshot(const char *label)
{
	struct state_header *state = process_state();
	int saved_errno = errno;
	long number = 0;
	uint8_t guard;

	if (!state || process_settings.writer == WRITER_OFF || hs_load_relaxed(&process_seccomp) ||
		(uint32_t)rawsys(SYS_getpid, 0) != state->pid)
		return 0;
	guard = thread_state_enter();
	if (lock(state, LOCK_WAIT_NS)) {
		number = write_locked(state, HEAPSPY_REASON_LABEL, label);
		unlock(state);
	}
	thread_state_leave(guard);
	errno = saved_errno;
	return number > 0 ? (int)number : 0;
}

bool writer_exit_is_leased(const struct state_header *state)
{
	/* A killed holder that nobody has waited for looks alive: so be less patient here. */
	return has_holder(state, clock_ns(CLOCK_MONOTONIC), EXIT_LEASE_NS) &&
	       (state->lease.is_beyond || rawsys(SYS_kill, state->lease.pid, 0) != -ESRCH);
}

bool writer_exit(struct state_header *state)
{
	long ret = 0;
	uint8_t guard;

	if (process_settings.writer == WRITER_OFF || process_settings.writer == WRITER_EXTERNAL ||
		!snapshot_file_is_due_at_exit(state, clock_ns(CLOCK_MONOTONIC)))
		return true;
	guard = thread_state_enter();
	if (lock(state, LOCK_WAIT_NS)) {
		ret = write_locked(state, HEAPSPY_REASON_EXIT, NULL);
		unlock(state);
	}
	thread_state_leave(guard);
	return ret != -ENOMEM && ret != -ENOSPC && ret != -EDQUOT;
}
