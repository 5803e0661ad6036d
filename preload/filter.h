/*
 * filter.h - free()'s one-bit question: can this address be a live sample?
 *
 * A direct-mapped table of 2 MiB: 32 bytes of heap a bit, 256 MiB of heap
 * before it wraps. A set bit may be a false alarm (another block shares it);
 * a clear bit is certain. Each word holds
 *
 *     bits 0-31   presence
 *     bits 32-39  how many samples have their bit in this word; 255: that many or more,
 *                 and not counted any longer
 *     bits 40-63  version: counts the samples added to the word
 *
 * The bit of a removed sample may be cleared only if no other live sample shares
 * it. The last sample of a word shares with nobody, and that is nearly every
 * one: a word is 1 KiB of heap. Otherwise filter_remove() asks the live table between
 * reading the word and its compare-and-swap; a sample added in between changes
 * the version, so the swap fails and the look-up is done again. The version
 * never goes back: a word that looks the same is the same.
 *
 * Why that is right. A sample's key can be found in the live table before
 * filter_add(), filter_add() is done before anybody may take the key away, and
 * filter_remove() comes after that: so the count is never below the number of
 * samples whose bit must be set, and whoever does not see a sample's key
 * has read its word before the sample was added.
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
#define FILTER_WORDS      (1u << 18)

extern uint64_t filter_words[FILTER_WORDS] __attribute__((visibility("hidden")));

/* Which bit an address has; addresses with equal indexes share it. */
static inline uint32_t filter_index(const void *address)
{
	return (uint32_t)((uintptr_t)address >> FILTER_GRAIN_LOG2) & (FILTER_WORDS * 32 - 1);
}

static inline bool filter_test(const void *address)
{
	uintptr_t a = (uintptr_t)address;
	uint32_t word = (uint32_t)hs_load_relaxed(
		&filter_words[(a >> (FILTER_GRAIN_LOG2 + 5)) % FILTER_WORDS]);

	return word >> ((a >> FILTER_GRAIN_LOG2) & 31) & 1;
}

#define FILTER_COUNT_ONE   (1ull << 32)
#define FILTER_COUNT_MANY  255u
#define FILTER_VERSION_ONE (1ull << 40)

static inline uint32_t filter_count(uint64_t word)
{
	return (uint8_t)(word >> 32);
}

/* Once a sample, while its key can be found in the live table and not be removed. Signal-safe. */
static inline void filter_add(const void *address)
{
	uint32_t index = filter_index(address);
	uint64_t *wordp = &filter_words[index / 32], bit = 1ull << (index & 31);
	uint64_t word = hs_load_relaxed(wordp), added;

	/* The swap orders the key's publication before the word: filter_remove(). */
	do {
		added = (word | bit) + FILTER_VERSION_ONE;
		if (filter_count(word) < FILTER_COUNT_MANY)
			added += FILTER_COUNT_ONE;
	} while (!hs_cas_acq_rel(wordp, &word, added));
}

/*
 * Once a sample, when its key is gone.
 * shared: asks the live table of state whether another sample has the index.
 * After a few collisions with other threads it is not asked again: a bit too many
 * is a false alarm, not an error. Signal-safe.
 */
static inline void filter_remove(struct state_header *state, const void *address,
	bool (*shared)(struct state_header *state, uint32_t index))
{
	uint32_t index = filter_index(address);
	uint64_t *wordp = &filter_words[index / 32], bit = 1ull << (index & 31);
	uint64_t word = hs_load_acquire(wordp), left;
	unsigned tries = 0;

	do {
		left = word;
		/* From 1 to 254: then it counts. */
		if (filter_count(word) - 1 < FILTER_COUNT_MANY - 1)
			left -= FILTER_COUNT_ONE;
		if (filter_count(left) == 0) {
			left &= ~(uint64_t)UINT32_MAX;
			continue;
		}
		/* Two that share a bit and go at once: one of them sees the other's key gone. */
		hs_fence_seq_cst();
		if (tries++ < 16 && !shared(state, index))
			left &= ~bit;
	} while (!hs_cas_acq_rel(wordp, &word, left));
}

/*
 * For an address whose bit is set, and that no live sample has: clears the bit unless another
 * sample shares it. Where bits were left behind, by a process that sampled every block at first.
 * shared: as above. Signal-safe.
 */
static inline void filter_clear_left_behind(struct state_header *state, const void *address,
	bool (*shared)(struct state_header *state, uint32_t index))
{
	uint32_t index = filter_index(address);
	uint64_t *wordp = &filter_words[index / 32], bit = 1ull << (index & 31);
	uint64_t word = hs_load_acquire(wordp);

	hs_fence_seq_cst();
	/* A sample that was added since has changed the version. */
	if (word & bit && !shared(state, index))
		hs_cas_acq_rel(wordp, &word, word & ~bit);
}

#endif
