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
#include "preload/cpu_budget.h"
#include "preload/filter.h"
#include "preload/lifecycle.h"
#include "preload/live_table.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/self_time.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "preload/thread_state.h"
#include "preload/unwind.h"
#include "preload/writer.h"
#include "sample_age.h"

/* While sampling is off, how often a thread looks whether it is on again. */
#define PAUSE_BYTES (256u << 10)
/* Passing through for good: a thread comes by once in this many bytes. */
#define NEVER_BYTES (1ull << 62)

#define NAME_EVERY   256 /* events between two looks at a name that may change unseen */
#define THINNING_MAX 4
#define STALE_AFTER  64
#define STALE_AT_ALL 60000

static void pause_countdown(uint64_t bytes)
{
	hs_thread.gap = bytes;
	hs_thread.left = bytes;
	hs_thread.flags |= THREAD_IDLE;
}

static uint64_t draw_gap(const struct state_header *state, unsigned level)
{
	return sample_gap_bytes(sample_rng_next(&hs_thread.rng), state->interval_bytes << level);
}

/* How a sample comes to the world. */
struct birth {
	uint64_t random;   /* u, and whether it is timed */
	unsigned drawn_at; /* level of the gap that it has ended */
	unsigned level;    /* the one in force, at which it counts */
};

/*
 * Whether a block that a mark of the level of its gap has met belongs to the level in force.
 * Gaps drawn before the interval was raised are too short, and end in too many samples.
 */
static bool belongs(const struct state_header *state, const struct birth *birth, size_t size)
{
	return HS_LIKELY(birth->drawn_at == birth->level) ||
	       sample_belongs((uint32_t)birth->random, size,
		       state->interval_bytes << birth->drawn_at,
		       state->interval_bytes << birth->level);
}

/*
 * Countdown bookkeeping of an allocation that runs below zero, and is not counted yet.
 * Returns whether the block is a sample. At a thread's first allocation, and after a pause, the
 * gap is only drawn now, and most of the time it is not used up at once.
 */
static bool redraw(struct state_header *state, size_t size, uint64_t now_ns, struct birth *birth)
{
	struct thread_state *t = &hs_thread;
	uint64_t weighed = thread_state_weighed_size(size);
	uint64_t next_gap;
	bool is_met;

	if (hs_load_relaxed(&state->flags) & HEAPSPY_INFO_STOPPED) {
		if (t->generation == hs_load_relaxed(&process_generation))
			thread_state_settle(state, 0);
		pause_countdown(state_interval_bytes(state) == 1 ? 0 : PAUSE_BYTES);
		return false;
	}
	birth->level = hs_load_relaxed(&state->level);
	if (t->flags & THREAD_EXITING) { /* each allocation for itself, with a gap of its own */
		hs_add_relaxed(&state->bytes_seen, size);
		t->gap = 0;
		t->left = 0;
		birth->drawn_at = birth->level;
		birth->random = sample_rng_next(&t->rng);
		return draw_gap(state, birth->level) < weighed;
	}
	if (t->generation != hs_load_relaxed(&process_generation))
		is_met = thread_state_adopt_at_end_of_gap(state, process_generation, now_ns);
	else
		is_met = !(t->flags & THREAD_IDLE);
	if (!is_met) {
		t->flags &= ~THREAD_IDLE;
		t->gap = draw_gap(state, birth->level);
		t->gap_level = (uint8_t)birth->level;
		t->left = t->gap;
		is_met = t->gap < weighed;
	}
	birth->drawn_at = t->gap_level;
	birth->random = sample_rng_next(&t->rng);
	next_gap = is_met ? draw_gap(state, birth->level) : 0;
	if (!is_met) {
		t->left -= weighed;
		t->gap -= weighed - size; /* 0 bytes weigh 1 in the countdown, not in the total */
		return false;
	}
	/* A handler may have forked, and we are the child, whose countdown begins anew. */
	if (process_state() != state)
		return false;
	/* Not by taking from left: below 0 it would stay if a handler jumps out now. */
	t->gap += size;
	thread_state_settle(state, next_gap);
	t->gap_level = (uint8_t)birth->level;
	return belongs(state, birth, size);
}

/* Age of the process; 0 should the clock go back behind the start. */
static uint64_t age_of(const struct state_header *state, uint64_t now_ns)
{
	return now_ns > state->start_ns ? now_ns - state->start_ns : 0;
}

/* Flat, because of the weight only bytes and count are needed. */
static HS_SAMPLED __attribute__((flatten)) void die(
	struct state_header *state, const struct state_live_value *value, uint64_t now_ns)
{
	uint64_t lived_ns = sample_age_ns(value->birth_level, age_of(state, now_ns));
	struct sample_weight weight =
		thinning_weight(state, value, (unsigned)(value->birth_level >> 60));

	/* A handler may have forked, and we are the child: the parent books it. */
	if (process_state() != state)
		return;
	hs_store_relaxed(&state->last_ns, now_ns); /* about the last: threads may pass each other */
	site_stats_died(state, value->stack, lived_ns == UINT64_MAX ? 0 : lived_ns, weight);
	site_stats_left(state, value->u, weight);
	hs_add_relaxed(&state->deaths, 1);
}

enum put_in { PUT_IN, PUT_IN_THINNED, PUT_IN_FULL };

/* The table was full at a level. */
static HS_COLD enum put_in make_room(struct state_header *state, void *block,
	const struct state_live_value *value, uint32_t level)
{
	unsigned tries;

	for (tries = 0; tries < THINNING_MAX && thinning_make_room(state, level); tries++) {
		/* A handler that interrupted the walk may have forked, and we are the child. */
		if (process_state() != state)
			return PUT_IN_FULL;
		if (!thinning_belongs(state, value))
			return PUT_IN_THINNED;
		level = hs_load_relaxed(&state->level);
		if (live_table_insert(state, (uintptr_t)block, value) == LIVE_INSERTED)
			return PUT_IN;
	}
	return PUT_IN_FULL;
}

/* PUT_IN_THINNED: does not belong to the level that is in force by then, and is nowhere. */
static enum put_in put_in(
	struct state_header *state, void *block, const struct state_live_value *value)
{
	uint32_t level = hs_load_relaxed(&state->level);

	if (HS_LIKELY(live_table_insert(state, (uintptr_t)block, value) == LIVE_INSERTED))
		return PUT_IN;
	return make_room(state, block, value, level);
}

/* One second, one total: whoever samples first in it writes the one before. */
static void tick(struct state_header *state, uint64_t age_ns)
{
	uint64_t second = age_ns / 1000000000, last = hs_load_relaxed(&state->tick_second);
	const struct state_table *table;
	struct heapspy_tick *ring;
	uint32_t i;

	if (HS_LIKELY(second == last))
		return;
	i = state_tables_end(state);
	table = state_table_before(STATE_CHUNK_TICKS, &i);
	if (!table || !hs_cas_relaxed(&state->tick_second, &last, second))
		return;
	ring = table->at;
	ring += second % (table->bytes / sizeof(*ring));
	/* A reader that sees one of the new figures finds another time than before when it looks
	 * again. */
	hs_store_relaxed(&ring->time_ns, 0);
	hs_store_release(&ring->bytes_seen, hs_load_relaxed(&state->bytes_seen));
	hs_store_release(&ring->live_samples, hs_load_relaxed(&state->live_samples));
	hs_store_release(&ring->time_ns, age_ns);
}

/* Returns the flags of the stack, HEAPSPY_STACK_TRUNCATED if there is none. */
static uint32_t sample(struct state_header *state, void *block, size_t size, uint64_t now_ns,
	const struct birth *birth)
{
	struct thread_state *t = &hs_thread;
	struct unwind_scratch *work = thread_state_work();
	struct state_live_value value, stale;
	unsigned approx_from, n;
	uint32_t flags;
	struct sample_weight weight;
	enum put_in where;

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
	hs_store_relaxed(&state->last_ns, now_ns);
	value.stack = stack_table_intern(state, work->frames, n, flags, approx_from);
	value.u = (uint32_t)birth->random;
	value.size_thread = (size & 0xffffffffffffull) | (uint64_t)t->name_id << 48;
	value.birth_level = sample_birth_bits(age_of(state, now_ns)) |
			    (uint64_t)birth->drawn_at << 56 | (uint64_t)birth->level << 60;
	weight = thinning_weight(state, &value, birth->level);

	/* The address may still be listed: its block was freed by a door we do not see. */
	if (filter_test(block) && live_table_remove(state, (uintptr_t)block, &stale)) {
		state_count_loss(state, HEAPSPY_LOSS_REPLACED);
		die(state, &stale, now_ns);
	}
	if (process_state() != state)
		return HEAPSPY_STACK_TRUNCATED;
	where = value.stack ? put_in(state, block, &value) : PUT_IN_FULL;
	if (where == PUT_IN_FULL) {
		state_count_loss(state, HEAPSPY_LOSS_STATE_FULL);
		return flags;
	}
	site_stats_allocated(state, value.stack, size, weight);
	hs_add_relaxed(&state->samples, 1);
	if (HS_LIKELY(where == PUT_IN))
		site_stats_joined(state, value.u, weight, now_ns);
	else
		site_stats_thinned(state, value.stack, size, weight, NULL);
	tick(state, age_of(state, now_ns));
	return flags;
}

/*
 * Whether the guard was left behind by a longjmp out of a signal handler that had interrupted
 * the slow path, or is that of a coroutine put aside there: it has been met too often in a row
 * for a handler that is still running in there. Soon so where the frame that set it is gone,
 * for ours, recorder_allocated()'s, is in its place or above, or on another stack. Late if
 * ours is below. An error does no harm but to count what the handler allocates.
 */
static bool guard_is_stale(uintptr_t frame)
{
	struct thread_state *t = &hs_thread;

	return ++t->refused > (frame >= t->guard_frame ? STALE_AFTER : STALE_AT_ALL);
}

HS_SAMPLED void recorder_allocated(void *block, size_t size)
{
	struct thread_state *t = &hs_thread;
	struct state_header *state;
	int saved_errno = errno;
	struct birth birth;
	uint64_t now_ns;
	uint32_t flags;

	if (!block)
		return;
	if (t->inside && !guard_is_stale((uintptr_t)__builtin_frame_address(0))) {
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
		if (redraw(state, size, now_ns, &birth)) {
			flags = sample(state, block, size, now_ns, &birth);
			thread_state_work_done();
			/* As in sample(): the child accounts for nothing, and writes nothing. */
			if (process_state() == state) {
				if (self_time_is_timed(birth.random))
					self_time_add_event(
						state, clock_ns(CLOCK_MONOTONIC) - now_ns);
				writer_sampled(state, now_ns, flags);
				cpu_budget_check(state, now_ns);
			}
		}
	}
	thread_state_leave(0);
	errno = saved_errno;
}

/*
 * Whether the end of this block is timed. Decided by the thread's generator, which is at the same
 * place in all threads that only free, and so by the address too.
 */
static bool is_timed_end(const void *block)
{
	struct thread_state *t = &hs_thread;
	uint16_t ends = t->ends;

	if (HS_UNLIKELY(ends <= 1))
		ends = self_time_decide(
			sample_rng_next(&t->rng) ^ (uintptr_t)block * 0x9E3779B97F4A7C15ull);
	t->ends = ends >> 1;
	return ends & 1;
}

static bool take_out(struct state_header *state, void *block, struct state_live_value *value)
{
	/* NULL shares its filter bit with real addresses, and is a free slot's key. */
	return block && state && live_table_remove(state, (uintptr_t)block, value);
}

void recorder_detach(void *block, struct recorder_ticket *ticket)
{
	struct state_header *state = process_state();
	uint64_t begin_ns = 0;

	ticket->is_timed = state && is_timed_end(block);
	if (ticket->is_timed)
		begin_ns = clock_ns(CLOCK_MONOTONIC);
	ticket->held = take_out(state, block, &ticket->value);
	if (ticket->is_timed)
		ticket->spent_ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
}

void recorder_settle(const struct recorder_ticket *ticket)
{
	struct state_header *state = process_state();
	uint64_t now_ns;

	if (!state || !(ticket->held | ticket->is_timed))
		return;
	now_ns = clock_ns(CLOCK_MONOTONIC);
	if (ticket->held)
		die(state, &ticket->value, now_ns);
	if (ticket->is_timed)
		self_time_add_event(state, ticket->spent_ns + clock_ns(CLOCK_MONOTONIC) - now_ns);
}

void recorder_reattach(void *block, const struct recorder_ticket *ticket)
{
	struct state_header *state = process_state();
	const struct state_live_value *value = &ticket->value;
	struct sample_weight weight;
	enum put_in where;

	if (!ticket->held || !state)
		return;
	where = put_in(state, block, value);
	if (where == PUT_IN)
		return;
	weight = thinning_weight(state, value, (unsigned)(value->birth_level >> 60));
	if (where == PUT_IN_THINNED)
		site_stats_thinned(
			state, value->stack, value->size_thread & 0xffffffffffffull, weight, NULL);
	else
		state_count_loss(state, HEAPSPY_LOSS_STATE_FULL);
	site_stats_left(state, value->u, weight);
}

/*
 * A handler has jumped out between a countdown and its being put back, or is in there still: below
 * 0 no allocation brings the thread here any more. What it has consumed counts, a gap is drawn at
 * its next allocation.
 */
static HS_COLD void revive(struct state_header *state)
{
	if (hs_thread.generation == hs_load_relaxed(&process_generation))
		thread_state_settle(state, 0);
	pause_countdown(0);
}

HS_SAMPLED void recorder_freed(void *block)
{
	struct state_header *state = process_state();
	struct state_live_value value;
	int saved_errno = errno;

	if (!state)
		return;
	if (HS_UNLIKELY((int64_t)hs_thread.left < 0) && !hs_thread.inside)
		revive(state);
	if (HS_UNLIKELY(is_timed_end(block))) {
		uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

		if (take_out(state, block, &value))
			die(state, &value, now_ns);
		self_time_add_event(state, clock_ns(CLOCK_MONOTONIC) - now_ns);
	} else if (take_out(state, block, &value)) {
		die(state, &value, clock_ns(CLOCK_MONOTONIC));
	}
	errno = saved_errno;
}
