/*
 * run_dir.h - the snapshots in a run directory, NNNNNN.hspy, by number.
 *
 * A run directory may hold other runs: with HEAPSPY_DIR set, each further process writes
 * into a directory of its own inside it.
 */
#ifndef HEAPSPY_ANALYZER_RUN_DIR_H
#define HEAPSPY_ANALYZER_RUN_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "heapspy/snapshot.h"

#define RUN_LABEL_BYTES 128

struct run_entry {
	char *path;
	uint64_t number; /* from the file name */
	struct heapspy_info info;
	char label[RUN_LABEL_BYTES]; /* cut to fit */
};

struct run_dir {
	struct run_entry *entries; /* readable ones, ascending by number */
	size_t n_entries;
	size_t n_unreadable;
	uint64_t first_unreadable; /* the lowest number of these */
	struct fail first_failure; /* why that one */
	size_t n_newer_inside;     /* runs inside whose last snapshot is newer than all of ours */
	char *newest_inside;       /* path of the newest of these; NULL: none */
	size_t n_inside;           /* runs inside */
	char *largest_inside; /* the one of the highest peak, if that is above ours; else NULL */
	uint64_t largest_peak_bytes;
};

/*
 * Lists the directory at path and peeks into each snapshot. A directory without
 * a readable one of its own is an error. run_dir_deinit() frees what is in *run.
 */
int run_dir_read(const char *path, struct run_dir *run, struct fail *f);

/* The highest number of a snapshot file at path, readable or not; 0: there is none. Cheap. */
uint64_t run_dir_last_number(const char *path);

void run_dir_deinit(struct run_dir *run);

#endif
