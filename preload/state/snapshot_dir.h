/*
 * snapshot_dir.h - the directory that the snapshots of a process go into.
 *
 * HEAPSPY_DIR, or heapspy.<comm>.<pid> in the working directory of the start,
 * else in $TMPDIR, else in /tmp. A directory belongs to the process image that
 * first wrote into it (its .owner file says which); any other gets
 * <comm>.<pid>.<start>/ inside. So does from the start a process whose parent, or
 * parent's parent, is being profiled: a quick child must not take the directory
 * of the server that made it.
 */
#ifndef HEAPSPY_SNAPSHOT_DIR_H
#define HEAPSPY_SNAPSHOT_DIR_H

#include "state.h"

#define SNAPSHOT_DIR_BYTES 1024

/*
 * The directory of a process, made if need be (0700), by what its state says
 * (dir, cwd, tmpdir, dir_is_parents). out: SNAPSHOT_DIR_BYTES, absolute if the
 * working directory was known. Returns 0, or why not as -errno. Raw system calls.
 */
int snapshot_dir_prepare(const struct state_header *state, char *out);

#endif
