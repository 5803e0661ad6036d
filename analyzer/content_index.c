/* content_index.c - owns the hash table. What is equal is the caller's to say. */
#include "analyzer/content_index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "analyzer/alloc.h"
#include "sample_math.h"
#include "snapshot_codec.h"

void content_index_init(struct content_index *index)
{
	memset(index, 0, sizeof(*index));
	if (getrandom(&index->seed, sizeof(index->seed), GRND_NONBLOCK) < 0)
		index->seed = (uintptr_t)index;
	index->n_slots = 64;
	index->slots = alloc_array(index->n_slots, sizeof(*index->slots));
}

void content_index_deinit(struct content_index *index)
{
	free(index->slots);
	memset(index, 0, sizeof(*index));
}

/* Both halves of the product of two words, mixed: each bit of the result hangs on all of both. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	sample_u128 product = (sample_u128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two words a step, as wyhash does (Wang Yi); short keys are what there is most of. */
uint64_t content_index_hash(const struct content_index *index, const void *key, size_t bytes)
{
	const uint8_t *p = key;
	uint64_t hash = index->seed, last[2] = { 0, 0 };
	size_t left = bytes;

	for (; left > 16; p += 16, left -= 16)
		hash = fold(codec_load64(p) ^ CODEC_P1, codec_load64(p + 8) ^ hash);
	if (left > 8) {
		last[0] = codec_load64(p);
		last[1] = codec_load64(p + left - 8);
	} else if (left) {
		memcpy(last, p, left);
	}
	hash = fold(last[0] ^ CODEC_P1, last[1] ^ hash);
	return fold(hash ^ CODEC_P3, bytes ^ CODEC_P2);
}

static struct content_index_slot *slot_at(const struct content_index *index, uint64_t at)
{
	return &index->slots[at & (index->n_slots - 1)];
}

bool content_index_next(
	const struct content_index *index, uint64_t hash, uint64_t *atp, size_t *valuep)
{
	const struct content_index_slot *slot;

	for (;;) {
		slot = slot_at(index, (*atp)++);
		if (!slot->value)
			return false;
		if (slot->hash == (uint32_t)hash) {
			*valuep = slot->value - 1;
			return true;
		}
	}
}

static void put(struct content_index *index, uint32_t hash, uint32_t value)
{
	uint64_t at = hash;

	while (slot_at(index, at)->value)
		at++;
	slot_at(index, at)->hash = hash;
	slot_at(index, at)->value = value;
}

static void resize(struct content_index *index, size_t n_slots)
{
	struct content_index_slot *old = index->slots;
	size_t i, n_old = index->n_slots;

	index->n_slots = n_slots;
	index->slots = alloc_array(n_slots, sizeof(*index->slots));
	for (i = 0; i < n_old; i++)
		if (old[i].value)
			put(index, old[i].hash, old[i].value);
	free(old);
}

void content_index_reserve(struct content_index *index, size_t n)
{
	size_t n_slots = index->n_slots;

	while (n_slots / 2 < n)
		n_slots *= 2;
	if (n_slots != index->n_slots)
		resize(index, n_slots);
}

void content_index_add(struct content_index *index, uint64_t hash, size_t value)
{
	if (index->n_values >= index->n_slots / 2)
		resize(index, index->n_slots * 2);
	put(index, (uint32_t)hash, (uint32_t)value + 1);
	index->n_values++;
}
