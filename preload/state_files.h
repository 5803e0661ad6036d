/*
 * state_files.h - the directory that states lie in, one file a program image:
 * heapspy.<uid>.<pid>.<start time in ticks>-<start in ns of CLOCK_MONOTONIC>.
 */
#ifndef HEAPSPY_STATE_FILES_H
#define HEAPSPY_STATE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "preload/state/settings.h"
#include "state.h"

/* Of states whose processes are dead a user's files may keep this much, bytes, */
#define STATE_FILES_DEAD_BYTES (64ull << 20)
/* and no more than this part of the file system. */
#define STATE_FILES_DEAD_PART  2

/* The name of a state's file with its directory. By the user of the beginning: rights may go. */
void state_files_path(const struct settings *settings, uint32_t pid, uint64_t start_ticks,
	uint64_t start_ns, char *out, size_t bytes);

/* What the names of all states of one process begin with: its images differ behind it. */
void state_files_prefix(uint32_t pid, uint64_t start_ticks, char *out, size_t bytes);

/* Calls wants() with each name in dir, and removes the files for which it returns true. */
void state_files_scan(const char *dir, bool (*wants)(long dir_fd, const char *name, void *context),
	void *context);

/*
 * At the start of a new program image that makes a state: exec keeps pid and start time, and the
 * image before left its state behind. If somebody may want that for what is in it (samples, written
 * snapshots or a second of life, and not its end written; a child forked for this exec must have
 * lived for a second), it gets now_ns for its exit_ns and stays for heapspy recover; else it goes.
 * pid_namespace: its inode number. States of others, which share the directory, are left alone.
 */
void state_files_end_images(const struct settings *settings, uint32_t pid, uint64_t start_ticks,
	uint64_t pid_namespace, uint64_t now_ns);

/*
 * Removes states of this user whose processes are dead, oldest first, until the rest is within the
 * limits above. Only regular files of this boot and this pid namespace, and none that a holder of
 * the lease will come for. Looks at 512 files at most, stops after 5 ms, and costs one
 * system call while the file system holds less than the limit. state: the caller's own, filled.
 */
void state_files_sweep(const struct settings *settings, const struct state_header *state);

#endif
