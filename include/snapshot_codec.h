/*
 * snapshot_codec.h - varints and the checksum of the snapshot format, for the
 * writer inside the target and the reader at the desk. Inline, no libc, no
 * allocation; safe in any context.
 *
 * Varint: unsigned LEB128, at most 10 bytes. Checksum: XXH64 as specified at
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, seed 0.
 */
#ifndef HEAPSPY_SNAPSHOT_CODEC_H
#define HEAPSPY_SNAPSHOT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_VARINT_MAX_BYTES 10

static inline uint64_t codec_zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t codec_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ -(value & 1));
}

/* Writes value at out (room for CODEC_VARINT_MAX_BYTES); returns its length in bytes. */
static inline unsigned codec_put_varint(uint8_t *out, uint64_t value)
{
	unsigned n = 0;

	while (value >= 0x80) {
		out[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	out[n++] = (uint8_t)value;
	return n;
}

/*
 * Reads a varint at *posp, not past end. Returns false, leaving *posp, when it
 * is cut off, longer than 10 bytes or does not fit into 64 bits.
 */
static inline bool codec_get_varint(const uint8_t **posp, const uint8_t *end, uint64_t *valuep)
{
	const uint8_t *pos = *posp;
	uint64_t value = 0;
	unsigned shift;

	for (shift = 0; shift < 70; shift += 7) {
		uint64_t byte;

		if (pos == end)
			return false;
		byte = *pos++;
		if (shift == 63 && byte > 1)
			return false;
		value |= (byte & 0x7f) << shift;
		if (byte < 0x80) {
			*posp = pos;
			*valuep = value;
			return true;
		}
	}
	return false;
}

struct codec_hash {
	uint64_t lane[4];
	uint64_t total_bytes;
	uint8_t tail[32]; /* bytes not yet mixed in: total_bytes % 32 of them */
};

#define CODEC_P1 0x9E3779B185EBCA87ull
#define CODEC_P2 0xC2B2AE3D27D4EB4Full
#define CODEC_P3 0x165667B19E3779F9ull
#define CODEC_P4 0x85EBCA77C2B2AE63ull
#define CODEC_P5 0x27D4EB2F165667C5ull

static inline uint64_t codec_rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static inline uint64_t codec_load64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t codec_round(uint64_t lane, uint64_t input)
{
	return codec_rotl(lane + input * CODEC_P2, 31) * CODEC_P1;
}

static inline void codec_hash_init(struct codec_hash *h)
{
	h->lane[0] = CODEC_P1 + CODEC_P2;
	h->lane[1] = CODEC_P2;
	h->lane[2] = 0;
	h->lane[3] = 0 - CODEC_P1;
	h->total_bytes = 0;
}

static inline void codec_hash_stripe(struct codec_hash *h, const uint8_t *p)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		h->lane[i] = codec_round(h->lane[i], codec_load64(p + 8 * i));
}

static inline void codec_hash_update(struct codec_hash *h, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	unsigned held = h->total_bytes % 32;

	if (!bytes)
		return;
	h->total_bytes += bytes;
	if (held) {
		unsigned take = 32 - held < bytes ? 32 - held : (unsigned)bytes;

		__builtin_memcpy(h->tail + held, p, take);
		p += take;
		bytes -= take;
		if (held + take < 32)
			return;
		codec_hash_stripe(h, h->tail);
	}
	for (; bytes >= 32; p += 32, bytes -= 32)
		codec_hash_stripe(h, p);
	__builtin_memcpy(h->tail, p, bytes);
}

static inline uint64_t codec_hash_final(const struct codec_hash *h)
{
	const uint8_t *p = h->tail, *end = h->tail + h->total_bytes % 32;
	uint64_t acc;
	unsigned i;

	if (h->total_bytes >= 32) {
		acc = codec_rotl(h->lane[0], 1) + codec_rotl(h->lane[1], 7) +
		      codec_rotl(h->lane[2], 12) + codec_rotl(h->lane[3], 18);
		for (i = 0; i < 4; i++)
			acc = (acc ^ codec_round(0, h->lane[i])) * CODEC_P1 + CODEC_P4;
	} else {
		acc = CODEC_P5;
	}
	acc += h->total_bytes;
	for (; end - p >= 8; p += 8)
		acc = codec_rotl(acc ^ codec_round(0, codec_load64(p)), 27) * CODEC_P1 + CODEC_P4;
	if (end - p >= 4) {
		uint32_t word;

		__builtin_memcpy(&word, p, sizeof(word));
		acc = codec_rotl(acc ^ word * CODEC_P1, 23) * CODEC_P2 + CODEC_P3;
		p += 4;
	}
	for (; p < end; p++)
		acc = codec_rotl(acc ^ *p * CODEC_P5, 11) * CODEC_P1;
	acc = (acc ^ acc >> 33) * CODEC_P2;
	acc = (acc ^ acc >> 29) * CODEC_P3;
	return acc ^ acc >> 32;
}

/* XXH64 of bytes at data, seed 0. */
static inline uint64_t codec_checksum(const void *data, size_t bytes)
{
	struct codec_hash h;

	codec_hash_init(&h);
	codec_hash_update(&h, data, bytes);
	return codec_hash_final(&h);
}

#endif
