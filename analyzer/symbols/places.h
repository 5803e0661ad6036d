/*
 * places.h - where files with names may be looked for; one for a struct symbols.
 */
#ifndef HEAPSPY_SYMBOLS_PLACES_H
#define HEAPSPY_SYMBOLS_PLACES_H

#include <stdbool.h>

#include "analyzer/symbols/process.h"

enum { PLACES_PROCESSES_MAX = 3 };

struct places {
	const char *debug_root; /* "/usr/lib/debug" */
	bool debuginfod;        /* ask, if DEBUGINFOD_URLS says whom */
	unsigned n_processes;
	struct places_process {
		struct process_id id;
		bool asked, lives;
		struct process process; /* open when lives */
	} processes[PLACES_PROCESSES_MAX];
};

/* Process i of places, i < n_processes; NULL when it does not live any more. */
const struct process *places_process(struct places *places, unsigned i);

/* Adds a process, once; beyond PLACES_PROCESSES_MAX it is left out. */
void places_add_process(struct places *places, const struct process_id *id);

/* Closes the processes. */
void places_deinit(struct places *places);

#endif
