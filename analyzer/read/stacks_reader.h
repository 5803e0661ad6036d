/*
 * stacks_reader.h - the varints of the STACKS section, and finding a stack by its id.
 */
#ifndef HEAPSPY_ANALYZER_STACKS_READER_H
#define HEAPSPY_ANALYZER_STACKS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"

struct snapshot;

/*
 * Fills stacks, frames and deaths of s, whose modules are there already, from
 * the body of STACKS. Returns -1 with f filled when the body is damaged; s then
 * still is safe to free.
 */
int stacks_decode(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f);

/*
 * Stack id -> index into snapshot.stacks. Sorted rather than hashed: ids are the
 * file's to choose, and no choice of them makes this slow.
 */
struct stacks_index {
	struct stacks_index_entry {
		uint32_t id;
		uint32_t stack;
	} * entries;
	size_t n_entries;
};

void stacks_index_init(struct stacks_index *index, const struct snapshot *s);
void stacks_index_deinit(struct stacks_index *index);
bool stacks_index_find(const struct stacks_index *index, uint32_t id, uint32_t *stackp);

#endif
