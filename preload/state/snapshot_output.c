/*
 * snapshot_output.c - owns the outer shape of a snapshot file: buffer, section
 * table, checksums, header. What stands in a section is snapshot_writer.c's.
 */
#include <string.h>
#include "preload/state/snapshot_output.h"

void snapshot_output_init(struct snapshot_output *out, struct snapshot_sink *sink)
{
	memset(out, 0, sizeof(*out));
	out->sink = sink;
	out->ok = true;
	out->offset = sizeof(struct heapspy_file_header) + sizeof(out->table);
}

/* Takes what the open section has put into the buffer into its checksum and length. */
static void hash_held(struct snapshot_output *out)
{
	struct heapspy_section *s = &out->table[out->n_sections - 1];

	codec_hash_update(&out->hash, out->sink->buffer + out->hashed, out->held - out->hashed);
	s->bytes += out->held - out->hashed;
	out->hashed = out->held;
}

static void flush(struct snapshot_output *out)
{
	hash_held(out);
	if (out->ok && out->held)
		out->ok = out->sink->write(
			out->sink->context, out->offset, out->sink->buffer, out->held);
	out->offset += out->held;
	out->held = 0;
	out->hashed = 0;
}

void snapshot_output_put(struct snapshot_output *out, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes) {
		size_t take = out->sink->buffer_bytes - out->held;

		if (take > bytes)
			take = bytes;
		memcpy(out->sink->buffer + out->held, p, take);
		out->held += take;
		p += take;
		bytes -= take;
		if (out->held == out->sink->buffer_bytes)
			flush(out);
	}
}

void snapshot_output_varint(struct snapshot_output *out, uint64_t value)
{
	if (out->sink->buffer_bytes - out->held < CODEC_VARINT_MAX_BYTES)
		flush(out);
	out->held += codec_put_varint(out->sink->buffer + out->held, value);
}

void snapshot_output_signed(struct snapshot_output *out, uint64_t value)
{
	snapshot_output_varint(out, codec_zigzag((int64_t)value));
}

void snapshot_output_begin(struct snapshot_output *out, enum heapspy_section_kind kind)
{
	/* The gap before a section belongs to none. */
	while ((out->offset + out->held) % 8) {
		out->sink->buffer[out->held++] = 0;
		out->hashed = out->held;
		if (out->held == out->sink->buffer_bytes)
			flush(out);
	}
	out->table[out->n_sections++] =
		(struct heapspy_section){ .kind = kind, .offset = out->offset + out->held };
	codec_hash_init(&out->hash);
}

void snapshot_output_end(struct snapshot_output *out)
{
	hash_held(out);
	out->table[out->n_sections - 1].checksum = codec_hash_final(&out->hash);
}

bool snapshot_output_finish(struct snapshot_output *out)
{
	struct heapspy_file_header header = { .version = HEAPSPY_FORMAT_VERSION };
	struct codec_hash hash;

	flush(out);
	header.n_sections = out->n_sections;
	header.file_bytes = out->offset;
	memcpy(header.magic, HEAPSPY_MAGIC, sizeof(header.magic));
	codec_hash_init(&hash);
	codec_hash_update(&hash, &header, offsetof(struct heapspy_file_header, checksum));
	codec_hash_update(&hash, out->table, sizeof(out->table));
	header.checksum = codec_hash_final(&hash);
	return out->ok && out->sink->write(out->sink->context, 0, &header, sizeof(header)) &&
	       out->sink->write(out->sink->context, sizeof(header), out->table, sizeof(out->table));
}
