/*
 * lifecycle.c - owns the beginning, the forks and the end of the library's life
 * in a process.
 *
 * Beginning. The first allocation may come from ld.so or from another library's
 * constructor, long before ours. So the state is made by the first slow path
 * that meets a libc that is ready (its environ is set), whoever that is; our
 * constructor does it at the latest, because a program whose malloc stands
 * before ours never calls us at all and must be told so.
 *
 * Fork. process_page is wiped in the child, the filter too: the child's hooks
 * pass through until its own first sampled allocation makes a state. Blocks
 * inherited from the parent are unknown there, and their frees are ignored.
 *
 * End. Our destructor runs before those of most libraries; hooks stay valid
 * after it. Nothing is unmapped but states of ancestors.
 */
#include <errno.h>
#include <gnu/libc-version.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
#include "preload/atomics.h"
#include "preload/cfi_rows.h"
#include "preload/clock.h"
#include "preload/compiler.h"
#include "preload/lifecycle.h"
#include "preload/limit_watch.h"
#include "preload/log.h"
#include "preload/process.h"
#include "preload/process_state.h"
#include "preload/rawsys.h"
#include "preload/real_alloc.h"
#include "preload/state/state_map.h"
#include "preload/thread_state.h"
#include "preload/unseen_doors.h"
#include "preload/unwind.h"
#include "preload/unwind_reference.h"
#include "preload/writer.h"

/* Of no other libc: a process may load one that lacks it, because LD_PRELOAD is inherited. */
__typeof__(gnu_get_libc_version) gnu_get_libc_version __attribute__((weak));

static struct process_facts facts;

/* Written by the one thread that runs begin(); a forked child inherits DONE. */
static enum { NOT_BEGUN, BEGINNING, PASSING, DONE } begun;

bool lifecycle_is_passing_through(void)
{
	return hs_load_relaxed(&begun) == PASSING || hs_load_relaxed(&process_page.pass_through);
}

/* Why this process must be left alone, NULL if it need not. */
static const char *refusal(void)
{
	if (!gnu_get_libc_version)
		return "the C library is not glibc";
	if (real_alloc_is_defined("__asan_init") || real_alloc_is_defined("__tsan_init") ||
		real_alloc_is_defined("__msan_init") || real_alloc_is_defined("__hwasan_init"))
		return "a sanitizer replaces malloc";
	/* In the preloaded object of memcheck, massif, dhat, helgrind and drd. */
	if (real_alloc_is_defined("_vgr10010ZU_libcZdsoZa_malloc"))
		return "valgrind replaces malloc";
	if (process_settings.children == CHILDREN_NONE &&
		process_state_is_descendant(&process_settings))
		return "HEAPSPY_CHILDREN=none, and a parent is profiled";
	return NULL;
}

static void complain(void *context, const char *name, const char *value, const char *expected)
{
	char shown[128];

	log_set_verbose(process_settings.verbose);
	if (expected) /* what was expected must be in the line, however long the value is */
		log_line("%s='%s%s' cannot be used: expected %s; the default serves", name, shown,
			log_format(shown, sizeof(shown), "%s", value) < sizeof(shown) ? "" : "...",
			expected);
	else
		log_verbose("%s: no such variable; ignored", name);
}

static enum unwind_mode unwind_mode(void)
{
	static const enum unwind_mode modes[] = {
		[SETTINGS_CFI] = UNWIND_CFI,
		[SETTINGS_FP] = UNWIND_FP,
		[SETTINGS_LIBUNWIND] = UNWIND_LIBUNWIND,
		[SETTINGS_COMPARE] = UNWIND_COMPARE,
	};

	return modes[process_settings.unwind];
}

/* One that is being made, or made; a forked child may still be at work in its parent's. */
static bool is_ours(const struct state_header *state)
{
	return state && hs_load_relaxed(&state->magic) ? process_state() == state
						       : process_is_making_state();
}

/* Everything that is done once an image, but for the state. */
static HS_COLD bool begin(void)
{
	struct settings_names names = { facts.comm, facts.host, (uint32_t)rawsys(SYS_getpid, 0) };
	const char *why, *front;

	/* Raised rights: whoever started it may not have us do or say anything. */
	if (getauxval(AT_SECURE))
		return false;
	process_state_read_facts(&facts);
	settings_read(&process_settings, environ, names, complain, NULL);
	log_set_verbose(process_settings.verbose);
	real_alloc_resolve();
	strncpy(facts.next_malloc, real_alloc_next_object(), sizeof(facts.next_malloc) - 1);
	if (!real_alloc_reaches_us("malloc", &front)) {
		facts.flags |= HEAPSPY_INFO_NOT_INTERPOSED;
		strncpy(facts.front_malloc, front, sizeof(facts.front_malloc) - 1);
		log_verbose("not interposed: malloc of %s stands before heapspy's", front);
	}
	why = refusal();
	if (!why && !process_wipe_on_fork())
		why = "this kernel cannot wipe memory at a fork (4.14)";
	if (why) {
		log_verbose("passing through: %s", why);
		return false;
	}
	state_map_set_owner(is_ours);
	state_map_set_first_look(limit_watch_first_look);
	thread_state_init(writer_main_ends);
	unwind_init(unwind_mode());
	if (!unwind_cfi_available())
		log_verbose("no _dl_find_object (glibc 2.35): stacks by frame pointers only");
	return true;
}

/*
 * The states that are mapped here: ours, and that of the nearest ancestor that had one, in which
 * code that a handler interrupted may still be at work. A forked child inherits the mappings, and
 * they keep the memory of states that nobody else has any more: in a chain of forks, each the
 * parent of the next, that of all. So the one before these goes.
 */
static void keep_two_states(struct state_header *state)
{
	static struct state_header *own, *ancestors;
	static uint64_t ancestors_bytes;

	if (ancestors)
		rawsys(SYS_munmap, ancestors, ancestors_bytes);
	ancestors = own;
	ancestors_bytes = state_map_own.before_bytes;
	own = state;
}

/* The state of this process image, or of this forked child. */
static HS_COLD struct state_header *make_state(bool forked)
{
	struct state_header *state = NULL;

	if (!forked || process_settings.children == CHILDREN_ALL) {
		if (forked) {
			process_state_read_facts(&facts);
			cfi_rows_flush(); /* rows name modules by the parent's serials */
		}
		state = process_state_create(
			&process_settings, &facts, forked ? HEAPSPY_INFO_FORK_CHILD : 0);
	}
	if (!process_is_making_state())
		return NULL;
	if (!state) {
		hs_store_relaxed(&process_page.pass_through, 1);
		return NULL;
	}
	keep_two_states(state);
	hs_store_relaxed(&process_generation, hs_load_relaxed(&process_generation) + 1);
	log_verbose("profiling %s (pid %u): mean sampling interval %lu bytes", state->comm,
		state->pid, state->interval_bytes);
	/* Pairs with process_state(). */
	hs_store_release(&process_page.state, state);
	return state;
}

HS_COLD struct state_header *lifecycle_state_or_make(void)
{
	struct state_header *state = process_state();
	uint32_t unlocked = 0;
	bool forked;

	if (HS_LIKELY(state))
		return state;
	/* Before libc is ready there is no configuration: look again later. */
	if (lifecycle_is_passing_through() || hs_load_relaxed(&process_seccomp) ||
		(hs_load_relaxed(&begun) == NOT_BEGUN && !environ) ||
		!hs_cas_acq_rel(&process_page.making_state, &unlocked, 1))
		return NULL;
	forked = begun == DONE;
	if (begun == NOT_BEGUN) {
		begun = BEGINNING;
		hs_store_release(&begun, begin() ? DONE : PASSING);
	}
	/* A vfork child shares our memory: a state that it made would be its own, and end with it.
	 */
	if (begun == DONE && !(forked && process_state_is_vfork_child()))
		state = make_state(forked);
	/* A handler has forked, and we are the child: what was begun here is its parent's. */
	if (!process_is_making_state())
		return lifecycle_state_or_make();
	hs_store_release(&process_page.making_state, 0);
	return state;
}

void lifecycle_make_state(void)
{
	int saved_errno = errno;
	uint8_t guard = thread_state_enter();

	lifecycle_state_or_make();
	thread_state_leave(guard);
	errno = saved_errno;
}

/* A vfork child shares our memory, but its doings are not this process's. */
static bool is_this_process(const struct state_header *state)
{
	return (uint32_t)rawsys(SYS_getpid, 0) == state->pid;
}

bool lifecycle_seccomp_coming(void)
{
	struct state_header *state = process_state();
	uint32_t unfiltered = 0;

	if (hs_load_relaxed(&process_seccomp) || (state && !is_this_process(state)) ||
		!hs_cas_acq_rel(&process_seccomp, &unfiltered, 1))
		return false;
	state_map_freeze(true);
	writer_end_helper();
	if (state) { /* else it gives up the clock too, and that has been said */
		writer_wait_for_others(state);
		__atomic_fetch_or(&state->flags, HEAPSPY_INFO_SECCOMP, __ATOMIC_RELAXED);
		log_verbose("the program sets a filter of system calls: none is made from here on, "
			    "and snapshots are taken from outside only");
	}
	log_silence(true);
	return true;
}

void lifecycle_seccomp_failed(void)
{
	struct state_header *state = process_state();

	log_silence(false);
	if (state) {
		__atomic_fetch_and(&state->flags, ~HEAPSPY_INFO_SECCOMP, __ATOMIC_RELAXED);
		log_verbose("the filter was refused: all goes on as before");
	}
	state_map_freeze(false);
	hs_store_release(&process_seccomp, 0);
	writer_restart_helper();
}

void lifecycle_helper_leaves(void)
{
	struct state_header *state = process_state();

	if (state && !hs_load_relaxed(&process_seccomp) &&
		hs_load_relaxed(&process_page.helper_started) && is_this_process(state))
		writer_helper_leaves();
}

void lifecycle_forked(void)
{
	/* A seccomp filter comes with the clock given up, perhaps. */
	if (hs_load_relaxed(&begun) == DONE && !hs_load_relaxed(&process_seccomp))
		thread_state_forked(process_settings.sample_bytes);
}

/*
 * The state stays as it is at this moment, for who holds the lease: what
 * destructors free from now on has been live until the end.
 */
static void stand_still(struct state_header *state)
{
	uint8_t guard = thread_state_enter();

	thread_state_finish(state);
	/* First: another thread that leaves finds no state, and may be faster than we are. */
	hs_store_release(&state->exit_ns, clock_ns(CLOCK_MONOTONIC));
	hs_store_relaxed(&process_page.pass_through, 1);
	hs_store_release(&process_page.state, NULL);
	thread_state_leave(guard);
}

/* The last snapshot, by whoever writes here. */
static void end(struct state_header *state)
{
	/* Without room for a file the state is left to heapspy recover. */
	if (writer_exit_is_leased(state) || !writer_exit(state)) {
		stand_still(state);
		return;
	}
	hs_store_release(&state->wrote_end, 1);
	process_state_unlink(&process_settings, state->pid, state->start_ticks, state->start_ns);
}

struct state_header *lifecycle_before_daemon(void)
{
	struct state_header *state = process_state();

	if (!state || hs_load_relaxed(&process_seccomp) || !is_this_process(state))
		return NULL;
	if (writer_exit_is_leased(state))
		stand_still(state);
	else
		writer_exit(state);
	return state;
}

void lifecycle_after_daemon(struct state_header *state, bool is_child)
{
	int saved_errno = errno;

	/* The child, which has it mapped: nobody else is left to remove it. */
	if (is_child && !hs_load_relaxed(&state->exit_ns))
		process_state_unlink(
			&process_settings, state->pid, state->start_ticks, state->start_ns);
	else if (!is_child && !process_state())
		lifecycle_clock_stays(state);
	errno = saved_errno;
}

struct state_header *lifecycle_clock_going(void)
{
	struct state_header *state = process_state();

	if (!state)
		return NULL;
	if (!hs_load_relaxed(&process_seccomp)) { /* else no system call of ours, only silence */
		if (!is_this_process(state))
			return NULL;
		log_verbose("the program gives up reading the time: profiling ends here");
		writer_end_helper();
		end(state);
	}
	hs_store_relaxed(&process_page.pass_through, 1);
	hs_store_release(&process_page.state, NULL);
	return state;
}

void lifecycle_clock_stays(struct state_header *state)
{
	if (!state)
		return;
	hs_store_relaxed(&state->exit_ns, 0);
	hs_thread.generation = 0; /* its slot is gone: begin anew */
	hs_store_relaxed(&process_page.pass_through, 0);
	hs_store_release(&process_page.state, state);
	writer_restart_helper();
}

void lifecycle_exit(void)
{
	struct state_header *state = process_state();
	uint32_t progress = EXIT_NOT_BEGUN;

	if (!state || hs_load_relaxed(&process_seccomp) || !is_this_process(state))
		return;
	if (!hs_cas_acq_rel(&process_page.exit_progress, &progress, EXIT_BEGUN)) {
		/* Another thread is leaving too: it would take us along in mid-file. */
		writer_wait_for_exit();
		return;
	}
	unwind_reference_report();
	end(state);
	hs_store_release(&process_page.exit_progress, EXIT_DONE);
}

/* Blocks that go back unseen look live: said by whoever reads the snapshots. */
static void mark_unseen_doors(struct state_header *state)
{
	__atomic_fetch_or(&facts.flags, HEAPSPY_INFO_UNSEEN_DOORS, __ATOMIC_RELAXED);
	if (state)
		__atomic_fetch_or(&state->flags, HEAPSPY_INFO_UNSEEN_DOORS, __ATOMIC_RELAXED);
}

void lifecycle_bound_past_us(const char *path)
{
	if (begun != DONE || hs_load_relaxed(&facts.flags) & HEAPSPY_INFO_UNSEEN_DOORS)
		return;
	mark_unseen_doors(process_state());
	log_verbose("%s is loaded with RTLD_DEEPBIND: what it allocates and frees is not seen",
		path ? path : "the program");
}

static void note_unseen_doors(struct state_header *state)
{
	struct unseen_door door;

	if (!unseen_doors_find(&door))
		return;
	mark_unseen_doors(state);
	log_verbose("%s calls %s, which is not seen%s", door.object[0] ? door.object : facts.exe,
		door.name, door.interposer ? ": libheapspy-jemalloc.so is not preloaded" : "");
}

void lifecycle_load(void (*resolve)(void))
{
	bool is_adopted = hs_thread.generation && hs_thread.generation == process_generation;
	uint64_t gap = hs_thread.gap, left = hs_thread.left;
	struct state_header *state;
	uint8_t guard = thread_state_enter();

	real_alloc_resolve();
	clock_init();
	log_init();
	resolve();
	state = lifecycle_state_or_make();
	/* Not in begin(), which may run inside a hook. */
	if (begun == DONE) {
		unwind_reference_load(unwind_mode());
		note_unseen_doors(state);
	}
	writer_after_load();
	/* What was allocated for all this does not count, nor what came before there was a state.
	 */
	hs_thread.gap = is_adopted ? gap : 0;
	hs_thread.left = is_adopted ? left : 0;
	if (state)
		hs_store_relaxed(&state->losses[HEAPSPY_LOSS_REENTRY], 0);
	thread_state_leave(guard);
}
