/*
 * reasons.h - why a profiling is not as it was asked for, in words: of the error numbers that the
 * library leaves in its state and in each snapshot.
 */
#ifndef HEAPSPY_ANALYZER_REASONS_H
#define HEAPSPY_ANALYZER_REASONS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/strbuf.h"
#include "heapspy/snapshot.h"
#include "state.h"

struct reasons {
	uint32_t flags; /* HEAPSPY_INFO_* */
	uint32_t state_errno, grow_errno, helper_errno, snapshot_errno;
	uint64_t n_lost_snapshots;
};

enum reasons_of {
	REASONS_OF_STATE,     /* there is no file of it */
	REASONS_OF_GROWTH,    /* it could not grow */
	REASONS_OF_SECCOMP,   /* the program set a filter */
	REASONS_OF_HELPER,    /* no thread to write snapshots on time */
	REASONS_OF_SNAPSHOTS, /* some could not be written */
	REASONS_N,
};

struct reasons reasons_of_info(const struct heapspy_info *info);
struct reasons reasons_of_state(const struct state_header *state);

/*
 * Appends what happened, why, what came of it, and what to do, without a full stop. False, and
 * nothing is appended: it did not happen.
 */
bool reasons_add(struct strbuf *out, const struct reasons *reasons, enum reasons_of what);

#endif
