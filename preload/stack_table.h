/*
 * stack_table.h - call stack -> 32-bit id, for the life of the process. The
 * record of a stack also holds its counters (site_stats.h). Insert only.
 */
#ifndef HEAPSPY_STACK_TABLE_H
#define HEAPSPY_STACK_TABLE_H

#include <stdint.h>
#include "preload/compiler.h"
#include "preload/state/state_map.h"
#include "state.h"

/* What a stack becomes when the state has no room for all of it. */
#define STACK_TABLE_FOLDED_FRAMES 16

/*
 * The id of a stack, made at first sight.
 *
 * frames: leaf first, n_frames of them (0..256); flags: HEAPSPY_STACK_*.
 * When the state is full the stack is folded to its 16 innermost frames, then
 * to its leaf, then to the stack of no frames; each is counted as
 * HEAPSPY_LOSS_FOLDED. Returns 0 only if not even that existed.
 * Two threads may give the same stack two ids; readers add them up.
 * Lock-free, signal-safe.
 */
uint32_t stack_table_intern(struct state_header *state, const uint64_t *frames, uint32_t n_frames,
	uint32_t flags, uint32_t approx_from);

/* Room for the stack of no frames, so that folding always finds a place. At start. */
void stack_table_reserve_last(struct state_header *state);

/* NULL for an id that is none: the state, where all ids are from, may have been written over. */
static inline struct state_stack *stack_table_record(const struct state_header *state, uint32_t id)
{
	uint64_t offset = (uint64_t)id * STATE_ALIGN;

	if (!state_has_record(state, offset, sizeof(struct state_stack)))
		return NULL;
	return state_at(state, offset);
}

#endif
