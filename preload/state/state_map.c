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
#include <sys/resource.h>
#include <sys/statfs.h>
#include <time.h>
#include "preload/compiler.h"
#include "preload/file_limit.h"
#include "preload/log.h"
#include "preload/rawsys.h"
#include "preload/state/state_map.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE_ROUND           4096ull
#define FIRST_STEP_BYTES     (96u << 10)
#define STEP_BYTES_MIN       (64ull << 10)
#define STEP_BYTES_MAX       (1ull << 20)
#define OLD_KERNEL_MAX_BYTES (4ull << 20)
#define LEAST_BYTES          (256ull << 10) /* a cap that is tried when there is no more */
#define TMPFS_MAGIC          0x01021994
#define RAMFS_MAGIC          0x858458f6
#define HEADER_BYTES         8192
#define GROW_TRIES           1000
#define FILES_RESERVE        4             /* of a tmpfs this part stays for others, */
#define FILES_RESERVE_BYTES  (16ull << 20) /* or that much */
#define ROOM_RESERVE         32            /* of its limit this part is the group's alone, */
#define ROOM_SHARE           8             /* and the state takes this part at most */
#define ROOM_BLOCK_COST      8
#define ROOM_FRESH_NS        250000000ull

_Static_assert(sizeof(struct state_header) <= HEADER_BYTES, "the header has its room");

struct state_map_own state_map_own;

static uint32_t frozen;
static uint32_t n_growing, lowering; /* nobody grows into what is being given back */
static bool (*is_ours)(const struct state_header *state);
static void (*first_look)(struct state_header *state);

static bool failed(long ret)
{
	return ret < 0 && ret > -4096;
}

/* A handler has forked while a state was being made, and we are the child: it is the parent's. */
static bool is_abandoned(void)
{
	return is_ours && !is_ours(NULL);
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* Makes a part of the mapping usable; -ENOSPC: what is behind it has no room, or no quota. */
static long populate(void *base, uint64_t from, uint64_t to)
{
	long ret = rawsys(SYS_mprotect, (char *)base + from, to - from, PROT_READ | PROT_WRITE);

	if (!failed(ret))
		ret = rawsys(SYS_madvise, (char *)base + from, to - from, MADV_POPULATE_WRITE);
	return ret == -EFAULT ? -ENOSPC : ret;
}

/* Where the file of the state lies; "" for one in private memory. */
static char directory[384];

static void note_directory(const char *path)
{
	size_t i, end = 0;

	for (i = 0; path && path[i] && i < sizeof(directory) - 1; i++) {
		directory[i] = path[i];
		if (path[i] == '/')
			end = i;
	}
	directory[end] = '\0';
}

/*
 * Whether a tmpfs can spare so many bytes. What the program has there itself, shared memory in
 * /dev/shm for one, meets SIGBUS or an error when there is none left, and two hundred workers with
 * a state each would leave none of a container's 64 MiB.
 */
static bool spares(const struct statfs *fs, uint64_t bytes)
{
	uint64_t reserve = fs->f_blocks / FILES_RESERVE * (uint64_t)fs->f_bsize;

	if (reserve > FILES_RESERVE_BYTES)
		reserve = FILES_RESERVE_BYTES;
	/* One without a limit has no blocks. */
	return !fs->f_blocks || fs->f_bavail * (uint64_t)fs->f_bsize >= bytes + reserve;
}

/*
 * The same for the directory of the state. It may have become unreachable, by a chroot, which is no
 * reason to stop. Who asks at the same moment may take a little more.
 */
static bool files_have_room(uint64_t bytes)
{
	struct statfs fs;

	return !directory[0] || failed(rawsys(SYS_statfs, directory, &fs)) ||
	       (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC) || spares(&fs, bytes);
}

/* Opens the file of the state; its size is set, its memory is not yet there. */
static long open_file(const char *path, uint64_t max_bytes)
{
	struct statfs fs;
	long fd, ret;

	if (is_abandoned())
		return -ECANCELED;
	fd = rawsys(SYS_open, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (failed(fd))
		return fd;
	ret = rawsys(SYS_fstatfs, fd, &fs);
	if (!failed(ret) && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
		ret = -EMEDIUMTYPE; /* on a disk each page would be written back for ever */
	if (!failed(ret) && !spares(&fs, FIRST_STEP_BYTES))
		ret = -ENOSPC;
	if (!failed(ret))
		ret = rawsys(SYS_fchmod, fd, 0600);
	if (!failed(ret))
		ret = rawsys(SYS_ftruncate, fd, max_bytes);
	if (!failed(ret))
		return fd;
	rawsys(SYS_close, fd);
	if (!is_abandoned())
		rawsys(SYS_unlink, path);
	return ret;
}

/* Address space for a state; fd -1: in private memory. -EAGAIN: it would have to be locked. */
static long reserve(uint64_t bytes, long fd)
{
	return rawsys(SYS_mmap, 0, bytes, PROT_NONE,
		fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
}

/*
 * A handler that interrupted a walk over the tables may have forked, and be making the child's
 * state now: the walk goes on with an entry that it has found, in the parent's. So where that lies
 * stays there; the first entries are of one kind and size in all states.
 */
static void begin_own(
	const struct state_header *state, uint64_t committed_bytes, uint64_t max_bytes)
{
	uint32_t i;

	state_map_own.n_tables = 0;
	for (i = 0; i < STATE_CHUNKS_MAX; i++)
		hs_store_relaxed(&state_map_own.table[i].kind, 0);
	state_map_own.before_bytes = state_map_own.mapped_bytes;
	state_map_own.backed_bytes = committed_bytes;
	state_map_own.mapped_bytes = max_bytes;
	state_map_own.state = state;
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
	base = reserve(max_bytes, fd);
	if ((base == -ENOMEM || base == -EAGAIN) && max_bytes > LEAST_BYTES) {
		max_bytes = LEAST_BYTES;
		base = reserve(max_bytes, fd);
	}
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
		/* Its pages change all the time: each child would keep a copy of them. */
		if (!path)
			rawsys(SYS_madvise, base, max_bytes, MADV_WIPEONFORK);
		if (is_abandoned())
			ret = -ECANCELED;
		if (failed(ret))
			rawsys(SYS_munmap, base, max_bytes);
	}
	if (path)
		rawsys(SYS_close, fd);
	if (failed(ret)) {
		if (path && !is_abandoned())
			rawsys(SYS_unlink, path);
		*errorp = (int)ret;
		return NULL;
	}
	note_directory(path);
	/* A child may have been forked while another thread of its parent held these. */
	hs_store_relaxed(&n_growing, 0);
	hs_store_relaxed(&lowering, 0);
	state = (struct state_header *)base;
	state->version = STATE_VERSION;
	state->header_bytes = HEADER_BYTES;
	state->max_bytes = max_bytes;
	state->committed_bytes = committed;
	state->used_bytes = HEADER_BYTES;
	begin_own(state, committed, max_bytes);
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

void state_map_set_first_look(void (*look)(struct state_header *state))
{
	first_look = look;
}

/*
 * Whether the memory group of the process can spare so many bytes. Memory that is populated where
 * the group is full is no error of the call: the kernel kills somebody for it, and that would be
 * our doing. RSS says how much more the process may have taken since the last look at the group; it
 * is believed at its most, for what it is now would take a descriptor. What others in the group
 * took since is not seen.
 */
static bool group_has_room(const struct state_header *state, uint64_t bytes)
{
	const struct state_room *room = &state->room;
	uint64_t limit_bytes = hs_load_relaxed(&room->limit_bytes);
	uint64_t left_bytes = hs_load_relaxed(&room->left_bytes);
	uint64_t committed_bytes = state_backed_bytes(state);
	uint64_t need_bytes = bytes + limit_bytes / ROOM_RESERVE, moved_bytes, rss_bytes;
	struct timespec now;
	struct rusage use;

	if (!limit_bytes)
		return true;
	if (left_bytes < need_bytes || committed_bytes + bytes > limit_bytes / ROOM_SHARE)
		return false;
	left_bytes -= need_bytes;
	/* Little can have happened since a look of this moment. A block takes more than its size.
	 */
	moved_bytes = (hs_load_relaxed(&state->bytes_seen) - hs_load_relaxed(&room->bytes_seen)) *
			      ROOM_BLOCK_COST +
		      committed_bytes - hs_load_relaxed(&room->committed_bytes);
	if (moved_bytes <= left_bytes &&
		!failed(rawsys(SYS_clock_gettime, CLOCK_MONOTONIC, &now)) &&
		(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec -
				hs_load_relaxed(&room->ns) <
			ROOM_FRESH_NS)
		return true;
	if (failed(rawsys(SYS_getrusage, RUSAGE_SELF, &use)))
		return false;
	rss_bytes = (uint64_t)use.ru_maxrss << 10;
	moved_bytes = hs_load_relaxed(&room->rss_bytes);
	moved_bytes = rss_bytes > moved_bytes ? rss_bytes - moved_bytes : 0;
	return moved_bytes <= left_bytes;
}

/* A refusal holds until the next look: what is there at most only grows. */
static bool has_room(struct state_header *state, uint64_t bytes)
{
	static uint64_t refused_ns;
	uint64_t looked_ns;

	if (first_look && !hs_load_relaxed(&state->room.ns))
		first_look(state);
	looked_ns = hs_load_relaxed(&state->room.ns);
	if (looked_ns && looked_ns == hs_load_relaxed(&refused_ns))
		return false;
	if (group_has_room(state, bytes))
		return true;
	hs_store_relaxed(&refused_ns, looked_ns);
	return false;
}

/*
 * The pages of a step that failed half-way: what is left of a tmpfs is not for us to keep. Only if
 * nobody else is growing, who may have got some of them for good.
 */
static void give_back(struct state_header *state, uint64_t target)
{
	uint64_t committed;

	if (__atomic_exchange_n(&lowering, 1, __ATOMIC_SEQ_CST))
		return;
	committed = state_backed_bytes(state);
	if (__atomic_load_n(&n_growing, __ATOMIC_SEQ_CST) == 1 && committed < target &&
		(!is_ours || is_ours(state)))
		rawsys(SYS_madvise, (char *)state + committed, target - committed,
			state->flags & HEAPSPY_INFO_STATE_PRIVATE ? MADV_DONTNEED : MADV_REMOVE);
	__atomic_store_n(&lowering, 0, __ATOMIC_SEQ_CST);
}

/* Why a step failed: kept for whoever reads the state, and said when it is a new reason. */
static void note_failure(struct state_header *state, long ret)
{
	if (hs_load_relaxed(&state->grow_errno) == (uint32_t)-ret)
		return;
	hs_store_relaxed(&state->grow_errno, (uint32_t)-ret);
	log_verbose("the state cannot grow: %e; with %lu bytes sampling gets coarser", (int)ret,
		hs_load_relaxed(&state->committed_bytes));
}

/* How far it may grow. */
static uint64_t cap_of(const struct state_header *state)
{
	uint64_t cap = hs_load_relaxed(&state->max_bytes);
	uint64_t mapped_bytes = hs_load_acquire(&state_map_own.mapped_bytes);

	return state == state_map_own.state && mapped_bytes < cap ? mapped_bytes : cap;
}

/*
 * Makes the state reach at least end. Idempotent, so that threads need no lock:
 * two that grow at once populate the same pages. So it does for the parent of a child that was
 * forked in here: both go on.
 */
static bool grow(struct state_header *state, uint64_t end)
{
	uint64_t committed = state_backed_bytes(state), cap = cap_of(state), step, target;
	long ret;

	if (end > cap || hs_load_relaxed(&frozen) || (is_ours && !is_ours(state)))
		return false;
	step = committed / 2;
	step = step < STEP_BYTES_MIN   ? STEP_BYTES_MIN
	       : step > STEP_BYTES_MAX ? STEP_BYTES_MAX
				       : step;
	target = round_up(end > committed + step ? end : committed + step, PAGE_ROUND);
	if (target > cap)
		target = cap;
	if (!has_room(state, target - committed)) {
		note_failure(state, -ENOMEM);
		return false;
	}
	ret = files_have_room(target - committed)
		      ? populate(state, committed / PAGE_ROUND * PAGE_ROUND, target)
		      : -ENOSPC;
	if (failed(ret)) {
		give_back(state, target);
		note_failure(state, ret);
		return false;
	}
	/* Released to state_map_alloc() of all threads, and to readers outside. */
	while (state == state_map_own.state && committed < target &&
		!hs_cas_acq_rel(&state_map_own.backed_bytes, &committed, target))
		;
	committed = hs_load_relaxed(&state->committed_bytes);
	while (committed < target && !hs_cas_acq_rel(&state->committed_bytes, &committed, target))
		;
	return true;
}

static HS_COLD bool commit(struct state_header *state, uint64_t end)
{
	bool was_own = state == state_map_own.state, grown;

	/* Pairs with state_map_lower_cap(): either it sees us, or we see it. */
	__atomic_fetch_add(&n_growing, 1, __ATOMIC_SEQ_CST);
	grown = !__atomic_load_n(&lowering, __ATOMIC_SEQ_CST) && grow(state, end);
	/* A handler may have forked, and we are the child, whose own state counts from 0. */
	if (!was_own || state == state_map_own.state)
		__atomic_fetch_sub(&n_growing, 1, __ATOMIC_SEQ_CST);
	return grown;
}

bool state_map_lower_cap(struct state_header *state, uint64_t max_bytes)
{
	bool is_own = state == state_map_own.state;
	uint64_t before = is_own ? state_map_own.mapped_bytes : state->max_bytes;
	uint64_t committed;
	unsigned tries;
	bool lowered = false;

	if (__atomic_exchange_n(&lowering, 1, __ATOMIC_SEQ_CST))
		return false;
	for (tries = 0; tries < GROW_TRIES && __atomic_load_n(&n_growing, __ATOMIC_SEQ_CST);
		tries++)
		__builtin_ia32_pause();
	if (tries < GROW_TRIES) {
		committed = state_backed_bytes(state);
		max_bytes = round_up(max_bytes > committed ? max_bytes : committed, PAGE_ROUND);
		lowered = max_bytes < before;
	}
	if (lowered) {
		hs_store_release(&state->max_bytes, max_bytes);
		if (is_own)
			hs_store_release(&state_map_own.mapped_bytes, max_bytes);
		rawsys(SYS_munmap, (char *)state + max_bytes, before - max_bytes);
	}
	__atomic_store_n(&lowering, 0, __ATOMIC_SEQ_CST);
	return lowered;
}

uint64_t state_map_alloc(struct state_header *state, uint64_t bytes, uint64_t keep_bytes)
{
	/* Relaxed: the record is reached through whatever publishes its offset. */
	uint64_t offset = hs_load_relaxed(&state->used_bytes), cap = cap_of(state), end;

	bytes = round_up(bytes, STATE_ALIGN);
	do {
		if (offset < HEADER_BYTES || offset % STATE_ALIGN || offset > cap ||
			bytes + keep_bytes > cap - offset)
			return 0;
		end = offset + bytes;
		if (end > state_backed_bytes(state) && !commit(state, end))
			return 0;
	} while (!hs_cas_relaxed(&state->used_bytes, &offset, end));
	return offset;
}

uint64_t state_map_add_chunk(struct state_header *state, enum state_chunk_kind kind, uint64_t bytes,
	uint64_t keep_bytes, void (*init)(void *table, uint64_t bytes))
{
	bool is_own = state == state_map_own.state;
	uint32_t n = is_own ? state_tables_end(state) : state_n_chunks(state), n_listed;
	struct state_chunk *chunk;
	struct state_table *table;
	uint64_t offset;

	/* A child forked by a handler in here must not take its parent's number. */
	if (n == STATE_CHUNKS_MAX || (is_ours && !is_ours(state)))
		return 0;
	/* Tables are looked at by cache lines. */
	offset = state_map_alloc(state, bytes + 48, keep_bytes);
	if (!offset)
		return 0;
	offset = round_up(offset, 64);
	if (init)
		init(state_at(state, offset), bytes);
	do {
		if (n >= STATE_CHUNKS_MAX)
			return 0;
	} while (!hs_cas_acq_rel(is_own ? &state_map_own.n_tables : &state->n_chunks, &n, n + 1));
	chunk = &state->chunk[n];
	chunk->offset = offset;
	chunk->bytes = bytes;
	/* Pairs with the acquires of all that look for a kind. */
	hs_store_release(&chunk->kind, kind);
	n_listed = hs_load_relaxed(&state->n_chunks);
	while (n_listed <= n && !hs_cas_acq_rel(&state->n_chunks, &n_listed, n + 1))
		;
	if (!is_own)
		return offset;
	/* Last: what is in a table that we use, readers outside can find. */
	table = &state_map_own.table[n];
	table->at = state_at(state, offset);
	table->bytes = bytes;
	table->bytes_log2 = 63u - (uint32_t)__builtin_clzll(bytes | 1);
	hs_store_release(&table->kind, kind);
	return offset;
}

bool state_map_grow(struct state_header *state, enum state_chunk_kind kind, uint64_t bytes,
	uint64_t keep_bytes, void (*init)(void *table, uint64_t bytes))
{
	uint32_t at = state_tables_end(state), unlocked = 0;
	void *youngest = state_chunk_before(state, kind, &at);
	unsigned tries;
	bool grown;

	if (hs_cas_acq_rel(&state->grow_lock, &unlocked, 1)) {
		at = state_tables_end(state);
		grown = state_chunk_before(state, kind, &at) != youngest ||
			state_map_add_chunk(state, kind, bytes, keep_bytes, init);
		hs_store_release(&state->grow_lock, 0);
		return grown;
	}
	for (tries = 0; tries < GROW_TRIES; tries++) {
		at = state_tables_end(state);
		if (state_chunk_before(state, kind, &at) != youngest)
			return true;
		__builtin_ia32_pause();
	}
	return state_map_add_chunk(state, kind, bytes, keep_bytes, init);
}

/* Entry number index of the process's own state. */
static void *own_entry(enum state_chunk_kind kind, uint32_t index, uint32_t entry_bytes)
{
	uint32_t i, n = hs_load_acquire(&state_map_own.n_tables);

	for (i = 0; i < n; i++) {
		const struct state_table *t = &state_map_own.table[i];
		uint64_t entries;

		if (hs_load_acquire(&t->kind) != kind)
			continue;
		entries = t->bytes / entry_bytes;
		if (index < entries)
			return (char *)t->at + (uint64_t)index * entry_bytes;
		index -= (uint32_t)entries;
	}
	return NULL;
}

void *state_map_entry(const struct state_header *state, enum state_chunk_kind kind, uint32_t index,
	uint32_t entry_bytes)
{
	uint32_t i, n = state_n_chunks(state);

	if (state == state_map_own.state)
		return own_entry(kind, index, entry_bytes);
	for (i = 0; i < n; i++) {
		const struct state_chunk *c = &state->chunk[i];
		uint64_t entries, offset, bytes;

		if (hs_load_acquire(&c->kind) != kind)
			continue;
		offset = hs_load_relaxed(&c->offset);
		bytes = hs_load_relaxed(&c->bytes);
		if (!state_holds(state, offset, bytes) || offset % 8)
			return NULL; /* nobody knows how many entries it had */
		entries = bytes / entry_bytes;
		if (index < entries)
			return state_at(state, offset + (uint64_t)index * entry_bytes);
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
