/*
 * thinning.c - owns the raising of the sampling level. The rule itself is in
 * sample_math.h, because readers apply it too: to finish a walk that was under
 * way when they looked, and to compare snapshots of different levels.
 *
 * Order: the level first, then the walk. A sample born during the walk has the
 * new level already; one that the walk has not reached yet carries its old
 * level in its record, so everybody can tell.
 */
#include "preload/atomics.h"
#include "preload/live_table.h"
#include "preload/log.h"
#include "preload/site_stats.h"
#include "preload/thinning.h"
#include "preload/state/state_map.h"

#define WAIT_TRIES 5000

static uint64_t size_of(const struct state_live_value *value)
{
	return value->size_thread & 0xffffffffffffull;
}

static unsigned level_of(const struct state_live_value *value)
{
	return (unsigned)(value->birth_level >> 60);
}

static unsigned birth_level_of(const struct state_live_value *value)
{
	return (unsigned)(value->birth_level >> 56) & 15;
}

/* Brings one sample to the level in force; false: it does not belong there. */
static bool visit(struct state_header *state, struct state_live_value *value)
{
	unsigned to = hs_load_relaxed(&state->level), from = level_of(value);
	struct sample_weight before, after;

	if (from >= to)
		return true;
	before = thinning_weight(state, value, from);
	if (!sample_belongs(value->u, size_of(value),
		    state->interval_bytes << birth_level_of(value), state->interval_bytes << to)) {
		site_stats_thinned(state, value->stack, size_of(value), before, NULL);
		site_stats_left(state, before.bytes);
		return false;
	}
	after = thinning_weight(state, value, to);
	site_stats_thinned(state, value->stack, size_of(value), before, &after);
	hs_add_relaxed(&state->live_bytes, after.bytes - before.bytes);
	/* One word, so that a reader sees the old level or the new one. */
	hs_store_relaxed(&value->birth_level,
		(value->birth_level & 0x0fffffffffffffffull) | (uint64_t)to << 60);
	return true;
}

/* A block freed while its sample was being visited: no lifetime is booked, it is only gone. */
static void died(struct state_header *state, const struct state_live_value *value)
{
	site_stats_left(state, thinning_weight(state, value, level_of(value)).bytes);
	hs_add_relaxed(&state->deaths, 1);
}

bool thinning_raise(struct state_header *state)
{
	uint32_t unlocked = 0, level;

	if (!hs_cas_acq_rel(&state->thinning_lock, &unlocked, 1)) {
		unsigned tries;

		for (tries = 0; tries < WAIT_TRIES && hs_load_acquire(&state->thinning_lock);
			tries++)
			__builtin_ia32_pause();
		return true;
	}
	level = hs_load_relaxed(&state->level);
	if (level < HEAPSPY_LEVEL_MAX) {
		hs_store_release(&state->level, level + 1);
		live_table_thin(state, visit, died);
		log_verbose("state is full: mean sampling interval is now %lu bytes",
			state->interval_bytes << (level + 1));
	}
	hs_store_release(&state->thinning_lock, 0);
	return level < HEAPSPY_LEVEL_MAX;
}
