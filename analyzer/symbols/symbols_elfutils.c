/*
 * symbols_elfutils.c - the backend on libelf and libdw: owns the order in which
 * a module's sources are asked, and has each module's files open only while it
 * is at work on that module.
 */
#include <libelf.h>
#include <stdlib.h>

#include "analyzer/symbols/debug_file.h"
#include "analyzer/symbols/debug_search.h"
#include "analyzer/symbols/dwarf_names.h"
#include "analyzer/symbols/elf_names.h"
#include "analyzer/symbols/intern.h"
#include "analyzer/symbols/minidebug.h"
#include "analyzer/symbols/names_cache.h"
#include "analyzer/symbols/symbols_backend.h"

/* The files of one module; what was not found is not open. */
struct files {
	struct debug_file own, separate;
	struct debug_file *debug; /* of these, the one with DWARF; or NULL */
};

static bool open_files(struct files *files, struct symbols_job *job)
{
	*files = (struct files){ .own.fd = -1, .separate.fd = -1 };
	debug_search_module(&files->own, &job->module, job->places, &job->unverified, &job->source);
	if (files->own.elf && debug_file_has_dwarf(&files->own))
		files->debug = &files->own;
	else if (debug_search_separate(&files->separate, &files->own, &job->module, job->places))
		files->debug = &files->separate;
	else if (debug_search_link(&files->own))
		job->debug_link = intern_string(job->pool, debug_search_link(&files->own));
	return files->own.elf || files->debug;
}

static bool any_left(const struct symbols_job *job)
{
	for (size_t i = 0; i < job->n_addresses; i++) {
		if (symbols_address_needs_symbol(&job->addresses[i]))
			return true;
	}
	return false;
}

static size_t name_by_minidebug(struct symbols_job *job, const struct debug_file *own)
{
	struct debug_file unpacked;
	size_t n_symbols;

	if (!minidebug_open(&unpacked, own))
		return 0;
	n_symbols = elf_names_resolve(job, unpacked.elf, SHT_SYMTAB);
	debug_file_close(&unpacked);
	return n_symbols;
}

static void name_all(struct symbols_job *job, const struct files *files)
{
	size_t n_symbols = 0, n_exported = 0;
	bool has_dwarf = false, is_split = false;

	if (files->debug)
		has_dwarf = dwarf_names_resolve(
			job, files->debug, elf_names_text_start(files->debug->elf), &is_split);
	if (files->separate.elf && any_left(job))
		n_symbols += elf_names_resolve(job, files->separate.elf, SHT_SYMTAB);
	if (files->own.elf && any_left(job))
		n_symbols += elf_names_resolve(job, files->own.elf, SHT_SYMTAB);
	if (files->own.elf && any_left(job))
		n_exported += elf_names_resolve(job, files->own.elf, SHT_DYNSYM);
	if (files->own.elf && any_left(job))
		n_symbols += name_by_minidebug(job, &files->own);
	job->source = is_split     ? SYMBOLS_SPLIT
		      : has_dwarf  ? SYMBOLS_DWARF
		      : n_symbols  ? SYMBOLS_SYMTAB
		      : n_exported ? SYMBOLS_DYNSYM
				   : SYMBOLS_EMPTY;
}

/* As name_all(), for the addresses that are not answered yet. False when out of memory. */
static bool name_rest(struct symbols_job *job, const struct files *files, size_t n_answered)
{
	struct symbols_job rest = *job;
	size_t next = 0;

	rest.n_addresses = job->n_addresses - n_answered;
	rest.addresses = calloc(rest.n_addresses, sizeof(*rest.addresses));
	if (!rest.addresses)
		return false;
	for (size_t i = 0; i < job->n_addresses; i++) {
		if (!job->addresses[i].answered)
			rest.addresses[next++].vaddr = job->addresses[i].vaddr;
	}
	name_all(&rest, files);
	next = 0;
	for (size_t i = 0; i < job->n_addresses; i++) {
		if (!job->addresses[i].answered)
			job->addresses[i] = rest.addresses[next++];
	}
	free(rest.addresses);
	/* The better of two: the answers before may have needed more than these. */
	if (n_answered == 0 || rest.source < job->source)
		job->source = rest.source;
	return !intern_failed(job->pool);
}

static void name_with_cache(struct symbols_job *job, const struct files *files)
{
	struct names_cache cache;
	struct names_cache_key key;
	size_t n_answered = 0;

	names_cache_key_init(&key, &files->own, &files->separate, job->places->debug_root);
	if (names_cache_open(&cache, job->cache_path, &key))
		n_answered = names_cache_answer(&cache, job);
	if (n_answered < job->n_addresses) {
		if (name_rest(job, files, n_answered))
			names_cache_store(&cache, job->cache_path, &key, job, job->cache_max_bytes);
	}
	names_cache_close(&cache);
}

void symbols_backend_run(struct symbols_job *job)
{
	struct files files;

	if (!open_files(&files, job))
		return;
	if (job->cache_path)
		name_with_cache(job, &files);
	else
		name_all(job, &files);
	debug_file_close(&files.separate);
	debug_file_close(&files.own);
}
