/*
 * dwarf_names.h - functions, lines and inline frames from DWARF 2 to 5.
 */
#ifndef HEAPSPY_SYMBOLS_DWARF_NAMES_H
#define HEAPSPY_SYMBOLS_DWARF_NAMES_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

struct symbols_job;

/*
 * Fills levels, file and line of the addresses of job that the debug info in
 * elf knows; an address may get a line but no function (assembly). Address
 * ranges that begin below text_start are ignored: the linker leaves them for
 * functions it dropped. file_bytes bounds the work done on damaged debug info.
 * Units whose debug info is split off into .dwo files give lines only.
 * Returns false when elf holds no DWARF that can be read.
 */
bool dwarf_names_resolve(
	struct symbols_job *job, Elf *elf, uint64_t text_start, uint64_t file_bytes);

#endif
