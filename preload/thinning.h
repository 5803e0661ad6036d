/*
 * thinning.h - fewer samples without bias: the sampling interval is raised by
 * a power of two, and the live samples that would not have been drawn at the new
 * one go (coordinated thinning: each sample carries the random number that
 * decides, so levels are nested; Cohen & Kaplan 2013 call such samples
 * coordinated). All functions are signal-safe.
 */
#ifndef HEAPSPY_THINNING_H
#define HEAPSPY_THINNING_H

#include <stdbool.h>
#include "sample_math.h"
#include "state.h"

/*
 * The live table is full at seen_level: raises the interval by as many doublings as
 * free a quarter of the samples, unless that has been done since, and walks over
 * the table, unless somebody has since. Waits for nobody. Returns false when the level
 * is at its end, true when room has been made. The walk takes milliseconds with 10^5
 * live samples.
 */
bool thinning_make_room(struct state_header *state, uint32_t seen_level);

/*
 * Sampling costs too much: raises the interval to a level, or the last one, by one
 * walk. Without effect if it is that high, or if another thread raises it meanwhile.
 * why: the beginning of the line that HEAPSPY_VERBOSE=1 gets to see.
 */
void thinning_raise_by_cpu(struct state_header *state, uint32_t level, const char *why);

/* Whether a sample belongs to the level in force. */
bool thinning_belongs(const struct state_header *state, const struct state_live_value *value);

/* What a sample weighs at a level; level 0..HEAPSPY_LEVEL_MAX. */
static inline struct sample_weight thinning_weight(
	const struct state_header *state, const struct state_live_value *value, unsigned level)
{
	return sample_weight(value->size_thread & 0xffffffffffffull, state->interval_bytes << level,
		state->variance_unit_log2);
}

#endif
