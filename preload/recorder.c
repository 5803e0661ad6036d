/*
 * recorder.c - owns the life of a sample: birth, weight, death. Leaves when to
 * sample to the countdown (thread_state.h), where samples are kept to the
 * tables, when snapshots are due to writer.c.
 *
 * Order at a birth: the live table and its filter, then the block goes to the
 * application. Order at a death: out of table and filter first, then the real
 * free; the other way round the address could belong to another thread's new
 * block, and its sample would be the one removed.
 */
#include <errno.h>
#include "preload/atomics.h"
#include "preload/clock.h"
#include "preload/compiler.h"
#include "preload/filter.h"
#include "preload/lifecycle.h"
#include "preload/live_table.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "preload/thread_state.h"
#include "preload/unwind.h"
#include "preload/writer.h"

/* While sampling is off, how often a thread looks whether it is on again. */
#define PAUSE_BYTES (256u << 10)
/* Passing through for good: a thread comes by once in this many bytes. */
#define NEVER_BYTES (1ull << 62)

#define NAME_EVERY   256 /* events between two looks at a name that may change unseen */
#define TIME_EVERY   16
#define TIME_CLIP_NS 100000 /* longer than this the thread was not running */
#define THINNING_MAX 4
#define STALE_AFTER  64

static void pause_countdown(uint64_t bytes)
{
	hs_thread.gap = bytes;
	hs_thread.left = bytes;
	hs_thread.flags |= THREAD_IDLE;
}

static uint64_t draw_gap(const struct state_header *state)
{
	return sample_gap_bytes(sample_rng_next(&hs_thread.rng), state_interval_bytes(state));
}

/*
 * Countdown bookkeeping of an allocation that runs below zero, and is not counted yet.
 * Returns whether the block is a sample. At a thread's first allocation, and after a pause, the
 * gap is only drawn now, and most of the time it is not used up at once.
 */
static bool redraw(struct state_header *state, size_t size, uint64_t now_ns)
{
	struct thread_state *t = &hs_thread;
	uint64_t weighed = thread_state_weighed_size(size);
	uint64_t next_gap;
	bool sampled = true;

	if (hs_load_relaxed(&state->flags) & HEAPSPY_INFO_STOPPED) {
		if (t->generation == hs_load_relaxed(&process_generation))
			thread_state_settle(state, 0);
		pause_countdown(state_interval_bytes(state) == 1 ? 0 : PAUSE_BYTES);
		return false;
	}
	if (t->flags & THREAD_EXITING) { /* each allocation for itself, with a gap of its own */
		hs_add_relaxed(&state->bytes_seen, size);
		t->gap = 0;
		t->left = 0;
		return draw_gap(state) < weighed;
	}
	if (t->generation != hs_load_relaxed(&process_generation) || t->flags & THREAD_IDLE) {
		if (t->generation != hs_load_relaxed(&process_generation))
			thread_state_adopt(state, process_generation, now_ns);
		t->flags &= ~THREAD_IDLE;
		t->gap = draw_gap(state);
		t->left = t->gap;
		sampled = t->gap < weighed;
	}
	next_gap = sampled ? draw_gap(state) : 0;
	t->left -= weighed;
	t->gap -= weighed - size; /* 0 bytes weigh 1 in the countdown, not in the total */
	if (sampled)
		thread_state_settle(state, next_gap);
	return sampled;
}

/* Age of the process, in the 56 bits of a birth; 0 should the clock go back behind the start. */
static uint64_t age_of(const struct state_header *state, uint64_t now_ns)
{
	return now_ns > state->start_ns ? (now_ns - state->start_ns) & 0xffffffffffffffull : 0;
}

/* Flat, because of the weight only bytes and count are needed. */
static HS_SAMPLED __attribute__((flatten)) void die(
	struct state_header *state, const struct state_live_value *value, uint64_t now_ns)
{
	uint64_t birth_ns = value->birth_level & 0xffffffffffffffull;
	uint64_t age_ns = age_of(state, now_ns);
	struct sample_weight weight =
		thinning_weight(state, value, (unsigned)(value->birth_level >> 60));

	site_stats_died(state, value->stack, age_ns > birth_ns ? age_ns - birth_ns : 0, weight);
	site_stats_left(state, weight.bytes);
	hs_add_relaxed(&state->deaths, 1);
}

static bool put_in(struct state_header *state, void *block, const struct state_live_value *value)
{
	unsigned tries = 0;

	while (live_table_insert(state, (uintptr_t)block, value) == LIVE_FULL)
		if (tries++ == THINNING_MAX || !thinning_raise(state))
			return false;
	return true;
}

/* One second, one total: whoever samples first in it writes the one before. */
static void tick(struct state_header *state, uint64_t age_ns)
{
	uint64_t second = age_ns / 1000000000, last = hs_load_relaxed(&state->tick_second);
	struct heapspy_tick *ring;
	uint32_t i;

	if (HS_LIKELY(second == last))
		return;
	i = state_n_chunks(state);
	ring = state_chunk_before(state, STATE_CHUNK_TICKS, &i);
	if (!ring || !hs_cas_relaxed(&state->tick_second, &last, second))
		return;
	ring += second % (state->chunk[i].bytes / sizeof(*ring));
	hs_store_relaxed(&ring->bytes_seen, hs_load_relaxed(&state->bytes_seen));
	hs_store_relaxed(&ring->live_samples, hs_load_relaxed(&state->live_samples));
	hs_store_release(&ring->time_ns, age_ns); /* the snapshot writer's acquire */
}

/* Returns the flags of the stack, HEAPSPY_STACK_TRUNCATED if there is none. */
static uint32_t sample(struct state_header *state, void *block, size_t size, uint64_t now_ns)
{
	struct thread_state *t = &hs_thread;
	struct unwind_scratch *work = thread_state_work();
	struct state_live_value value, stale;
	unsigned level = hs_load_relaxed(&state->level), n;
	unsigned approx_from;
	uint32_t flags;
	struct sample_weight weight;

	if (!work) {
		state_count_loss(state, HEAPSPY_LOSS_NO_SCRATCH);
		return HEAPSPY_STACK_TRUNCATED;
	}
	if (t->events++ % NAME_EVERY == 0 || thread_state_name_is_old())
		t->name_id = thread_state_name_id(state);
	n = unwind_capture(work, process_settings.depth, &flags, &approx_from);
	if (flags & HEAPSPY_STACK_CUT)
		state_count_loss(state, HEAPSPY_LOSS_CUT_STACKS);
	if (flags & HEAPSPY_STACK_TRUNCATED)
		state_count_loss(state, HEAPSPY_LOSS_BROKEN_STACKS);

	/* A handler that interrupted the walk may have forked, and we are the child. */
	if (process_state() != state)
		return HEAPSPY_STACK_TRUNCATED;
	value.stack = stack_table_intern(state, work->frames, n, flags, approx_from);
	value.u = (uint32_t)sample_rng_next(&t->rng);
	value.size_thread = (size & 0xffffffffffffull) | (uint64_t)t->name_id << 48;
	value.birth_level = age_of(state, now_ns) | (uint64_t)level << 56 | (uint64_t)level << 60;
	weight = thinning_weight(state, &value, level);

	/* The address may still be listed: its block was freed by a door we do not see. */
	if (filter_test(block) && live_table_remove(state, (uintptr_t)block, &stale)) {
		state_count_loss(state, HEAPSPY_LOSS_REPLACED);
		die(state, &stale, now_ns);
	}
	if (!value.stack || !put_in(state, block, &value)) {
		state_count_loss(state, HEAPSPY_LOSS_STATE_FULL);
		return flags;
	}
	site_stats_allocated(state, value.stack, size, weight);
	hs_add_relaxed(&state->samples, 1);
	site_stats_joined(state, weight.bytes, now_ns);
	tick(state, age_of(state, now_ns));
	return flags;
}

/* Sums up our own time: every 16th event, scaled; an interrupted one is clipped. */
static void account(struct state_header *state, uint64_t begin_ns)
{
	uint64_t ns;

	if (hs_thread.events % TIME_EVERY)
		return;
	ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
	hs_add_relaxed(&state->self_ns, (ns < TIME_CLIP_NS ? ns : TIME_CLIP_NS) * TIME_EVERY);
}

/*
 * Whether the guard was left behind by a longjmp out of a signal handler that
 * had interrupted the slow path: the frame that set it is gone, and it has
 * been met too often in a row for a handler that is still running in there.
 */
static bool guard_is_stale(void)
{
	struct thread_state *t = &hs_thread;

	return (uintptr_t)__builtin_frame_address(0) > t->guard_frame && ++t->refused > STALE_AFTER;
}

HS_SAMPLED void recorder_allocated(void *block, size_t size)
{
	struct thread_state *t = &hs_thread;
	struct state_header *state;
	int saved_errno = errno;
	uint64_t now_ns;
	uint32_t flags;

	if (!block)
		return;
	if (t->inside && !guard_is_stale()) {
		state = process_state();
		if (state)
			state_count_loss(state, HEAPSPY_LOSS_REENTRY);
		return;
	}
	/*
	 * A handler may have drawn a longer gap meanwhile: then this block is before its end.
	 * One that came between the countdown and its being put back has left it below 0.
	 * Not counted before redraw(): a wrapped countdown that a handler jumps out of stays so.
	 */
	if ((int64_t)t->left >= 0 && t->left >= thread_state_weighed_size(size)) {
		t->left -= thread_state_weighed_size(size);
		return;
	}
	/* Whoever is interrupted in there may come back to it. */
	if (t->inside)
		t->work = NULL;
	t->inside = 0;
	t->refused = 0;
	thread_state_enter();
	state = lifecycle_state_or_make();
	if (!state) {
		pause_countdown(lifecycle_is_passing_through() ? NEVER_BYTES : PAUSE_BYTES);
	} else {
		now_ns = clock_ns(CLOCK_MONOTONIC);
		if (redraw(state, size, now_ns)) {
			flags = sample(state, block, size, now_ns);
			thread_state_work_done();
			account(state, now_ns);
			writer_sampled(state, now_ns, flags);
		}
	}
	thread_state_leave(0);
	errno = saved_errno;
}

void recorder_detach(void *block, struct recorder_ticket *ticket)
{
	struct state_header *state = process_state();

	/* NULL shares its filter bit with real addresses, and is a free slot's key. */
	ticket->held = block && state && live_table_remove(state, (uintptr_t)block, &ticket->value);
}

void recorder_settle(const struct recorder_ticket *ticket)
{
	struct state_header *state = process_state();

	if (ticket->held && state)
		die(state, &ticket->value, clock_ns(CLOCK_MONOTONIC));
}

void recorder_reattach(void *block, const struct recorder_ticket *ticket)
{
	struct state_header *state = process_state();

	if (ticket->held && state && !put_in(state, block, &ticket->value)) {
		state_count_loss(state, HEAPSPY_LOSS_STATE_FULL);
		site_stats_left(state, thinning_weight(state, &ticket->value,
					       (unsigned)(ticket->value.birth_level >> 60))
					       .bytes);
	}
}

HS_SAMPLED void recorder_freed(void *block)
{
	struct recorder_ticket ticket;
	int saved_errno = errno;

	recorder_detach(block, &ticket);
	recorder_settle(&ticket);
	errno = saved_errno;
}
