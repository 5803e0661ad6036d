/*
 * state_map.c - owns the mapping of the state: creation, growth in steps that
 * fail cleanly, and the bump allocator. What lies inside is the business of
 * the tables.
 *
 * Growth. The whole cap is mapped at once without access, which costs address
 * space only (also under mlockall). A step makes the next pages accessible and
 * has the kernel back them (MADV_POPULATE_WRITE): a full tmpfs is an error of
 * that call, where a later store would be SIGBUS. Kernels before 5.14 do not
 * know the call; there the whole file is allocated at the start, with a smaller
 * cap, because no descriptor is kept for later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include "preload/compiler.h"
#include "preload/file_limit.h"
#include "preload/rawsys.h"
#include "preload/state/state_map.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE_ROUND           4096ull
#define FIRST_STEP_BYTES     (96u << 10)
#define STEP_BYTES_MIN       (64ull << 10)
#define STEP_BYTES_MAX       (1ull << 20)
#define OLD_KERNEL_MAX_BYTES (4ull << 20)
#define TMPFS_MAGIC          0x01021994
#define RAMFS_MAGIC          0x858458f6
#define HEADER_BYTES         8192
#define GROW_TRIES           1000

_Static_assert(sizeof(struct state_header) <= HEADER_BYTES, "the header has its room");

static uint32_t frozen;
static bool (*is_ours)(const struct state_header *state);

static bool failed(long ret)
{
	return ret < 0 && ret > -4096;
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* Makes [0, bytes) of the mapping usable; the kernel's word on failure. */
static long populate(void *base, uint64_t from, uint64_t to)
{
	long ret = rawsys(SYS_mprotect, (char *)base + from, to - from, PROT_READ | PROT_WRITE);

	if (!failed(ret))
		ret = rawsys(SYS_madvise, (char *)base + from, to - from, MADV_POPULATE_WRITE);
	return ret;
}

/* Opens the file of the state; its size is set, its memory is not yet there. */
static long open_file(const char *path, uint64_t max_bytes)
{
	struct statfs fs;
	long fd, ret;

	fd = rawsys(SYS_open, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (failed(fd))
		return fd;
	ret = rawsys(SYS_fstatfs, fd, &fs);
	if (!failed(ret) && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
		ret = -EINVAL; /* on a disk each page would be written back for ever */
	if (!failed(ret))
		ret = rawsys(SYS_fchmod, fd, 0600);
	if (!failed(ret))
		ret = rawsys(SYS_ftruncate, fd, max_bytes);
	if (!failed(ret))
		return fd;
	rawsys(SYS_close, fd);
	rawsys(SYS_unlink, path);
	return ret;
}

struct state_header *state_map_create(const char *path, uint64_t max_bytes, int *errorp)
{
	struct state_header *state;
	uint64_t committed = FIRST_STEP_BYTES;
	long fd = -1, base, ret;

	max_bytes = round_up(max_bytes, PAGE_ROUND);
	if (path) {
		if (max_bytes > file_limit_bytes())
			max_bytes = file_limit_bytes() / PAGE_ROUND * PAGE_ROUND;
		if (max_bytes < 2 * FIRST_STEP_BYTES) {
			*errorp = -EFBIG;
			return NULL;
		}
		fd = open_file(path, max_bytes);
		if (failed(fd)) {
			*errorp = (int)fd;
			return NULL;
		}
	}
	base = rawsys(SYS_mmap, 0, max_bytes, PROT_NONE,
		path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	ret = base;
	if (!failed(base)) {
		ret = populate((void *)base, 0, committed);
		if (ret == -EINVAL) { /* an old kernel */
			if (path && max_bytes > OLD_KERNEL_MAX_BYTES)
				max_bytes = OLD_KERNEL_MAX_BYTES;
			ret = path ? rawsys(SYS_fallocate, fd, 0, 0, max_bytes) : 0;
			if (!failed(ret))
				ret = rawsys(SYS_mprotect, base, max_bytes, PROT_READ | PROT_WRITE);
			committed = max_bytes;
		}
		/* Nobody's core dump grows by our tables, unasked. */
		rawsys(SYS_madvise, base, max_bytes, MADV_DONTDUMP);
		if (failed(ret))
			rawsys(SYS_munmap, base, max_bytes);
	}
	if (path)
		rawsys(SYS_close, fd);
	if (failed(ret)) {
		if (path)
			rawsys(SYS_unlink, path);
		*errorp = (int)ret;
		return NULL;
	}
	state = (struct state_header *)base;
	state->version = STATE_VERSION;
	state->header_bytes = HEADER_BYTES;
	state->max_bytes = max_bytes;
	state->committed_bytes = committed;
	state->used_bytes = HEADER_BYTES;
	return state;
}

void state_map_freeze(bool is_frozen)
{
	hs_store_relaxed(&frozen, is_frozen);
}

void state_map_set_owner(bool (*is_ours_)(const struct state_header *state))
{
	is_ours = is_ours_;
}

/*
 * Makes the state reach at least end. Idempotent, so that threads need no lock:
 * two that grow at once populate the same pages. So it does for the parent of a child that was
 * forked in here: both go on.
 */
static HS_COLD bool commit(struct state_header *state, uint64_t end)
{
	uint64_t committed = hs_load_acquire(&state->committed_bytes), step, target;

	if (end > state->max_bytes || hs_load_relaxed(&frozen) || (is_ours && !is_ours(state)))
		return false;
	step = committed / 2;
	step = step < STEP_BYTES_MIN   ? STEP_BYTES_MIN
	       : step > STEP_BYTES_MAX ? STEP_BYTES_MAX
				       : step;
	target = round_up(end > committed + step ? end : committed + step, PAGE_ROUND);
	if (target > state->max_bytes)
		target = state->max_bytes;
	if (failed(populate(state, committed / PAGE_ROUND * PAGE_ROUND, target)))
		return false;
	/* Released to state_map_alloc() of all threads, and to readers outside. */
	while (committed < target && !hs_cas_acq_rel(&state->committed_bytes, &committed, target))
		;
	return true;
}

uint64_t state_map_alloc(struct state_header *state, uint64_t bytes, uint64_t keep_bytes)
{
	/* Relaxed: the record is reached through whatever publishes its offset. */
	uint64_t offset = hs_load_relaxed(&state->used_bytes), end;

	bytes = round_up(bytes, STATE_ALIGN);
	do {
		end = offset + bytes;
		if (end + keep_bytes > state->max_bytes)
			return 0;
		if (end > hs_load_acquire(&state->committed_bytes) && !commit(state, end))
			return 0;
	} while (!hs_cas_relaxed(&state->used_bytes, &offset, end));
	return offset;
}

uint64_t state_map_add_chunk(struct state_header *state, enum state_chunk_kind kind, uint64_t bytes,
	uint64_t keep_bytes, void (*init)(void *table, uint64_t bytes))
{
	uint32_t n = state_n_chunks(state);
	struct state_chunk *chunk;
	uint64_t offset;

	if (n == STATE_CHUNKS_MAX)
		return 0;
	/* Tables are looked at by cache lines. */
	offset = state_map_alloc(state, bytes + 48, keep_bytes);
	if (!offset)
		return 0;
	offset = round_up(offset, 64);
	if (init)
		init(state_at(state, offset), bytes);
	do {
		if (n == STATE_CHUNKS_MAX)
			return 0;
	} while (!hs_cas_acq_rel(&state->n_chunks, &n, n + 1));
	chunk = &state->chunk[n];
	chunk->offset = offset;
	chunk->bytes = bytes;
	/* Pairs with the acquires of all that look for a kind. */
	hs_store_release(&chunk->kind, kind);
	return offset;
}

bool state_map_grow(struct state_header *state, enum state_chunk_kind kind, uint64_t bytes,
	uint64_t keep_bytes, void (*init)(void *table, uint64_t bytes))
{
	uint32_t at = state_n_chunks(state), unlocked = 0;
	void *youngest = state_chunk_before(state, kind, &at);
	unsigned tries;
	bool grown;

	if (hs_cas_acq_rel(&state->grow_lock, &unlocked, 1)) {
		at = state_n_chunks(state);
		grown = state_chunk_before(state, kind, &at) != youngest ||
			state_map_add_chunk(state, kind, bytes, keep_bytes, init);
		hs_store_release(&state->grow_lock, 0);
		return grown;
	}
	for (tries = 0; tries < GROW_TRIES; tries++) {
		at = state_n_chunks(state);
		if (state_chunk_before(state, kind, &at) != youngest)
			return true;
		__builtin_ia32_pause();
	}
	return state_map_add_chunk(state, kind, bytes, keep_bytes, init);
}

void *state_map_entry(const struct state_header *state, enum state_chunk_kind kind, uint32_t index,
	uint32_t entry_bytes)
{
	uint32_t i, n = state_n_chunks(state);

	for (i = 0; i < n; i++) {
		const struct state_chunk *c = &state->chunk[i];
		uint64_t entries;

		if (hs_load_acquire(&c->kind) != kind)
			continue;
		entries = c->bytes / entry_bytes;
		if (index < entries)
			return state_at(state, c->offset + (uint64_t)index * entry_bytes);
		index -= (uint32_t)entries;
	}
	return NULL;
}

bool state_map_make_entry(struct state_header *state, enum state_chunk_kind kind, uint32_t index,
	uint32_t entry_bytes)
{
	unsigned tries;

	for (tries = 0; tries < GROW_TRIES; tries++) {
		uint32_t unlocked = 0;
		bool made;

		if (state_map_entry(state, kind, index, entry_bytes))
			return true;
		if (!hs_cas_acq_rel(&state->grow_lock, &unlocked, 1)) {
			__builtin_ia32_pause();
			continue;
		}
		made = state_map_entry(state, kind, index, entry_bytes) ||
		       state_map_add_chunk(state, kind, (uint64_t)index * entry_bytes, 0, NULL);
		hs_store_release(&state->grow_lock, 0);
		return made;
	}
	return false;
}
