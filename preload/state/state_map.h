/*
 * state_map.h - making the state: its mapping, its growth, its allocator, and
 * the walk over its tables that both the process and outside readers use.
 */
#ifndef HEAPSPY_STATE_MAP_H
#define HEAPSPY_STATE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "state.h"

/*
 * Maps a new, empty state.
 *
 * path: of the file to create (O_EXCL, 0600), which must lie on tmpfs; NULL for
 *       private memory. max_bytes: cap; lowered to RLIMIT_FSIZE where needed.
 * errorp: why not, as -errno.
 * Returns the state with magic still 0, header and first step committed, or
 * NULL. Keeps no descriptor. Raw system calls only.
 */
struct state_header *state_map_create(const char *path, uint64_t max_bytes, int *errorp);

/*
 * Memory for a record: zeroed, aligned to STATE_ALIGN. Returns its offset, 0
 * when the state is full. keep_bytes of the cap are left untouched, for more
 * needy callers. Lock-free; a growth step costs two system calls.
 */
uint64_t state_map_alloc(struct state_header *state, uint64_t bytes, uint64_t keep_bytes);

/* No growth while frozen: system calls may be fatal (seccomp). */
void state_map_freeze(bool is_frozen);

/*
 * From now on only states grow that is_ours() calls this process's: what a forked child makes
 * accessible of its parent's state, the parent cannot reach. Inherited by forks.
 */
void state_map_set_owner(bool (*is_ours)(const struct state_header *state));

/*
 * Appends a table of bytes (zeroed) to the directory. Returns its offset, 0 when
 * there is no room. Lock-free; but tables whose entries are numbered through
 * (state_map_entry()) must be appended under grow_lock, or two of them could
 * appear in the wrong order.
 * init: fills the table before anybody can find it; may be NULL.
 */
uint64_t state_map_add_chunk(struct state_header *state, enum state_chunk_kind kind, uint64_t bytes,
	uint64_t keep_bytes, void (*init)(void *table, uint64_t bytes));

/*
 * The same for a table that has become too full. One thread appends, the others
 * wait a moment for it, at most some ten microseconds; if it does not run, they
 * append one of their own. Returns false when there is no room.
 */
bool state_map_grow(struct state_header *state, enum state_chunk_kind kind, uint64_t bytes,
	uint64_t keep_bytes, void (*init)(void *table, uint64_t bytes));

static inline void *state_at(const struct state_header *state, uint64_t offset)
{
	return (char *)state + offset;
}

static inline uint32_t state_n_chunks(const struct state_header *state)
{
	uint32_t n = hs_load_acquire(&state->n_chunks);

	return n < STATE_CHUNKS_MAX ? n : STATE_CHUNKS_MAX;
}

/* The youngest table of a kind with directory index below *ip; sets *ip to its index. */
static inline void *state_chunk_before(
	const struct state_header *state, enum state_chunk_kind kind, uint32_t *ip)
{
	while (*ip) {
		const struct state_chunk *c = &state->chunk[--*ip];

		if (hs_load_acquire(&c->kind) == kind) /* state_map_add_chunk() */
			return state_at(state, c->offset);
	}
	return NULL;
}

/*
 * Entry number index of a table that grows by equal chunks of n_per_chunk
 * entries of entry_bytes; NULL beyond the end.
 */
void *state_map_entry(const struct state_header *state, enum state_chunk_kind kind, uint32_t index,
	uint32_t entry_bytes);

/* R in force, bytes. */
static inline uint64_t state_interval_bytes(const struct state_header *state)
{
	return state->interval_bytes << hs_load_relaxed(&state->level);
}

/* Bytes that the live samples stand for. */
static inline uint64_t state_live_bytes(const struct state_header *state)
{
	int64_t bytes = (int64_t)(hs_load_relaxed(&state->half.bytes[0]) +
				  hs_load_relaxed(&state->half.bytes[1]));

	return bytes > 0 ? (uint64_t)bytes : 0;
}

/*
 * Makes sure that entry number index exists: appends a chunk as large as all
 * before it together, under grow_lock, which it waits for some ten microseconds.
 * The kind has a chunk already, and index is at most one behind the last entry.
 */
bool state_map_make_entry(struct state_header *state, enum state_chunk_kind kind, uint32_t index,
	uint32_t entry_bytes);

static inline void state_count_loss(struct state_header *state, enum heapspy_loss what)
{
	/* Relaxed: a tally that nothing else depends on. */
	hs_add_relaxed(&state->losses[what], 1);
}

#endif
