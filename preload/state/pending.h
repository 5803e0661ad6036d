/*
 * pending.h - the part of bytes_seen that threads still hold back: what each has
 * allocated since its last sample.
 */
#ifndef HEAPSPY_PENDING_H
#define HEAPSPY_PENDING_H

#include <stdbool.h>
#include <stdint.h>
#include "state.h"

/*
 * Sums over the threads that state names. Their memory is read through
 * process_vm_readv, also by the process itself, because a thread may unmap its
 * TLS at any time.
 * pid: of the process, as seen from here.
 * Returns false when some thread's memory could not be read: a lower bound.
 */
bool pending_sum(const struct state_header *state, uint32_t pid, uint64_t *bytesp);

#endif
