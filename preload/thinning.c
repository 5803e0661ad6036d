/*
 * thinning.c - owns the raising of the sampling level. The rule itself is in
 * sample_math.h, because readers apply it too: to finish a walk that was under
 * way when they looked, and to compare snapshots of different levels. When it is
 * time is decided where room is wanting (recorder.c) and in cpu_budget.c.
 *
 * Order: the level first, then the walk. A sample born during the walk has the
 * new level already; one that the walk has not reached yet carries its old
 * level in its record, so everybody can tell.
 *
 * There is no lock. Whoever moves the level on has raised it; whoever finds the
 * table full before a walk over all of it is done (walked_level) walks too, and
 * two walks share the slots between them. So a walk that ends early, because its
 * thread was killed or jumped out of it, is done by the next in need. The one slot
 * that it held at that moment stays as it is: its sample is not thinned any more,
 * and never known to be freed.
 */
#include "preload/atomics.h"
#include "preload/clock.h"
#include "preload/live_table.h"
#include "preload/log.h"
#include "preload/process.h"
#include "preload/self_time.h"
#include "preload/site_stats.h"
#include "preload/thinning.h"
#include "preload/state/state_map.h"
#include "sample_age.h"

/* Buckets that are looked at before a full table is thinned, and how much a level may keep. */
#define SURVEY_BUCKETS 64
#define KEEP_AT_MOST   (SAMPLE_KEEP_ALL / 4 * 3)

static uint64_t age_ns(const struct state_header *state)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	return now_ns > state->start_ns ? now_ns - state->start_ns : 0;
}

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
		site_stats_left(state, value->u, before);
		return false;
	}
	after = thinning_weight(state, value, to);
	site_stats_thinned(state, value->stack, size_of(value), before, &after);
	site_stats_reweighed(state, value->u, before, after);
	/* One word, so that a reader sees the old level or the new one. */
	hs_store_relaxed(&value->birth_level,
		(value->birth_level & 0x0fffffffffffffffull) | (uint64_t)to << 60);
	return true;
}

/* A block freed while its sample was being visited. */
static void died(struct state_header *state, const struct state_live_value *value)
{
	struct sample_weight weight = thinning_weight(state, value, level_of(value));
	uint64_t lived_ns = sample_age_ns(value->birth_level, age_ns(state));

	site_stats_died(state, value->stack, lived_ns == UINT64_MAX ? 0 : lived_ns, weight);
	site_stats_left(state, value->u, weight);
	hs_add_relaxed(&state->deaths, 1);
}

/* Until each sample stands at the level in force, whoever brings it there. */
static void walk(struct state_header *state)
{
	uint32_t level = hs_load_acquire(&state->level);
	uint32_t walked = hs_load_acquire(&state->walked_level);
	struct live_position at = live_table_begin(state);
	uint64_t then_ns = clock_ns(CLOCK_MONOTONIC), now_ns;

	while (walked < level && live_table_thin(state, &at, visit, died)) {
		/* A handler may have forked, and we are the child: the walk is the parent's. */
		if (process_state() != state)
			return;
		now_ns = clock_ns(CLOCK_MONOTONIC);
		self_time_add_walked(state, now_ns - then_ns);
		then_ns = now_ns;
		walked = hs_load_acquire(&state->walked_level);
	}
	while (walked < level && !hs_cas_acq_rel(&state->walked_level, &walked, level))
		;
}

/* Raises the level from the one that was in force, unless somebody else has; no walk. */
static bool raise_level(struct state_header *state, uint32_t from, uint32_t to, const char *why)
{
	uint64_t now_ns = age_ns(state);

	site_stats_end_level(state, from);
	if (!hs_cas_acq_rel(&state->level, &from, to))
		return false;
	hs_store_relaxed(&state->level_ns[to], now_ns ? now_ns : 1);
	log_verbose("%s: mean sampling interval rises from %lu to %lu bytes", why,
		state->interval_bytes << from, state->interval_bytes << to);
	return true;
}

/* Of the samples that were looked at: how many, and what of them a level keeps on average. */
struct survey {
	uint64_t from_bytes, to_bytes;
	uint64_t n, kept;
};

static void look(void *context, uint64_t size)
{
	struct survey *survey = context;

	survey->n++;
	survey->kept += sample_keep_threshold(size, survey->from_bytes, survey->to_bytes);
}

/*
 * The first level above this one that makes room worth a walk. Chances alone decide, which follow
 * from the sizes; did the samples' own u, those that are about to stay would decide for themselves,
 * and what they stand for would be too much.
 */
static uint32_t roomy_level(struct state_header *state, uint32_t level)
{
	struct survey survey;
	uint32_t to = level;

	do {
		survey = (struct survey){ state->interval_bytes << level,
			state->interval_bytes << ++to, 0, 0 };
		live_table_survey(state, SURVEY_BUCKETS, look, &survey);
	} while (to < HEAPSPY_LEVEL_MAX && survey.kept > survey.n * KEEP_AT_MOST);
	return to;
}

bool thinning_make_room(struct state_header *state, uint32_t seen_level)
{
	uint32_t level = hs_load_acquire(&state->level);

	if (level == seen_level && hs_load_acquire(&state->walked_level) >= level) {
		if (level >= HEAPSPY_LEVEL_MAX)
			return false;
		raise_level(state, level, roomy_level(state, level), "state is full");
	}
	walk(state);
	return true;
}

void thinning_raise_by_cpu(struct state_header *state, uint32_t level, const char *why)
{
	uint32_t before = hs_load_relaxed(&state->level);

	if (level > HEAPSPY_LEVEL_MAX)
		level = HEAPSPY_LEVEL_MAX;
	if (level <= before || !raise_level(state, before, level, why))
		return;
	__atomic_fetch_or(&state->levels_by_cpu, 1u << level, __ATOMIC_RELAXED);
	walk(state);
}

bool thinning_belongs(const struct state_header *state, const struct state_live_value *value)
{
	return sample_belongs(value->u, size_of(value),
		state->interval_bytes << birth_level_of(value), state_interval_bytes(state));
}
