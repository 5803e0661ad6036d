/*
 * mutate_sections.c - libFuzzer's mutations of snapshots that keep their frame: one section
 * changes, also in length, and the others follow behind it. Bytes that are put in anywhere else
 * would move all that the table of sections says.
 */
#include <stdlib.h>
#include <string.h>

#include "heapspy/snapshot.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t max_bytes);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t max_bytes, unsigned seed);

struct frame {
	struct heapspy_file_header header;
	struct heapspy_section section[HEAPSPY_SECTIONS_MAX];
};

/* Whether the bytes begin with a frame whose sections lie inside them. */
static int read_frame(const uint8_t *data, size_t bytes, struct frame *f)
{
	size_t table_bytes;
	uint32_t i;

	if (bytes < sizeof(f->header))
		return 0;
	memcpy(&f->header, data, sizeof(f->header));
	table_bytes = f->header.n_sections * sizeof(f->section[0]);
	if (!f->header.n_sections || f->header.n_sections > HEAPSPY_SECTIONS_MAX ||
		table_bytes > bytes - sizeof(f->header))
		return 0;
	memcpy(f->section, data + sizeof(f->header), table_bytes);
	for (i = 0; i < f->header.n_sections; i++)
		if (f->section[i].offset > bytes ||
			f->section[i].bytes > bytes - f->section[i].offset)
			return 0;
	return 1;
}

/* The file anew at out, its section `which` being body; 0 if there is no room. */
static size_t write_frame(const struct frame *old, const uint8_t *data, uint32_t which,
	const uint8_t *body, size_t body_bytes, uint8_t *out, size_t max_bytes)
{
	struct frame f = *old;
	size_t table_bytes = f.header.n_sections * sizeof(f.section[0]);
	size_t at = sizeof(f.header) + table_bytes;
	uint32_t i;

	for (i = 0; i < f.header.n_sections; i++) {
		const uint8_t *from = i == which ? body : data + old->section[i].offset;
		size_t bytes = i == which ? body_bytes : old->section[i].bytes;
		size_t padded = (bytes + 7) & ~(size_t)7;

		if (at > max_bytes || padded > max_bytes - at)
			return 0;
		memcpy(out + at, from, bytes);
		memset(out + at + bytes, 0, padded - bytes);
		f.section[i].offset = at;
		f.section[i].bytes = bytes;
		at += padded;
	}
	f.header.file_bytes = at;
	memcpy(out, &f.header, sizeof(f.header));
	memcpy(out + sizeof(f.header), f.section, table_bytes);
	return at;
}

static size_t mutate_section(
	const struct frame *f, uint8_t *data, size_t bytes, size_t max_bytes, unsigned which)
{
	const struct heapspy_section *s = &f->section[which];
	size_t room = max_bytes > bytes ? max_bytes - bytes : 0, body_bytes, made;
	uint8_t *body = malloc(s->bytes + room + 1), *out = malloc(max_bytes);

	memcpy(body, data + s->offset, s->bytes);
	body_bytes = LLVMFuzzerMutate(body, s->bytes, s->bytes + room);
	made = write_frame(f, data, which, body, body_bytes, out, max_bytes);
	if (made)
		memcpy(data, out, made);
	free(out);
	free(body);
	return made;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t max_bytes, unsigned seed)
{
	size_t made = 0;
	struct frame f;

	if (seed % 8 && read_frame(data, bytes, &f))
		made = mutate_section(&f, data, bytes, max_bytes, seed / 8 % f.header.n_sections);
	return made ? made : LLVMFuzzerMutate(data, bytes, max_bytes);
}
