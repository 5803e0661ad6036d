/*
 * filter.h - free()'s one-bit question: can this address be a live sample?
 *
 * A direct-mapped table of 1 MiB: 32 bytes of heap a bit, 128 MiB of heap
 * before it wraps. A set bit may be a false alarm (another block shares it);
 * a clear bit is certain. Each word holds 32 presence bits (low half) and a
 * version (high half), which counts the samples added to the word.
 *
 * Why the version: the bit of a removed sample may be cleared only if no other
 * live sample shares it. filter_remove() looks that up between reading the word
 * and its compare-and-swap; a sample added in between changes the version, so
 * the swap fails and the look-up is done again. The version never goes back:
 * a word that looks the same is the same.
 * filter_add() comes after the sample's key is published, filter_remove()
 * after its key is gone: so one of the two sees the other.
 *
 * The pages are MADV_WIPEONFORK: a forked child starts with an empty filter
 * and its frees go straight through. Cost of filter_test(): one load.
 */
#ifndef HEAPSPY_FILTER_H
#define HEAPSPY_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/atomics.h"

struct state_header;

#define FILTER_GRAIN_LOG2 5
#define FILTER_WORDS      (1u << 17)

extern uint64_t filter_words[FILTER_WORDS] __attribute__((visibility("hidden")));

/* Which bit an address has; addresses with equal indexes share it. */
static inline uint32_t filter_index(const void *address)
{
	return (uint32_t)((uintptr_t)address >> FILTER_GRAIN_LOG2) & (FILTER_WORDS * 32 - 1);
}

static inline bool filter_test(const void *address)
{
	uintptr_t a = (uintptr_t)address;
	uint32_t word = (uint32_t)filter_words[(a >> (FILTER_GRAIN_LOG2 + 5)) % FILTER_WORDS];

	return word >> ((a >> FILTER_GRAIN_LOG2) & 31) & 1;
}

/* Call once the sample's key can be found in the live table. Signal-safe. */
static inline void filter_add(const void *address)
{
	uint32_t index = filter_index(address);
	uint64_t *wordp = &filter_words[index / 32], bit = 1ull << (index & 31);
	uint64_t word = hs_load_relaxed(wordp);

	/* The swap orders the key's publication before the word: filter_remove(). */
	while (!hs_cas_acq_rel(wordp, &word, (word | bit) + (1ull << 32)))
		;
}

/*
 * Call once the sample's key is gone.
 * shared: asks the live table of state whether another sample has the index.
 * Gives up after a few collisions with other threads: a bit too many is a
 * false alarm, not an error. Signal-safe.
 */
static inline void filter_remove(struct state_header *state, const void *address,
	bool (*shared)(struct state_header *state, uint32_t index))
{
	uint32_t index = filter_index(address);
	uint64_t *wordp = &filter_words[index / 32], bit = 1ull << (index & 31);
	unsigned tries;

	hs_fence_seq_cst(); /* the key's removal before the word is read */
	for (tries = 0; tries < 16; tries++) {
		uint64_t word = hs_load_acquire(wordp);

		if (shared(state, index) || hs_cas_acq_rel(wordp, &word, word & ~bit))
			return;
	}
}

#endif
