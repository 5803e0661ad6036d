/*
 * live_table.c - owns the tables of live samples inside the state. When a
 * sample is made or dies, and what it weighs, is the recorder's business.
 */
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/filter.h"
#include "preload/live_table.h"
#include "preload/state/state_map.h"

/* Buckets a probe looks at, at most: 16 * 8 slots. */
#define PROBE_MAX 16

/* Buckets thinned in one go. */
#define THIN_BUCKETS 64

/* Segments appended for one insert, at most: each finds new ones half as full. */
#define GROWTHS_MAX 4

#define BUCKET_BYTES_LOG2 8

_Static_assert(sizeof(struct state_live_bucket) == 1 << BUCKET_BYTES_LOG2, "it is a shift");

/* Of the buckets from the segment: the marks of overflow lie before them. */
static inline uint64_t buckets_offset(uint64_t n_buckets)
{
	return (sizeof(struct state_live_segment) + n_buckets + 63) / 64 * 64;
}

uint64_t live_table_segment_bytes(uint64_t n_buckets)
{
	return buckets_offset(n_buckets) + n_buckets * sizeof(struct state_live_bucket);
}

/* How many there are in a segment: live_table_segment_bytes() the other way round. */
static inline uint64_t buckets_in(uint32_t bytes_log2)
{
	return 1ull << (bytes_log2 - BUCKET_BYTES_LOG2);
}

void live_table_segment_init(void *segment, uint64_t bytes)
{
	struct state_live_segment *s = segment;

	s->n_buckets = buckets_in(63u - (uint32_t)__builtin_clzll(bytes));
	s->buckets = buckets_offset(s->n_buckets);
}

/*
 * One segment, and where its parts are: by its size, not by what is in it, for the program may have
 * written over that.
 */
struct segment {
	struct state_live_segment *head;
	struct state_live_bucket *buckets;
	uint64_t n_buckets;
};

/* The youngest segment below directory entry *ip; false at the end. */
static inline bool segment_before(uint32_t *ip, struct segment *s)
{
	const struct state_table *t = state_table_before(STATE_CHUNK_LIVE, ip);

	if (!t)
		return false;
	s->head = t->at;
	s->n_buckets = buckets_in(t->bytes_log2);
	s->buckets = (void *)((char *)s->head + buckets_offset(s->n_buckets));
	return true;
}

/* Fibonacci hashing of the filter index: neighbours spread, aliases stay together. */
static uint64_t home_bucket(const struct segment *s, uint32_t index)
{
	return ((uint64_t)index * 0x9E3779B97F4A7C15ull >> 32) & (s->n_buckets - 1);
}

/*
 * Into a slot that nobody else may write. A reader that is at it (snapshot_writer.c) looks at the
 * key again when it has seen a new word, and at birth_level last: that is written last.
 */
static inline void put_value(struct state_live_value *to, const struct state_live_value *from)
{
	hs_store_release(&to->size_thread, from->size_thread);
	hs_store_release(&to->stack, from->stack);
	hs_store_release(&to->u, from->u);
	hs_store_release(&to->birth_level, from->birth_level);
}

static bool insert_into(
	const struct segment *s, uint64_t address, const struct state_live_value *value)
{
	uint64_t b = home_bucket(s, filter_index((void *)address));
	unsigned probe, i;

	for (probe = 0; probe < PROBE_MAX; probe++, b = (b + 1) & (s->n_buckets - 1)) {
		struct state_live_bucket *bucket = &s->buckets[b];

		for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
			uint64_t key = hs_load_relaxed(&bucket->key[i]);

			/* With the address from the start: see filter.h, why that is right. */
			if (key || !hs_cas_acq_rel(
					   &bucket->key[i], &key, address | STATE_KEY_RESERVED))
				continue;
			put_value(&bucket->value[i], value);
			filter_add((void *)address);
			/* Pairs with the acquires of remove, thin and readers. */
			hs_store_release(&bucket->key[i], address);
			hs_add_relaxed(&s->head->count, 1);
			return true;
		}
		hs_store_relaxed(&s->head->overflow[b], 1);
		hs_fence_seq_cst(); /* the mark before a key further on can be found */
	}
	return false;
}

static bool has_room(const struct segment *s)
{
	/* Relaxed: a little more or less than 75 % does no harm. */
	return hs_load_relaxed(&s->head->count) < s->n_buckets * (STATE_BUCKET_SLOTS / 4 * 3);
}

static HS_COLD bool grow(struct state_header *state)
{
	uint32_t i = state_tables_end(state);
	struct segment youngest;

	return segment_before(&i, &youngest) &&
	       state_map_grow(state, STATE_CHUNK_LIVE,
		       live_table_segment_bytes(youngest.n_buckets * 2), state->max_bytes / 16,
		       live_table_segment_init);
}

HS_SAMPLED enum live_insert live_table_insert(
	struct state_header *state, uint64_t address, const struct state_live_value *value)
{
	unsigned attempt;

	for (attempt = 0; attempt < GROWTHS_MAX; attempt++) {
		uint32_t i = state_tables_end(state);
		struct segment s;

		while (segment_before(&i, &s))
			if (has_room(&s) && insert_into(&s, address, value))
				return LIVE_INSERTED;
		if (!grow(state))
			return LIVE_FULL;
	}
	return LIVE_FULL;
}

/*
 * Removal of a key seen in a slot. Returns true with the value when the caller
 * now owns the death; false when the key went away or thinning took it over.
 */
static bool claim_and_clear(const struct segment *s, struct state_live_bucket *bucket,
	unsigned slot, uint64_t address, struct state_live_value *valuep, bool *foundp)
{
	uint64_t key = address;

	*foundp = true;
	if (hs_cas_acq_rel(&bucket->key[slot], &key, address | STATE_KEY_BUSY)) {
		*valuep = bucket->value[slot];
		hs_store_release(&bucket->key[slot], 0);
		hs_sub_relaxed(&s->head->count, 1);
		return true;
	}
	/* Only thinning can have it: nobody else may free this block. */
	if (key == (address | STATE_KEY_BUSY) &&
		hs_cas_acq_rel(&bucket->key[slot], &key, key | STATE_KEY_DEAD))
		return false;
	if (key == address) { /* thinning has just let go */
		*foundp = false;
		return false;
	}
	*foundp = key == (address | STATE_KEY_BUSY);
	return false;
}

static bool remove_from(
	const struct segment *s, uint64_t address, struct state_live_value *valuep, bool *foundp)
{
	uint64_t b = home_bucket(s, filter_index((void *)address));
	unsigned probe, i, again;

	for (probe = 0; probe < PROBE_MAX; probe++, b = (b + 1) & (s->n_buckets - 1)) {
		struct state_live_bucket *bucket = &s->buckets[b];

		for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
			uint64_t key = hs_load_acquire(&bucket->key[i]);

			for (again = 0; again < 8 && STATE_KEY_ADDRESS(key) == address; again++) {
				if (claim_and_clear(s, bucket, i, address, valuep, foundp))
					return true;
				if (*foundp)
					return false;
				key = hs_load_acquire(&bucket->key[i]);
			}
		}
		if (!hs_load_acquire(&s->head->overflow[b]))
			break;
	}
	*foundp = false;
	return false;
}

HS_SAMPLED bool live_table_remove(
	struct state_header *state, uint64_t address, struct state_live_value *valuep)
{
	uint32_t i = state_tables_end(state);
	struct segment s;
	bool found = false;

	while (!found && segment_before(&i, &s)) {
		if (!remove_from(&s, address, valuep, &found))
			continue;
		/* With every block sampled the bits would only flicker. */
		if (state_interval_bytes(state) > 1)
			filter_remove(state, (void *)address, live_table_has_index);
		return true;
	}
	if (HS_UNLIKELY(state->interval_bytes == 1) && !found && state_interval_bytes(state) > 1)
		filter_clear_left_behind(state, (void *)address, live_table_has_index);
	return false;
}

HS_SAMPLED bool live_table_has_index(struct state_header *state, uint32_t index)
{
	uint32_t c = state_tables_end(state);
	struct segment s;

	while (segment_before(&c, &s)) {
		uint64_t b = home_bucket(&s, index);
		unsigned probe, i;

		for (probe = 0; probe < PROBE_MAX; probe++, b = (b + 1) & (s.n_buckets - 1)) {
			struct state_live_bucket *bucket = &s.buckets[b];

			for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
				uint64_t key = hs_load_acquire(&bucket->key[i]);

				if (STATE_KEY_ADDRESS(key) &&
					filter_index((void *)STATE_KEY_ADDRESS(key)) == index)
					return true;
			}
			if (!hs_load_acquire(&s.head->overflow[b]))
				break;
		}
	}
	return false;
}

static void thin_slot(struct state_header *state, const struct segment *s, uint64_t *keyp,
	struct state_live_value *value,
	bool (*visit)(struct state_header *state, struct state_live_value *value),
	void (*died)(struct state_header *state, const struct state_live_value *value))
{
	uint64_t key = hs_load_acquire(keyp), busy = key | STATE_KEY_BUSY;
	uint64_t address = STATE_KEY_ADDRESS(key);
	bool stays;

	if (!key || key != address || !hs_cas_acq_rel(keyp, &key, busy))
		return;
	stays = visit(state, value);
	if (hs_cas_acq_rel(keyp, &busy, stays ? address : 0)) {
		if (stays)
			return;
	} else {
		/* Freed under us; or this is a child forked by a handler, and the slot its
		 * parent's. */
		if (busy != (address | STATE_KEY_BUSY | STATE_KEY_DEAD))
			return;
		if (stays)
			died(state, value);
		hs_store_release(keyp, 0);
	}
	hs_sub_relaxed(&s->head->count, 1);
	filter_remove(state, (void *)address, live_table_has_index);
}

struct live_position live_table_begin(const struct state_header *state)
{
	return (struct live_position){ state_tables_end(state), 0 };
}

bool live_table_thin(struct state_header *state, struct live_position *at,
	bool (*visit)(struct state_header *state, struct state_live_value *value),
	void (*died)(struct state_header *state, const struct state_live_value *value))
{
	uint32_t c = at->chunk;
	struct segment s;
	uint64_t end;
	unsigned i;

	if (!segment_before(&c, &s))
		return false;
	end = at->bucket + THIN_BUCKETS < s.n_buckets ? at->bucket + THIN_BUCKETS : s.n_buckets;
	for (; at->bucket < end; at->bucket++) {
		struct state_live_bucket *bucket = &s.buckets[at->bucket];

		for (i = 0; i < STATE_BUCKET_SLOTS; i++)
			thin_slot(state, &s, &bucket->key[i], &bucket->value[i], visit, died);
	}
	if (end == s.n_buckets)
		*at = (struct live_position){ c, 0 };
	return true;
}

void live_table_survey(struct state_header *state, uint64_t n_buckets,
	void (*look)(void *context, uint64_t size), void *context)
{
	uint32_t c = state_tables_end(state);
	struct segment s;
	uint64_t total = 0, b;
	unsigned i;

	while (segment_before(&c, &s))
		total += s.n_buckets;
	c = state_tables_end(state);
	while (segment_before(&c, &s))
		for (b = 0; b < s.n_buckets; b += total / n_buckets + 1)
			for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
				struct state_live_bucket *bucket = &s.buckets[b];
				uint64_t key = hs_load_acquire(&bucket->key[i]);

				/* Whose slot changes hands: one sample's size or the other's. */
				if (key && key == STATE_KEY_ADDRESS(key))
					look(context,
						hs_load_relaxed(&bucket->value[i].size_thread) &
							0xffffffffffffull);
			}
}
