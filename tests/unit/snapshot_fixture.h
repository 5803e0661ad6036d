/*
 * snapshot_fixture.h - builds snapshot files in memory, for the tests of what
 * reads them: sections as raw bytes, joined with right checksums.
 */
#ifndef HEAPSPY_TEST_SNAPSHOT_FIXTURE_H
#define HEAPSPY_TEST_SNAPSHOT_FIXTURE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "heapspy/snapshot.h"
#include "snapshot_codec.h"

struct fixture_bytes {
	uint8_t *data;
	size_t bytes;
};

struct fixture {
	struct heapspy_info info;
	struct fixture_bytes
		bodies[HEAPSPY_SECTION_TICKS + 1]; /* by kind; INFO is made from info */
};

static inline void fixture_add(struct fixture_bytes *b, const void *data, size_t bytes)
{
	b->data = realloc(b->data, b->bytes + bytes + 1);
	if (bytes)
		memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
}

static inline void fixture_add_varint(struct fixture_bytes *b, uint64_t value)
{
	uint8_t out[CODEC_VARINT_MAX_BYTES];

	fixture_add(b, out, codec_put_varint(out, value));
}

/* Returns the offset of a new string. */
static inline uint32_t fixture_add_string(struct fixture *x, const char *text)
{
	uint32_t offset = (uint32_t)x->bodies[HEAPSPY_SECTION_STRINGS].bytes;

	fixture_add(&x->bodies[HEAPSPY_SECTION_STRINGS], text, strlen(text) + 1);
	return offset;
}

static inline void fixture_add_thread(struct fixture *x, const char *name)
{
	uint32_t offset = *name ? fixture_add_string(x, name) : 0;

	fixture_add(&x->bodies[HEAPSPY_SECTION_THREADS], &offset, sizeof(offset));
}

/* A process of 512 KiB interval with the threads "" and "main". */
static inline void fixture_init(struct fixture *x, uint32_t number, uint64_t cut_ns)
{
	memset(x, 0, sizeof(*x));
	fixture_add_string(x, "");
	x->info.number = number;
	x->info.reason = HEAPSPY_REASON_INTERVAL;
	x->info.pid = 4121;
	x->info.start_id = 0xc0ffee;
	x->info.interval_bytes = 512 << 10;
	x->info.variance_unit_log2 = 16;
	x->info.cut_ns = cut_ns;
	x->info.cut_wall_ns = 1700000000000000000ull + cut_ns;
	x->info.comm = fixture_add_string(x, "api");
	fixture_add_thread(x, "");
	fixture_add_thread(x, "main");
}

static inline void fixture_deinit(struct fixture *x)
{
	unsigned kind;

	for (kind = 0; kind <= HEAPSPY_SECTION_TICKS; kind++)
		free(x->bodies[kind].data);
}

static inline void fixture_add_module(
	struct fixture *x, uint32_t serial, const char *path, uint64_t bias)
{
	struct heapspy_module m = {
		.serial = serial,
		.path = fixture_add_string(x, path),
		.start_address = bias + 0x1000,
		.end_address = bias + 0x100000,
		.load_bias = bias,
		.build_id_bytes = 4,
		.build_id = { 0x6d, 0x9e, 0x85, 0xcf },
	};

	fixture_add(&x->bodies[HEAPSPY_SECTION_MODULES], &m, sizeof(m));
}

/* A stack of n_frames return addresses in module 1: first_pc and 16 more for each caller. */
static inline void fixture_add_stack(
	struct fixture *x, uint32_t id, uint64_t first_pc, uint32_t n_frames)
{
	struct fixture_bytes *b = &x->bodies[HEAPSPY_SECTION_STACKS];
	uint32_t i;

	fixture_add_varint(b, id);
	fixture_add_varint(b, 0);
	fixture_add_varint(b, 0);
	fixture_add_varint(b, n_frames);
	for (i = 0; i < n_frames; i++) {
		fixture_add_varint(b, codec_zigzag((int64_t)(i ? 16 : first_pc)) << 1 | !i);
		if (!i)
			fixture_add_varint(b, 1 << 1);
	}
	/* Ten samples of 4096 bytes at the weights of 512 KiB. */
	fixture_add_varint(b, 10);
	fixture_add_varint(b, 10 * 4096);
	fixture_add_varint(b, 10 * 526339);
	fixture_add_varint(b, 10 * 4194283);
	fixture_add_varint(b, 10 * 131585);
	fixture_add_varint(b, 1);
	for (i = 0; i < 5; i++)
		fixture_add_varint(b, codec_zigzag(i % 2 ? -1 : 1));
	fixture_add_varint(b, 1);
	fixture_add_varint(b, 20);
	fixture_add_varint(b, 2);
	fixture_add_varint(b, 2 * 526339);
	fixture_add_varint(b, 2 * 131585);
}

static inline void fixture_add_sample(struct fixture *x, const struct heapspy_sample *sample)
{
	fixture_add(&x->bodies[HEAPSPY_SECTION_LIVE], sample, sizeof(*sample));
}

static inline struct heapspy_sample fixture_sample(
	uint64_t address, uint64_t size, uint64_t birth_ns, uint32_t stack, uint32_t u)
{
	return (struct heapspy_sample){
		.address = address,
		.size_thread = size | 1ull << 48,
		.birth_level = birth_ns,
		.stack = stack,
		.u = u,
	};
}

/* Sets all checksums of a file right whose table lies inside it. */
static inline void fixture_seal(uint8_t *file, size_t bytes)
{
	struct heapspy_file_header header;
	struct codec_hash hash;
	uint32_t i;

	memcpy(&header, file, sizeof(header));
	if (header.n_sections > HEAPSPY_SECTIONS_MAX ||
		sizeof(header) + header.n_sections * sizeof(struct heapspy_section) > bytes)
		return;
	for (i = 0; i < header.n_sections; i++) {
		uint8_t *at = file + sizeof(header) + i * sizeof(struct heapspy_section);
		struct heapspy_section section;

		memcpy(&section, at, sizeof(section));
		if (section.offset > bytes || section.bytes > bytes - section.offset)
			continue;
		section.checksum = codec_checksum(file + section.offset, section.bytes);
		memcpy(at, &section, sizeof(section));
	}
	codec_hash_init(&hash);
	codec_hash_update(&hash, file, offsetof(struct heapspy_file_header, checksum));
	codec_hash_update(
		&hash, file + sizeof(header), header.n_sections * sizeof(struct heapspy_section));
	header.checksum = codec_hash_final(&hash);
	memcpy(file, &header, sizeof(header));
}

/* The file; the caller frees data. Kinds whose bit is set in omit are left out. */
static inline struct fixture_bytes fixture_build(struct fixture *x, uint32_t omit)
{
	struct heapspy_file_header header = { .version = HEAPSPY_FORMAT_VERSION };
	struct heapspy_section sections[HEAPSPY_SECTION_TICKS] = { 0 };
	struct fixture_bytes file = { 0 };
	static const uint8_t zeros[8];
	uint64_t offset;
	uint32_t kind, n = 0;

	memcpy(header.magic, HEAPSPY_MAGIC, HEAPSPY_MAGIC_BYTES);
	x->bodies[HEAPSPY_SECTION_INFO].bytes = 0;
	fixture_add(&x->bodies[HEAPSPY_SECTION_INFO], &x->info, sizeof(x->info));
	for (kind = HEAPSPY_SECTION_INFO; kind <= HEAPSPY_SECTION_TICKS; kind++)
		header.n_sections += !(omit >> kind & 1);
	offset = sizeof(header) + header.n_sections * sizeof(sections[0]);
	for (kind = HEAPSPY_SECTION_INFO; kind <= HEAPSPY_SECTION_TICKS; kind++) {
		if (omit >> kind & 1)
			continue;
		sections[n].kind = kind;
		sections[n].offset = offset;
		sections[n].bytes = x->bodies[kind].bytes;
		offset = (offset + sections[n++].bytes + 7) & ~7ull;
	}
	header.file_bytes = offset;
	fixture_add(&file, &header, sizeof(header));
	fixture_add(&file, sections, n * sizeof(sections[0]));
	for (kind = HEAPSPY_SECTION_INFO; kind <= HEAPSPY_SECTION_TICKS; kind++) {
		if (omit >> kind & 1)
			continue;
		fixture_add(&file, x->bodies[kind].data, x->bodies[kind].bytes);
		fixture_add(&file, zeros, -file.bytes & 7);
	}
	fixture_seal(file.data, file.bytes);
	return file;
}

#endif
