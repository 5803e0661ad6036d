/*
 * state_seed.h - a sound state with some of everything in it, for those who damage states: the
 * same bytes in each process, but for its pid and start.
 */
#ifndef HEAPSPY_TEST_STATE_SEED_H
#define HEAPSPY_TEST_STATE_SEED_H

#include "state.h"

/* This process's own, in private memory, for as long as the process lives. max_bytes: its cap. */
struct state_header *state_seed(uint64_t max_bytes, unsigned n_samples);

#endif
