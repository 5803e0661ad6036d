/*
 * symbols_elfutils.c - the backend on libelf and libdw: owns the order in which
 * a module's sources are asked, and has each module's files open only while it
 * is at work on that module.
 */
#include <libelf.h>

#include "analyzer/symbols/debug_file.h"
#include "analyzer/symbols/dwarf_names.h"
#include "analyzer/symbols/elf_names.h"
#include "analyzer/symbols/symbols_backend.h"

static bool any_left(const struct symbols_job *job)
{
	for (size_t i = 0; i < job->n_addresses; i++) {
		if (symbols_address_needs_symbol(&job->addresses[i]))
			return true;
	}
	return false;
}

void symbols_backend_run(struct symbols_job *job)
{
	struct debug_file own = { .fd = -1 }, separate = { .fd = -1 };
	struct debug_file *debug = NULL;
	size_t n_symbols = 0, n_exported = 0;
	bool has_dwarf = false;

	if (!debug_file_open_module(
		    &own, &job->module, job->debug_root, &job->unverified, &job->source))
		own.elf = NULL;
	if (own.elf && debug_file_has_dwarf(&own))
		debug = &own;
	else if (debug_file_open_separate(&separate, &own, &job->module, job->debug_root))
		debug = &separate;
	if (!own.elf && !debug)
		return;
	if (debug)
		has_dwarf = dwarf_names_resolve(
			job, debug->elf, elf_names_text_start(debug->elf), debug->size_bytes);
	if (separate.elf && any_left(job))
		n_symbols += elf_names_resolve(job, separate.elf, SHT_SYMTAB);
	if (own.elf && any_left(job))
		n_symbols += elf_names_resolve(job, own.elf, SHT_SYMTAB);
	if (own.elf && any_left(job))
		n_exported += elf_names_resolve(job, own.elf, SHT_DYNSYM);
	job->source = has_dwarf    ? SYMBOLS_DWARF
		      : n_symbols  ? SYMBOLS_SYMTAB
		      : n_exported ? SYMBOLS_DYNSYM
				   : SYMBOLS_EMPTY;
	debug_file_close(&separate);
	debug_file_close(&own);
}
