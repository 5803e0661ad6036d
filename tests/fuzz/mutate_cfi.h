/*
 * mutate_cfi.h - frame information of real objects, damaged in seeded ways.
 */
#ifndef HEAPSPY_TEST_MUTATE_CFI_H
#define HEAPSPY_TEST_MUTATE_CFI_H

#include <stddef.h>
#include <stdint.h>
#include "preload/cfi_interp.h"
#include "sample_math.h"

#define MUTATION_BYTES 64
#define MUTATIONS_MAX  4
#define OTHERS         16

/* What some places held before. */
struct mutation {
	uint8_t *at[MUTATIONS_MAX];
	uint8_t before[MUTATIONS_MAX][MUTATION_BYTES];
	size_t n_bytes[MUTATIONS_MAX];
	unsigned n;
	uintptr_t pc; /* the function whose entry was damaged */
	uint32_t pc_bytes;
	uintptr_t others[OTHERS]; /* pcs in functions that were left as they are, most likely */
};

/* A number below n, which is above 0. */
uint64_t mutate_below(struct sample_rng *rng, uint64_t n);

/* How many functions the search table of a sound section has, and where each begins. */
unsigned mutate_n_entries(const struct cfi_section *section);
uintptr_t mutate_pc_start(const struct cfi_section *section, unsigned entry);

/*
 * Damages a sound section, as linkers write it and in memory that can be written to:
 * the header, the search table, one entry and what it shares with others. Notes how
 * to undo that.
 */
void mutate(const struct cfi_section *section, struct sample_rng *rng, struct mutation *made);
void mutate_undo(struct mutation *made);

#endif
