/*
 * last_sign.h - until when a process that nobody saw die is known to have lived.
 */
#ifndef HEAPSPY_ANALYZER_LAST_SIGN_H
#define HEAPSPY_ANALYZER_LAST_SIGN_H

#include <stdint.h>

#include "state.h"

/*
 * The latest of: its end, where the state knows it; the start; the last birth or death of a sample;
 * the last heartbeat of a holder of the lease, which looks whether the process lives before it
 * gives one. CLOCK_MONOTONIC, ns. What lies in the future, or before the start, is of a damaged
 * state and does not count. Reads the header only.
 */
uint64_t last_sign_of_header(const struct state_header *state);

/*
 * The same, with the births of all live samples: of two threads that sample at once the one that
 * was later may be noted first. state is a state_copy.
 */
uint64_t last_sign_of_state(const struct state_header *state);

#endif
