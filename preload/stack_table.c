/*
 * stack_table.c - owns the index of interned stacks and their records. The
 * counters in a record belong to site_stats.c.
 */
#include <stdbool.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"

#define PROBE_MAX 64

/*
 * Whole stacks stop at five eighths of the cap: thinning gives no stack memory
 * back, so they must not take the room of live samples.
 */
#define KEEP_FROM_STACKS(state) ((state)->max_bytes / 8 * 3)

/* Both halves of the product of two words, folded: wyhash's mixing step (Wang Yi, 2019). */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Stripes of eight words, the last of which may overlap the one before. n >= 8. */
static inline uint32_t next_stripe(uint32_t i, uint32_t n)
{
	return i + 16 <= n ? i + 8 : n - 8;
}

/*
 * Four chains that do not wait for each other, of two words a step: most of the time
 * of a hash is that of multiplications that follow one another.
 */
static uint64_t hash_stack(const uint64_t *frames, uint32_t n, uint32_t flags)
{
	const uint64_t k = 0x9E3779B97F4A7C15ull;
	uint64_t a = 0x27D4EB2F165667C5ull ^ flags, b = 0xC2B2AE3D27D4EB4Full ^ n;
	uint64_t c = 0x165667B19E3779F9ull, d = 0x85EBCA77C2B2AE63ull;
	uint32_t i;

	if (n < 8) {
		for (i = 0; i < n; i++)
			a = fold(frames[i] ^ a, k);
		return fold(a, b);
	}
	for (i = 0;; i = next_stripe(i, n)) {
		const uint64_t *f = frames + i;

		a = fold(f[0] ^ a, f[1] ^ k);
		b = fold(f[2] ^ b, f[3] ^ k);
		c = fold(f[4] ^ c, f[5] ^ k);
		d = fold(f[6] ^ d, f[7] ^ k);
		if (i + 8 == n)
			break;
	}
	return fold(fold(a, b ^ k), fold(c, d ^ k) ^ k);
}

static bool same_stack(const struct state_header *state, uint32_t id, uint64_t hash,
	const uint64_t *frames, uint32_t n, uint32_t flags, uint32_t approx_from)
{
	const struct state_stack *s = state_at(state, (uint64_t)id * STATE_ALIGN);
	uint64_t difference = 0;
	uint32_t i;

	if (!state_has_record(
		    state, (uint64_t)id * STATE_ALIGN, sizeof(*s) + n * sizeof(uint64_t)) ||
		s->hash != hash || s->n_frames != n || s->flags != flags ||
		s->approx_from != approx_from)
		return false;
	/* To the end, for there nearly always is none; in the steps of hash_stack(). */
	if (n < 8) {
		for (i = 0; i < n; i++)
			difference |= s->frame[i] ^ frames[i];
		return !difference;
	}
	for (i = 0;; i = next_stripe(i, n)) {
		const uint64_t *f = frames + i, *g = s->frame + i;

		difference |= (f[0] ^ g[0]) | (f[1] ^ g[1]) | (f[2] ^ g[2]) | (f[3] ^ g[3]);
		difference |= (f[4] ^ g[4]) | (f[5] ^ g[5]) | (f[6] ^ g[6]) | (f[7] ^ g[7]);
		if (i + 8 == n)
			return !difference;
	}
}

/* A record nobody can find yet; 0 when the state is full. */
static uint32_t make_record(struct state_header *state, uint64_t hash, const uint64_t *frames,
	uint32_t n, uint32_t flags, uint32_t approx_from, uint64_t keep_bytes)
{
	uint64_t offset = state_map_alloc(
		state, sizeof(struct state_stack) + n * sizeof(uint64_t), keep_bytes);
	struct state_stack *s = state_at(state, offset);
	uint32_t i;

	if (!offset || offset / STATE_ALIGN > UINT32_MAX)
		return 0;
	s->hash = hash;
	s->n_frames = n;
	s->flags = flags;
	s->approx_from = approx_from;
	for (i = 0; i < n; i++)
		s->frame[i] = frames[i];
	return (uint32_t)(offset / STATE_ALIGN);
}

#define KEEP_FROM_FOLDED(state) ((state)->max_bytes / 4)

struct index_table {
	uint64_t *slots;
	uint64_t n_slots; /* power of two */
};

/* The next older index table below directory entry *ip; false at the end. */
static bool next_table(uint32_t *ip, struct index_table *t)
{
	const struct state_table *table = state_table_before(STATE_CHUNK_INDEX, ip);

	if (!table)
		return false;
	t->slots = table->at;
	t->n_slots = table->bytes / sizeof(uint64_t);
	return true;
}

/* Id of the stack in one table; 0: not there. */
static uint32_t find_in(const struct state_header *state, struct index_table t, uint64_t hash,
	const uint64_t *frames, uint32_t n, uint32_t flags, uint32_t approx_from)
{
	uint64_t at = hash;
	unsigned probe;

	for (probe = 0; probe < PROBE_MAX; probe++, at++) {
		uint64_t slot = hs_load_acquire(&t.slots[at & (t.n_slots - 1)]); /* put_in() */
		uint32_t id = (uint32_t)slot;

		if (!slot)
			return 0;
		if (slot >> 32 == hash >> 32 &&
			same_stack(state, id, hash, frames, n, flags, approx_from))
			return id;
	}
	return 0;
}

static bool put_in(struct index_table t, uint64_t hash, uint32_t id)
{
	uint64_t at = hash;
	unsigned probe;

	for (probe = 0; probe < PROBE_MAX; probe++, at++) {
		uint64_t *slot = &t.slots[at & (t.n_slots - 1)], empty = 0;

		/* Publishes the record: pairs with find_in() and readers outside. */
		if (!hs_load_relaxed(slot) && hs_cas_acq_rel(slot, &empty, (hash >> 32 << 32) | id))
			return true;
	}
	return false;
}

static uint64_t count_slots(const struct state_header *state)
{
	uint32_t i = state_tables_end(state);
	struct index_table t;
	uint64_t n = 0;

	while (next_table(&i, &t))
		n += t.n_slots;
	return n;
}

static HS_COLD bool grow_index(struct state_header *state)
{
	uint32_t i = state_tables_end(state);
	struct index_table t;

	return next_table(&i, &t) &&
	       state_map_grow(state, STATE_CHUNK_INDEX, t.n_slots * 2 * sizeof(uint64_t),
		       KEEP_FROM_STACKS(state), NULL);
}

/* In the youngest table that has a slot near the place. */
static bool put_in_any(struct state_header *state, uint64_t hash, uint32_t id)
{
	uint32_t i = state_tables_end(state);
	struct index_table t;

	while (next_table(&i, &t))
		if (put_in(t, hash, id))
			return true;
	return false;
}

/* Makes id findable. All tables together stay 3/4 full; one may be full around a place before. */
static bool publish(struct state_header *state, uint64_t hash, uint32_t id)
{
	if (hs_load_relaxed(&state->n_stacks) >= count_slots(state) / 4 * 3)
		grow_index(state);
	if (!put_in_any(state, hash, id) && !(grow_index(state) && put_in_any(state, hash, id)))
		return false;
	hs_add_relaxed(&state->n_stacks, 1);
	return true;
}

static uint32_t intern(struct state_header *state, const uint64_t *frames, uint32_t n,
	uint32_t flags, uint32_t approx_from, uint64_t keep_bytes)
{
	uint64_t hash = hash_stack(frames, n, flags);
	uint32_t i = state_tables_end(state), id;
	struct index_table t;

	while (next_table(&i, &t)) {
		id = find_in(state, t, hash, frames, n, flags, approx_from);
		if (id)
			return id;
	}
	id = make_record(state, hash, frames, n, flags, approx_from, keep_bytes);
	return id && publish(state, hash, id) ? id : 0;
}

HS_SAMPLED uint32_t stack_table_intern(struct state_header *state, const uint64_t *frames,
	uint32_t n_frames, uint32_t flags, uint32_t approx_from)
{
	uint32_t id = intern(state, frames, n_frames, flags, approx_from, KEEP_FROM_STACKS(state));

	if (HS_LIKELY(id))
		return id;
	state_count_loss(state, HEAPSPY_LOSS_FOLDED);
	flags = HEAPSPY_STACK_FOLDED;
	if (n_frames > STACK_TABLE_FOLDED_FRAMES)
		id = intern(state, frames, STACK_TABLE_FOLDED_FRAMES, flags, 0,
			KEEP_FROM_FOLDED(state));
	if (!id && n_frames > 1)
		id = intern(state, frames, 1, flags, 0, 0);
	return id ? id : intern(state, frames, 0, flags, 0, 0);
}

void stack_table_reserve_last(struct state_header *state)
{
	intern(state, NULL, 0, HEAPSPY_STACK_FOLDED, 0, 0);
}
