/*
 * thread_state.c - owns the per-thread state: its slot in the state, its work
 * area, its end. The slots make bytes_seen exact: a dying thread adds what it
 * had consumed, a reader adds what the living ones hold.
 *
 * Thread exit. Blocks may be allocated and freed after our key's destructor:
 * by the destructors of other keys (up to four rounds), then by libc. The
 * destructor gives up slot and work area; from there on each allocation of this
 * thread goes the slow way and is decided for itself (gaps have no memory).
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "preload/atomics.h"
#include "preload/clock.h"
#include "preload/process.h"
#include "preload/rawsys.h"
#include "preload/state/state_map.h"
#include "preload/thread_state.h"
#include "preload/unwind.h"

#define WORK_CHUNK_BYTES (64u << 10)

#define NAMES_MAX   1024
#define OTHER_NAMES "<other names>" /* all threads beyond */

HS_TLS struct thread_state hs_thread;

static pthread_key_t exit_key;
static bool exit_key_valid;

/* Areas begin at a cache line, which leaves more bits for the version. */
#define WORK_ALIGN_LOG2   6
#define WORK_ADDRESS_BITS (48 - WORK_ALIGN_LOG2)

union work {
	union work *next;
	struct unwind_scratch scratch;
} __attribute__((aligned(1 << WORK_ALIGN_LOG2)));

/* The first free area: 22 bits of version, 42 of address. Linked by their first word. */
static uint64_t work_free;

static union work *work_of(uint64_t head)
{
	return (union work *)((head & ((1ull << WORK_ADDRESS_BITS) - 1)) << WORK_ALIGN_LOG2);
}

static uint64_t work_head(uint64_t version, const union work *w)
{
	return version << WORK_ADDRESS_BITS | (uintptr_t)w >> WORK_ALIGN_LOG2;
}

/* What a walk remembers is about one thread of one process image. */
static void work_forget(struct unwind_scratch *scratch)
{
	scratch->last_valid = false;
	__builtin_memset(&scratch->stack, 0, sizeof(scratch->stack));
}

static void work_push(union work *w)
{
	uint64_t head = hs_load_acquire(&work_free);

	do
		w->next = work_of(head);
	while (!hs_cas_acq_rel(&work_free, &head, work_head(head >> WORK_ADDRESS_BITS, w)));
}

/* Areas are never unmapped, so that looking at ->next of a popped one is harmless. */
static union work *work_pop(void)
{
	uint64_t head = hs_load_acquire(&work_free);
	union work *w;

	do {
		w = work_of(head);
		if (!w)
			return NULL;
	} while (!hs_cas_acq_rel(
		&work_free, &head, work_head((head >> WORK_ADDRESS_BITS) + 1, w->next)));
	return w;
}

static HS_COLD union work *work_make(void)
{
	long at = rawsys(SYS_mmap, 0, WORK_CHUNK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union work *chunk = (union work *)at;
	unsigned i;

	if (at < 0 && at > -4096)
		return NULL;
	for (i = 1; i < WORK_CHUNK_BYTES / sizeof(union work); i++)
		work_push(&chunk[i]);
	process_memory_add(WORK_CHUNK_BYTES);
	return chunk;
}

HS_SAMPLED struct unwind_scratch *thread_state_work(void)
{
	union work *w;

	if (hs_thread.work)
		return hs_thread.work;
	w = work_pop();
	if (!w && !hs_load_relaxed(&process_seccomp))
		w = work_make();
	if (!w)
		return NULL;
	w->next = NULL;
	work_forget(&w->scratch);
	hs_thread.work = &w->scratch;
	return hs_thread.work;
}

void thread_state_give_work_back(void)
{
	struct thread_state *t = &hs_thread;
	union work *w = (union work *)t->work;

	if (!w)
		return;
	t->work = NULL;
	/* A handler that never comes back must not leave the area to two threads. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	work_push(w);
}

static struct state_thread *slot_at(const struct state_header *state, uint32_t index)
{
	return state_map_entry(state, STATE_CHUNK_THREADS, index, sizeof(struct state_thread));
}

/* Index + 1 of a slot to own, 0 when there is none. */
static uint32_t slot_claim(struct state_header *state)
{
	uint64_t head = hs_load_acquire(&state->thread_free);
	uint32_t index;

	while ((uint32_t)head) {
		struct state_thread *slot = slot_at(state, (uint32_t)head - 1);
		uint32_t claimed = (uint32_t)head;

		if (!slot)
			break;
		if (hs_cas_acq_rel(&state->thread_free, &head,
			    ((head >> 32) + 1) << 32 | hs_load_relaxed(&slot->next_free)))
			return claimed;
	}
	index = hs_load_relaxed(&state->n_thread_slots);
	do {
		if (!state_map_make_entry(
			    state, STATE_CHUNK_THREADS, index, sizeof(struct state_thread)))
			return 0;
	} while (!hs_cas_relaxed(&state->n_thread_slots, &index, index + 1));
	return index + 1;
}

static void slot_release(struct state_header *state, uint32_t slot_plus_1)
{
	struct state_thread *slot = slot_at(state, slot_plus_1 - 1);
	uint64_t head = hs_load_acquire(&state->thread_free);

	if (!slot)
		return;
	hs_store_release(&slot->countdown, 0);
	do
		hs_store_relaxed(&slot->next_free, (uint32_t)head);
	while (!hs_cas_acq_rel(&state->thread_free, &head, ((head >> 32) + 1) << 32 | slot_plus_1));
}

HS_SAMPLED void thread_state_settle(struct state_header *state, uint64_t gap_bytes)
{
	struct thread_state *t = &hs_thread;

	if (!(t->flags & THREAD_IDLE))
		hs_add_relaxed(&state->bytes_seen, t->gap - t->left);
	t->flags &= ~THREAD_IDLE;
	t->gap = gap_bytes;
	t->left = gap_bytes;
}

void thread_state_finish(struct state_header *state)
{
	struct thread_state *t = &hs_thread;

	if (t->generation != hs_load_relaxed(&process_generation))
		return;
	thread_state_settle(state, 0);
	if (t->slot)
		slot_release(state, t->slot);
	t->slot = 0;
}

static void (*leader_ends)(void);

/* Destructor of exit_key. */
static void thread_exits(void *value)
{
	struct thread_state *t = &hs_thread;
	struct state_header *state = process_state();
	uint8_t guard;

	if (hs_load_relaxed(&process_page.leader) == (uintptr_t)t) {
		/* A later thread may get the same place. */
		hs_store_relaxed(&process_page.leader, 0);
		if (!hs_load_relaxed(&process_seccomp))
			leader_ends();
	}
	if (!state || t->generation != hs_load_relaxed(&process_generation) || t->inside)
		return;
	guard = thread_state_enter();
	t->flags |= THREAD_EXITING;
	thread_state_finish(state);
	thread_state_work_done();
	thread_state_leave(guard);
}

void thread_state_init(void (*on_leader_end)(void))
{
	leader_ends = on_leader_end;
	if (!exit_key_valid)
		exit_key_valid = !pthread_key_create(&exit_key, thread_exits);
}

static void watch_end(void)
{
	if (exit_key_valid && !(hs_thread.flags & THREAD_EXITING))
		pthread_setspecific(exit_key, (void *)1);
}

void thread_state_is_leader(void)
{
	uintptr_t none = 0;

	if (hs_cas_relaxed(&process_page.leader, &none, (uintptr_t)&hs_thread))
		watch_end();
}

void thread_state_adopt(struct state_header *state, uint32_t generation, uint64_t now_ns)
{
	struct thread_state *t = &hs_thread;
	struct state_thread *slot;

	sample_rng_seed(&t->rng, state->start_id ^ now_ns ^ (uint64_t)(uintptr_t)t << 16);
	t->flags &= THREAD_EXITING;
	thread_state_renamed(true);
	t->gap = 0;
	t->left = 0;
	if (t->work)
		work_forget(t->work);
	t->generation = generation;
	t->slot = t->flags & THREAD_EXITING ? 0 : slot_claim(state);
	slot = t->slot ? slot_at(state, t->slot - 1) : NULL;
	if (slot)
		hs_store_release(&slot->countdown, (uint64_t)(uintptr_t)t);
	else if (!(t->flags & THREAD_EXITING)) {
		state_count_loss(state, HEAPSPY_LOSS_THREAD_SLOTS);
		__atomic_fetch_or(&state->flags, HEAPSPY_INFO_BYTES_LOWER, __ATOMIC_RELAXED);
	}
	watch_end();
}

void thread_state_forked(uint64_t interval_bytes)
{
	struct thread_state *t = &hs_thread;

	if (!t->generation || t->flags & (THREAD_IDLE | THREAD_EXITING) || t->inside)
		return;
	sample_rng_seed(&t->rng, sample_rng_next(&t->rng) ^ clock_ns(CLOCK_MONOTONIC));
	t->gap_level = 0;
	t->gap = sample_gap_bytes(sample_rng_next(&t->rng), interval_bytes);
	t->left = t->gap;
	t->flags |= THREAD_FORKED;
}

bool thread_state_adopt_at_end_of_gap(
	struct state_header *state, uint32_t generation, uint64_t now_ns)
{
	struct thread_state *t = &hs_thread;
	/* Of a coarser interval it would be too long. */
	bool is_of_fork = state->flags & HEAPSPY_INFO_FORK_CHILD && t->generation &&
			  !(t->flags & (THREAD_IDLE | THREAD_EXITING)) && !t->gap_level;
	uint64_t gap = t->gap, left = t->left;

	/* How much of a gap that a bare clone inherited is the child's own nobody knows. */
	if (!is_of_fork || !(t->flags & THREAD_FORKED))
		gap = left = 0;
	thread_state_adopt(state, generation, now_ns);
	t->gap = gap;
	t->left = left;
	return is_of_fork;
}

/* Starts at 1: a thread's first look is due. */
uint16_t thread_state_names_changed = 1;

void thread_state_renamed(bool is_caller)
{
	if (is_caller)
		hs_thread.name_seen = hs_load_relaxed(&thread_state_names_changed) - 1;
	else
		hs_add_relaxed(&thread_state_names_changed, 1);
}

/* The id, below limit, of a name that is not empty; 0 when there is no room for it. */
static uint16_t name_intern(struct state_header *state, const uint64_t name[2], uint32_t limit)
{
	uint32_t n = hs_load_acquire(&state->n_names), i;

	for (i = 1; i < limit; i++) {
		uint64_t unused = 0, *entry;

		if (i >= n && !state_map_make_entry(state, STATE_CHUNK_NAMES, i, STATE_NAME_BYTES))
			return 0;
		entry = state_map_entry(state, STATE_CHUNK_NAMES, i, STATE_NAME_BYTES);
		if (!entry)
			return 0;
		/* Claimed by its first word, if the entry is a free one. */
		if (i >= n && hs_cas_acq_rel(&entry[0], &unused, name[0]))
			hs_store_relaxed(&entry[1], name[1]);
		else if (hs_load_relaxed(&entry[0]) != name[0] ||
			 hs_load_relaxed(&entry[1]) != name[1])
			continue;
		while (n <= i && !hs_cas_acq_rel(&state->n_names, &n, i + 1))
			;
		return (uint16_t)i;
	}
	return 0;
}

uint16_t thread_state_name_id(struct state_header *state)
{
	uint64_t name[2] = { 0 }, others[2] = { 0 };
	uint16_t id;

	hs_thread.name_seen = hs_load_relaxed(&thread_state_names_changed);
	if (hs_load_relaxed(&process_seccomp) || rawsys(SYS_prctl, PR_GET_NAME, name) < 0 ||
		!name[0])
		return 0;
	id = name_intern(state, name, NAMES_MAX - 1);
	if (id)
		return id;
	__builtin_memcpy(others, OTHER_NAMES, sizeof(OTHER_NAMES));
	return name_intern(state, others, NAMES_MAX);
}
