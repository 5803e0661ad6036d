/*
 * limit_watch.c - owns what the process knows of its memory limit, and when it looks again. How a
 * limit is read is state/memory_limit.c's business, when it is near state/near_limit.c's.
 */
#include <fcntl.h>
#include <string.h>
#include "preload/atomics.h"
#include "preload/clock.h"
#include "preload/limit_watch.h"
#include "preload/process.h"
#include "preload/rawsys.h"
#include "preload/state/near_limit.h"

#define NO_LIMIT_NS  10000000000ull
#define IDLE_NS      1000000000ull
#define BEGIN_BYTES  (1ull << 20)
#define WRITER_BYTES (512ull << 10)

/* Of who looks; in a forked child what its parent left here, until it looks itself. */
static struct memory_limit_work work;
static struct memory_limit_groups groups;
static bool is_found, has_limit;
static struct near_limit near;
static uint32_t near_generation; /* the process that near is about */
static uint64_t last_samples;

/* RSS now, without what a look at status costs; 0 unknown. */
static uint64_t read_rss_bytes(void)
{
	long fd = rawsys(SYS_open, "/proc/self/statm", O_RDONLY | O_CLOEXEC), n;
	const char *p = work.text;
	uint64_t pages = 0;

	if (fd < 0)
		return 0;
	n = rawsys(SYS_read, fd, work.text, sizeof(work.text) - 1);
	rawsys(SYS_close, fd);
	work.text[n > 0 ? n : 0] = '\0';
	while (*p && *p != ' ')
		p++;
	for (p += *p == ' '; *p >= '0' && *p <= '9'; p++)
		pages = pages * 10 + (uint64_t)(*p - '0');
	return pages * 4096;
}

static void look(bool is_exact, struct memory_limit_look *seen, struct state_room *room)
{
	if (!is_found)
		memory_limit_find(&work, "", 0, &groups);
	is_found = true;
	memory_limit_look(&work, &groups, "", 0, is_exact, seen);
	memset(room, 0, sizeof(*room));
	room->ns = clock_ns(CLOCK_MONOTONIC);
	has_limit = seen->group.kind != HEAPSPY_LIMIT_NONE;
	if (!has_limit)
		return;
	room->limit_bytes = seen->group.limit_bytes;
	room->left_bytes = memory_limit_left_bytes(&seen->group);
	room->rss_bytes = read_rss_bytes();
}

/* Relaxed, word by word: whoever reads a mixture is a little too careful, or as if a look earlier.
 */
static void set_room(struct state_header *state, const struct state_room *room)
{
	hs_store_relaxed(&state->room.bytes_seen, hs_load_relaxed(&state->bytes_seen));
	hs_store_relaxed(&state->room.committed_bytes, hs_load_relaxed(&state->committed_bytes));
	hs_store_relaxed(&state->room.ns, room->ns);
	hs_store_relaxed(&state->room.rss_bytes, room->rss_bytes);
	hs_store_relaxed(&state->room.left_bytes, room->left_bytes);
	hs_store_relaxed(&state->room.limit_bytes, room->limit_bytes);
}

bool limit_watch_begin(struct state_room *room)
{
	struct memory_limit_look seen;

	if (!has_limit)
		return true;
	look(false, &seen, room);
	return !room->limit_bytes || room->left_bytes >= BEGIN_BYTES;
}

void limit_watch_first_look(struct state_header *state)
{
	uint32_t unlocked = 0;
	struct memory_limit_look seen;
	struct state_room room;

	/* A vfork child may be killed in here, and would leave the lock to nobody. */
	if (hs_load_relaxed(&process_page.threaded) || state->lease.pid ||
		(uint32_t)rawsys(SYS_getpid, 0) != state->pid ||
		!hs_cas_acq_rel(&state->writer_lock, &unlocked, (uint32_t)rawsys(SYS_gettid, 0)))
		return;
	hs_add_relaxed(&process_page.writing, 1);
	look(false, &seen, &room);
	/* A handler may have forked, and we are the child: room and lock are the parent's. */
	if (!hs_load_relaxed(&process_page.writing))
		return;
	hs_sub_relaxed(&process_page.writing, 1);
	set_room(state, &room);
	hs_store_release(&state->writer_lock, 0);
}

bool limit_watch_look(struct state_header *state, uint64_t now_ns)
{
	uint64_t samples = hs_load_relaxed(&state->samples), pause_ns = NO_LIMIT_NS;
	struct memory_limit_look seen;
	struct state_room room;
	bool is_due, is_first;

	look(false, &seen, &room);
	set_room(state, &room);
	is_first = near_generation != hs_load_relaxed(&process_generation);
	if (is_first)
		memset(&near, 0, sizeof(near));
	near_generation = hs_load_relaxed(&process_generation);
	is_due = near_limit_is_due(
		&near, state->near_limit_ppm, &seen.fullest, now_ns, state->snapshot_interval_ns);
	if (seen.fullest.kind)
		pause_ns = near_limit_pause_ns(&near, state->near_limit_ppm, &seen.fullest, now_ns);
	/* One that rests is looked at now and then. */
	if (pause_ns == NEAR_LIMIT_PAUSE_NS_MAX && samples == last_samples)
		pause_ns = IDLE_NS;
	last_samples = samples;
	hs_store_relaxed(&state->watch_ns, now_ns + pause_ns);
	/* Where its parent was when it was forked is not a child's news. */
	return is_due && samples && !(is_first && state->flags & HEAPSPY_INFO_FORK_CHILD);
}

void limit_watch_put_off(struct state_header *state, uint64_t now_ns)
{
	hs_store_relaxed(&state->watch_ns, now_ns + IDLE_NS);
}

/* Whether the next look is further away than that. */
static bool next_is_after(const struct state_header *state, uint64_t pause_ns)
{
	return hs_load_relaxed(&state->watch_ns) > clock_ns(CLOCK_MONOTONIC) + pause_ns;
}

bool limit_watch_has_room_to_write(
	struct state_header *state, struct memory_limit *limitp, uint64_t *spare_bytesp)
{
	struct memory_limit_look seen;
	struct state_room room;

	is_found = false;
	look(true, &seen, &room);
	set_room(state, &room);
	/* There was none before. */
	if (seen.least.kind && next_is_after(state, IDLE_NS))
		hs_store_relaxed(
			&state->watch_ns, clock_ns(CLOCK_MONOTONIC) + NEAR_LIMIT_PAUSE_NS_MAX);
	*limitp = seen.least;
	*spare_bytesp = room.limit_bytes ? room.left_bytes : 0;
	return !room.limit_bytes || room.left_bytes >= WRITER_BYTES;
}
