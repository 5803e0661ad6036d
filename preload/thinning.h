/*
 * thinning.h - making room without bias: the sampling interval doubles, and
 * the live samples that would not have been drawn at the new one go
 * (coordinated thinning: each sample carries the random number that decides,
 * so levels are nested; Cohen & Kaplan 2013 call such samples coordinated).
 */
#ifndef HEAPSPY_THINNING_H
#define HEAPSPY_THINNING_H

#include <stdbool.h>
#include "sample_math.h"
#include "state.h"

/*
 * Raises the level by one and walks the live table, or waits a moment for another
 * thread that is at it (a tenth of a millisecond at most). Returns false when the
 * level is at its end, true when room may have been made. The walk takes
 * milliseconds with 10^5 live samples.
 */
bool thinning_raise(struct state_header *state);

/* What a sample weighs at a level; level 0..HEAPSPY_LEVEL_MAX. */
static inline struct sample_weight thinning_weight(
	const struct state_header *state, const struct state_live_value *value, unsigned level)
{
	return sample_weight(value->size_thread & 0xffffffffffffull, state->interval_bytes << level,
		state->variance_unit_log2);
}

#endif
