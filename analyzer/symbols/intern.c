/*
 * intern.c - owns the strings and frames of a struct symbols: a bump allocator
 * and an open-addressing hash table of the distinct strings in it. What the
 * strings mean is left to the callers.
 */
#include "analyzer/symbols/intern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024, FIRST_SLOTS = 256 };

struct chunk {
	struct chunk *next;
	size_t used_bytes, size_bytes; /* used_bytes <= size_bytes */
	_Alignas(max_align_t) char data[];
};

struct intern {
	struct chunk *chunks;    /* the one in use first */
	struct interned **slots; /* n_slots is a power of two; n_entries <= n_slots / 2 */
	size_t n_slots, n_entries;
	bool failed;
};

struct intern *intern_new(void)
{
	struct intern *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->n_slots = FIRST_SLOTS;
	pool->slots = calloc(pool->n_slots, sizeof(*pool->slots));
	if (!pool->slots) {
		free(pool);
		return NULL;
	}
	return pool;
}

void intern_free(struct intern *pool)
{
	if (!pool)
		return;
	while (pool->chunks) {
		struct chunk *next = pool->chunks->next;

		free(pool->chunks);
		pool->chunks = next;
	}
	free(pool->slots);
	free(pool);
}

void *intern_alloc(struct intern *pool, size_t size_bytes)
{
	const size_t align = _Alignof(max_align_t);
	size_t rounded = (size_bytes + align - 1) & ~(align - 1);
	struct chunk *chunk = pool->chunks;

	if (rounded < size_bytes) {
		pool->failed = true;
		return NULL;
	}
	if (!chunk || chunk->size_bytes - chunk->used_bytes < rounded) {
		size_t data_bytes = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;

		chunk = calloc(1, sizeof(*chunk) + data_bytes);
		if (!chunk) {
			pool->failed = true;
			return NULL;
		}
		chunk->size_bytes = data_bytes;
		chunk->next = pool->chunks;
		pool->chunks = chunk;
	}
	chunk->used_bytes += rounded;
	return chunk->data + chunk->used_bytes - rounded;
}

/* FNV-1a: short keys, no attacker who gains from collisions. */
static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return hash ^ hash >> 32;
}

static struct interned **find_slot(struct interned **slots, size_t n_slots, const char *text)
{
	size_t i = hash_of(text) & (n_slots - 1);

	while (slots[i] && strcmp(slots[i]->text, text) != 0)
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

static bool grow(struct intern *pool)
{
	size_t n_slots = pool->n_slots * 2;
	struct interned **slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < pool->n_slots; i++) {
		if (pool->slots[i])
			*find_slot(slots, n_slots, pool->slots[i]->text) = pool->slots[i];
	}
	free(pool->slots);
	pool->slots = slots;
	pool->n_slots = n_slots;
	return true;
}

struct interned *intern_entry(struct intern *pool, const char *text)
{
	struct interned **slot = find_slot(pool->slots, pool->n_slots, text);
	size_t text_bytes = strlen(text) + 1;
	struct interned *entry;
	char *copy;

	if (*slot)
		return *slot;
	if (pool->n_entries >= pool->n_slots / 2) {
		if (!grow(pool)) {
			pool->failed = true;
			return NULL;
		}
		slot = find_slot(pool->slots, pool->n_slots, text);
	}
	entry = intern_alloc(pool, sizeof(*entry));
	copy = intern_alloc(pool, text_bytes);
	if (!entry || !copy)
		return NULL;
	memcpy(copy, text, text_bytes);
	entry->text = copy;
	*slot = entry;
	pool->n_entries++;
	return entry;
}

const char *intern_string(struct intern *pool, const char *text)
{
	struct interned *entry = intern_entry(pool, text);

	return entry ? entry->text : NULL;
}

bool intern_failed(const struct intern *pool)
{
	return pool->failed;
}
