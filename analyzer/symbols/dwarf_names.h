/*
 * dwarf_names.h - functions, lines and inline frames from DWARF 2 to 5.
 */
#ifndef HEAPSPY_SYMBOLS_DWARF_NAMES_H
#define HEAPSPY_SYMBOLS_DWARF_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct debug_file;
struct symbols_job;

/*
 * Fills levels, file and line of the addresses of job that the debug info in
 * file knows; an address may get a line but no function (assembly). Address
 * ranges that begin below text_start are ignored: the linker leaves them for
 * functions it dropped. The size of the file bounds the work done on damaged debug info.
 * Units whose debug info is split off into .dwo files give lines only; *is_splitp: an
 * address lies in one. Returns false when file holds no DWARF that can be read.
 */
bool dwarf_names_resolve(struct symbols_job *job, const struct debug_file *file,
	uint64_t text_start, bool *is_splitp);

#endif
