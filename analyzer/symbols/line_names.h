/*
 * line_names.h - file and line from the line table of a DWARF unit.
 */
#ifndef HEAPSPY_SYMBOLS_LINE_NAMES_H
#define HEAPSPY_SYMBOLS_LINE_NAMES_H

#include <elfutils/libdw.h>
#include <stddef.h>
#include <stdint.h>

struct symbols_job;

/*
 * Fills file and line of the given addresses (indices into job->addresses)
 * that have none and lie in the line table of unit.
 */
void line_names_resolve(
	struct symbols_job *job, Dwarf_Die *unit, const uint32_t *indices, size_t n_indices);

/* A copy of a path owned by the job's pool; NULL for NULL. */
const char *line_names_file(struct symbols_job *job, const char *path);

#endif
