/*
 * section_reader.h - the sections of a snapshot file, taken apart one by one. For
 * snapshot_reader.c, which knows where they lie and that their checksums are right; what is in
 * them is as hostile as before.
 */
#ifndef HEAPSPY_ANALYZER_SECTION_READER_H
#define HEAPSPY_ANALYZER_SECTION_READER_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/read/snapshot_reader.h"

/*
 * Fills what is in the section from its body, for which the sections that section_needs() says are
 * in s already; LIVE without STACKS keeps the ids of stacks. Returns -1 with f filled when the
 * body is damaged; s then still is safe to free.
 */
int section_decode(
	struct snapshot *s, uint32_t kind, const uint8_t *body, size_t bytes, struct fail *f);

/* INFO alone, of the file called name. */
int section_decode_info(const uint8_t *body, size_t bytes, const char *name,
	struct heapspy_info *info, struct fail *f);

/* Sections a section refers to (bit k: kind k); without them it cannot be checked nor used. */
uint32_t section_needs(uint32_t kind);

/* Fills f with "'name' is damaged: ..." and returns -1. */
int section_damaged(const char *name, struct fail *f, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
