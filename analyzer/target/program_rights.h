/*
 * program_rights.h - whether the kernel marks the start of a program as secure
 * (AT_SECURE), which makes the loader ignore LD_PRELOAD.
 */
#ifndef HEAPSPY_ANALYZER_PROGRAM_RIGHTS_H
#define HEAPSPY_ANALYZER_PROGRAM_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/target/program.h"

/*
 * Whether a start of the file at path by env's user is secure: its effective user
 * or group differs from the caller's real one, or, as newer kernels have it, from
 * the caller's effective one; or a user that is not root gains capabilities. Set-id
 * bits and file capabilities count as the kernel counts them: not on a nosuid
 * mount, set-id bits not under no_new_privs, set-group-id only where the group may
 * execute (security/commoncap.c, fs/exec.c).
 *
 * why: filled with the reason, "set-user-id root", when true.
 */
bool program_rights_grow(
	const char *path, const struct program_environment *env, char *why, size_t why_bytes);

#endif
