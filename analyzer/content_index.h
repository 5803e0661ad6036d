/*
 * content_index.h - finds equal things among many: a hash table from content to
 * a number of the caller's, usually an index into an array of its own.
 *
 * The table keeps 32 bits of each hash; the caller compares. The hash is seeded with
 * random bits, so that a file cannot choose contents that collide.
 *
 *	hash = content_index_hash(&index, key, bytes);
 *	for (at = hash; content_index_next(&index, hash, &at, &value);)
 *		if (the thing with number value equals the key)
 *			return value;
 *	content_index_add(&index, hash, new_value);
 */
#ifndef HEAPSPY_ANALYZER_CONTENT_INDEX_H
#define HEAPSPY_ANALYZER_CONTENT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content_index {
	struct content_index_slot {
		uint32_t hash;
		uint32_t value; /* + 1; 0 empty */
	} * slots;
	size_t n_slots; /* a power of two up to 2^32, at least twice n_values */
	size_t n_values;
	uint64_t seed;
};

void content_index_init(struct content_index *index);
void content_index_deinit(struct content_index *index);

/* Makes room for n values in all, so that adding them does not grow the table step by step. */
void content_index_reserve(struct content_index *index, size_t n);

/* key may be NULL when there are no bytes. */
uint64_t content_index_hash(const struct content_index *index, const void *key, size_t bytes);

/*
 * The next value added with this hash; *atp is the hash at first. Returns false
 * behind the last one.
 */
bool content_index_next(
	const struct content_index *index, uint64_t hash, uint64_t *atp, size_t *valuep);

/* value is below UINT32_MAX. */
void content_index_add(struct content_index *index, uint64_t hash, size_t value);

#endif
