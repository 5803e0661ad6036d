/*
 * snapshot_output.h - a snapshot file as it is written: sections one after the
 * other through a buffer, then the header with the section table. Allocates
 * nothing; for snapshot_writer.c.
 */
#ifndef HEAPSPY_SNAPSHOT_OUTPUT_H
#define HEAPSPY_SNAPSHOT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "heapspy/snapshot.h"
#include "snapshot_codec.h"

/* Where the bytes go. Offsets are given so that the header can be written last. */
struct snapshot_sink {
	bool (*write)(void *context, uint64_t offset, const void *data, size_t bytes);
	void *context;
	uint8_t *buffer; /* working memory, 8-byte aligned, at least SNAPSHOT_BUFFER_BYTES */
	size_t buffer_bytes;
};

#define SNAPSHOT_BUFFER_BYTES    8192
#define SNAPSHOT_OUTPUT_SECTIONS 7 /* of every file */

struct snapshot_output {
	struct snapshot_sink *sink;
	uint64_t offset; /* in the file, of buffer[0] */
	size_t held;     /* bytes in the buffer, */
	size_t hashed;   /* and how many of them are in the checksum */
	struct codec_hash hash;
	struct heapspy_section table[SNAPSHOT_OUTPUT_SECTIONS];
	unsigned n_sections;
	bool ok; /* the sink has taken everything so far */
};

/* An empty file; out is the caller's memory, sink outlives it. */
void snapshot_output_init(struct snapshot_output *out, struct snapshot_sink *sink);

/* A section: begin, any number of the three below, end. */
void snapshot_output_begin(struct snapshot_output *out, enum heapspy_section_kind kind);
void snapshot_output_put(struct snapshot_output *out, const void *data, size_t bytes);
void snapshot_output_varint(struct snapshot_output *out, uint64_t value);
/* value: a difference of counters, taken as signed. */
void snapshot_output_signed(struct snapshot_output *out, uint64_t value);
void snapshot_output_end(struct snapshot_output *out);

/* Writes what is left and the header. Returns whether the sink took all of it. */
bool snapshot_output_finish(struct snapshot_output *out);

#endif
