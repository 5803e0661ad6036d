/*
 * live_table.h - sampled address -> live sample. Lock-free; lives in the state.
 *
 * Segments of eight-slot buckets, each new one twice as large; inserts go to the
 * youngest with room, look-ups from the youngest to the oldest. There are no
 * tombstones: a bucket that ever passed a sample on to its neighbour says so
 * for good, and a probe ends at the first bucket that never did.
 *
 * Ownership of a slot: key 0 -> address|RESERVED (insert) -> address (anybody's)
 * -> address|BUSY (one owner: the remover, or thinning) -> 0 or address again.
 *
 * The filter's bits follow the keys: insertion sets, removal and thinning clear.
 */
#ifndef HEAPSPY_LIVE_TABLE_H
#define HEAPSPY_LIVE_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "state.h"

enum live_insert { LIVE_INSERTED, LIVE_FULL };

/*
 * Adds a sample. address: of the block, not yet known to the application and
 * not in the table. Returns LIVE_FULL when the table is 75 % full and cannot
 * grow: time to thin. Signal-safe.
 */
enum live_insert live_table_insert(
	struct state_header *state, uint64_t address, const struct state_live_value *value);

/*
 * Takes the sample of a block out; the caller is about to free the block.
 * Returns false when there is none, or when thinning holds it at the moment
 * (then thinning books the death). Signal-safe.
 */
bool live_table_remove(
	struct state_header *state, uint64_t address, struct state_live_value *valuep);

/* Whether some live sample has this filter index. Signal-safe. */
bool live_table_has_index(struct state_header *state, uint32_t filter_index);

/* Where a walk over the live samples stands. */
struct live_position {
	uint32_t chunk; /* index of the segment's chunk, + 1 */
	uint64_t bucket;
};

struct live_position live_table_begin(const struct state_header *state);

/*
 * Goes on with a walk by some hundred slots; false: it was at its end. Calls visit for
 * each live sample, which may change *value and says whether the sample stays. A sample
 * that stays, but was freed meanwhile, goes to died.
 */
bool live_table_thin(struct state_header *state, struct live_position *at,
	bool (*visit)(struct state_header *state, struct state_live_value *value),
	void (*died)(struct state_header *state, const struct state_live_value *value));

/* Shows the sizes of the samples in about n_buckets buckets, spread over all of the table. */
void live_table_survey(struct state_header *state, uint64_t n_buckets,
	void (*look)(void *context, uint64_t size), void *context);

/* A new segment: bytes for n_buckets, and its first filling (a chunk's init). */
uint64_t live_table_segment_bytes(uint64_t n_buckets);
void live_table_segment_init(void *segment, uint64_t bytes);

#endif
