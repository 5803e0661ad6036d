/*
 * preflight.h - what heapspy run makes sure of before it starts anything: that the
 * places it was told of can be written to.
 */
#ifndef HEAPSPY_ANALYZER_PREFLIGHT_H
#define HEAPSPY_ANALYZER_PREFLIGHT_H

#include "analyzer/fail.h"

/*
 * The directory for snapshots, as HEAPSPY_DIR has it (relative to the working
 * directory, with % sequences). Makes the directories above it that are missing,
 * and leaves it itself to the first snapshot. Returns -1 with f filled.
 */
int preflight_dir(const char *dir, struct fail *f);

/* The directory for states: on tmpfs, writable, and files in it not too limited. */
int preflight_state_dir(const char *dir, struct fail *f);

#endif
