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
 * Stack id -> index into snapshot.stacks. Sorted rather than hashed: ids are the file's to
 * choose, and no choice of them makes this slow. As the library spreads them evenly, their top
 * bits lead to a place that holds one or two.
 */
struct stacks_index {
	struct stacks_index_entry {
		uint32_t id;
		uint32_t stack;
	} * entries;     /* by id */
	uint32_t *first; /* by the top bits of an id: its first entry; n_places + 1 of them */
	size_t n_places;
	unsigned shift; /* that leaves the top bits */
};

/*
 * Returns false when two stacks have the same id, which *duplicatep then is; one of them is
 * found. stacks_index_deinit() is due either way.
 */
bool stacks_index_init(struct stacks_index *index, const struct snapshot *s, uint32_t *duplicatep);
void stacks_index_deinit(struct stacks_index *index);
bool stacks_index_find(const struct stacks_index *index, uint32_t id, uint32_t *stackp);

#endif
