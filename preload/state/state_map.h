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
#include "preload/compiler.h"
#include "state.h"

/*
 * Maps a new, empty state.
 *
 * path: of the file to create (O_EXCL, 0600), which must lie on tmpfs; NULL for
 *       private memory. max_bytes: cap; lowered to RLIMIT_FSIZE where needed.
 * errorp: why not, as -errno; -EMEDIUMTYPE: path is not on tmpfs, -ENOSPC: that is full,
 *         -ECANCELED: this is a child of the process that called, see state_map_set_owner().
 * Returns the state with magic still 0, header and first step committed, or
 * NULL. Keeps no descriptor. Raw system calls only.
 */
struct state_header *state_map_create(const char *path, uint64_t max_bytes, int *errorp);

/*
 * Memory for a record: zeroed, aligned to STATE_ALIGN. Returns its offset, 0
 * when the state is full. keep_bytes of the cap are left untouched, for more
 * needy callers. Lock-free; a growth step costs two system calls. One that fails leaves its reason
 * in grow_errno.
 */
uint64_t state_map_alloc(struct state_header *state, uint64_t bytes, uint64_t keep_bytes);

/*
 * Lowers the cap to max_bytes, or to what there is already, and gives the address space behind it
 * back. False: it was no higher, or a thread was growing the state. Not for a hook of malloc.
 */
bool state_map_lower_cap(struct state_header *state, uint64_t max_bytes);

/* No growth while frozen: system calls may be fatal (seccomp). */
void state_map_freeze(bool is_frozen);

/*
 * From now on only states grow that is_ours() calls this process's: what a forked child makes
 * accessible of its parent's state, the parent cannot reach. NULL, or a state without magic: one
 * that is being made. Inherited by forks.
 */
void state_map_set_owner(bool (*is_ours)(const struct state_header *state));

/*
 * From now on look() is called before a state grows that nobody has looked at its memory group for
 * (room.ns is 0); it may set room, or find that it is no moment to look.
 */
void state_map_set_first_look(void (*look)(struct state_header *state));

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

/*
 * What a process knows of its own state without asking it. Whoever may write to the file, and every
 * wild store of the program, can change what a state says of itself; so the process looks here for
 * where its memory ends. Of other states (copies, at the desk) the header is all there is, and has
 * been checked.
 */
struct state_table {
	uint32_t kind;       /* 0 until the rest is right */
	uint32_t bytes_log2; /* rounded down */
	void *at;
	uint64_t bytes;
	uint64_t reserved; /* a table is found by a shift */
};

struct state_map_own {
	const struct state_header *state;
	uint64_t backed_bytes; /* there is memory behind so much of it */
	uint64_t mapped_bytes;
	uint64_t before_bytes; /* mapped_bytes of the state that was the own one before */
	uint32_t n_tables;
	struct state_table table[STATE_CHUNKS_MAX]; /* each lies in the state */
};

extern struct state_map_own state_map_own __attribute__((visibility("hidden")));

/* There is memory behind at least so many bytes of the state. */
static inline uint64_t state_backed_bytes(const struct state_header *state)
{
	return hs_load_acquire(state == state_map_own.state ? &state_map_own.backed_bytes
							    : &state->committed_bytes);
}

/* Whether a record lies in the memory of the state, behind its header. */
static inline bool state_holds(const struct state_header *state, uint64_t offset, uint64_t bytes)
{
	uint64_t backed_bytes = state_backed_bytes(state);

	return offset >= sizeof(*state) && offset <= backed_bytes && bytes <= backed_bytes - offset;
}

/*
 * The same for the process's own state, cheaper; any other has none. bytes: some kilobytes at most,
 * which with the header are less than a state begins with.
 */
static inline bool state_has_record(
	const struct state_header *state, uint64_t offset, uint64_t bytes)
{
	/* An offset within the header wraps. */
	return HS_LIKELY(state == state_map_own.state &&
			 offset - sizeof(*state) <= hs_load_acquire(&state_map_own.backed_bytes) -
							    sizeof(*state) - bytes);
}

static inline void *state_at(const struct state_header *state, uint64_t offset)
{
	return (char *)state + offset;
}

static inline uint32_t state_n_chunks(const struct state_header *state)
{
	uint32_t n = hs_load_acquire(&state->n_chunks);

	return n < STATE_CHUNKS_MAX ? n : STATE_CHUNKS_MAX;
}

/* Where a walk over the tables of the process's own state begins; any other has none. */
static inline uint32_t state_tables_end(const struct state_header *state)
{
	return HS_LIKELY(state == state_map_own.state) ? hs_load_acquire(&state_map_own.n_tables)
						       : 0;
}

/*
 * The youngest table of a kind in the process's own state with an index below *ip, which becomes
 * its index; NULL: there is none. state_tables_end() is where to begin.
 */
static inline const struct state_table *state_table_before(enum state_chunk_kind kind, uint32_t *ip)
{
	while (*ip) {
		const struct state_table *t = &state_map_own.table[--*ip];

		if (hs_load_acquire(&t->kind) == kind) /* state_map_add_chunk() */
			return t;
	}
	return NULL;
}

static inline void *state_chunk_before(
	const struct state_header *state, enum state_chunk_kind kind, uint32_t *ip)
{
	const struct state_table *t =
		state == state_map_own.state ? state_table_before(kind, ip) : NULL;

	return t ? t->at : NULL;
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
