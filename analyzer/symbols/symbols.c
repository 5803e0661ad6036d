/*
 * symbols.c - owns the modules, the requested addresses and the frames that
 * came back, including the "module+0xoffset" of what has no name. Reading ELF
 * and DWARF is left to the backend (symbols_backend.h).
 */
#include "analyzer/symbols/symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/cache_dir.h"
#include "analyzer/symbols/intern.h"
#include "analyzer/symbols/places.h"
#include "analyzer/symbols/symbols_backend.h"

struct resolved {
	uint64_t vaddr;
	const struct symbol_frame *frames; /* NULL: requested, not resolved */
	unsigned n_frames;
	bool named;
};

struct module {
	const char *path, *label; /* label: basename, for module+0xoffset */
	const char *build_id_text;
	uint8_t build_id[SYMBOLS_BUILD_ID_MAX];
	unsigned build_id_len;
	struct resolved *entries; /* [0, n_sorted) ascending and distinct, then new requests */
	size_t n_sorted, n_entries, n_allocated;
	enum symbols_source source;
	bool unverified;
	const char *debug_link;
};

struct symbols {
	struct intern *pool;
	struct places places;
	const char *cache_path; /* NULL: off */
	uint64_t cache_max_bytes;
	symbols_progress_fn progress;
	void *progress_data;
	size_t n_wanted, n_done; /* addresses of the resolve at work, for progress */
	struct module *modules;
	unsigned n_modules, n_allocated;
};

/* What a lookup returns when there is no memory left for a better answer. */
static const struct symbol_frame nameless = { .function = "?" };

struct symbols *symbols_new(void)
{
	struct symbols *symbols = calloc(1, sizeof(*symbols));

	if (!symbols)
		return NULL;
	symbols->pool = intern_new();
	if (!symbols->pool) {
		free(symbols);
		return NULL;
	}
	symbols->places.debug_root = "/usr/lib/debug";
	return symbols;
}

void symbols_free(struct symbols *symbols)
{
	if (!symbols)
		return;
	for (unsigned i = 0; i < symbols->n_modules; i++)
		free(symbols->modules[i].entries);
	free(symbols->modules);
	places_deinit(&symbols->places);
	intern_free(symbols->pool);
	free(symbols);
}

int symbols_set_debug_root(struct symbols *symbols, const char *root)
{
	const char *copy = intern_string(symbols->pool, root);

	if (!copy)
		return -ENOMEM;
	symbols->places.debug_root = copy;
	return 0;
}

void symbols_add_process(struct symbols *symbols, const struct process_id *id)
{
	places_add_process(&symbols->places, id);
}

void symbols_allow_debuginfod(struct symbols *symbols, bool allowed)
{
	symbols->places.debuginfod = allowed;
}

int symbols_set_cache(struct symbols *symbols, const char *path, uint64_t max_bytes)
{
	const char *copy = path ? intern_string(symbols->pool, path) : NULL;

	if (path && !copy)
		return -ENOMEM;
	symbols->cache_path = copy;
	symbols->cache_max_bytes = max_bytes ? max_bytes : CACHE_DIR_MAX_BYTES;
	return 0;
}

void symbols_set_progress(struct symbols *symbols, symbols_progress_fn progress, void *data)
{
	symbols->progress = progress;
	symbols->progress_data = data;
}

/* The last component, without the kernel's mark of a file that has been replaced. */
static const char *label_of(struct intern *pool, const char *path)
{
	static const char deleted[] = " (deleted)";
	const char *slash = strrchr(path, '/');
	const char *base = slash && slash[1] ? slash + 1 : path;
	size_t length = strlen(base);
	const char *label;
	char *copy;

	if (length == 0)
		return intern_string(pool, "[unknown]");
	if (length > strlen(deleted) && strcmp(base + length - strlen(deleted), deleted) == 0)
		length -= strlen(deleted);
	copy = strndup(base, length);
	label = copy ? intern_string(pool, copy) : NULL;
	free(copy);
	return label;
}

static const char *hex_of(struct intern *pool, const uint8_t *bytes, unsigned n_bytes)
{
	char text[2 * SYMBOLS_BUILD_ID_MAX + 1] = "";

	for (unsigned i = 0; i < n_bytes; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return intern_string(pool, text);
}

int symbols_add_module(struct symbols *symbols, const struct symbol_module_ref *ref)
{
	unsigned build_id_len = ref->build_id_len;
	struct module *module;

	if (build_id_len > SYMBOLS_BUILD_ID_MAX)
		build_id_len = SYMBOLS_BUILD_ID_MAX;
	for (unsigned i = 0; i < symbols->n_modules; i++) {
		module = &symbols->modules[i];
		if (module->build_id_len == build_id_len && strcmp(module->path, ref->path) == 0 &&
			(build_id_len == 0 ||
				memcmp(module->build_id, ref->build_id, build_id_len) == 0))
			return (int)i;
	}
	if (symbols->n_modules == symbols->n_allocated) {
		unsigned n = symbols->n_allocated ? 2 * symbols->n_allocated : 16;
		struct module *grown = reallocarray(symbols->modules, n, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		symbols->modules = grown;
		symbols->n_allocated = n;
	}
	module = &symbols->modules[symbols->n_modules];
	memset(module, 0, sizeof(*module));
	module->build_id_len = build_id_len;
	if (build_id_len)
		memcpy(module->build_id, ref->build_id, build_id_len);
	module->path = intern_string(symbols->pool, ref->path);
	module->label = label_of(symbols->pool, ref->path);
	module->build_id_text = hex_of(symbols->pool, module->build_id, build_id_len);
	if (!module->path || !module->label || !module->build_id_text)
		return -ENOMEM;
	return (int)symbols->n_modules++;
}

static struct resolved *find_sorted(const struct module *module, uint64_t vaddr)
{
	size_t low = 0, high = module->n_sorted;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (module->entries[middle].vaddr < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < module->n_sorted && module->entries[low].vaddr == vaddr)
		return &module->entries[low];
	return NULL;
}

int symbols_request(struct symbols *symbols, int handle, uint64_t vaddr)
{
	struct module *module = &symbols->modules[handle];

	if (find_sorted(module, vaddr))
		return 0;
	if (module->n_entries > module->n_sorted &&
		module->entries[module->n_entries - 1].vaddr == vaddr)
		return 0;
	if (module->n_entries == module->n_allocated) {
		size_t n = module->n_allocated ? 2 * module->n_allocated : 64;
		struct resolved *grown = reallocarray(module->entries, n, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		module->entries = grown;
		module->n_allocated = n;
	}
	module->entries[module->n_entries++] = (struct resolved){ .vaddr = vaddr };
	return 0;
}

static int by_vaddr(const void *a, const void *b)
{
	const struct resolved *left = a, *right = b;

	return (left->vaddr > right->vaddr) - (left->vaddr < right->vaddr);
}

/* Duplicates are among the new requests only: symbols_request() looks at the sorted ones. */
static void sort_requests(struct module *module)
{
	size_t n_kept = 0;

	if (module->n_entries == module->n_sorted)
		return;
	qsort(module->entries, module->n_entries, sizeof(*module->entries), by_vaddr);
	for (size_t i = 0; i < module->n_entries; i++) {
		if (n_kept && module->entries[n_kept - 1].vaddr == module->entries[i].vaddr)
			continue;
		module->entries[n_kept++] = module->entries[i];
	}
	module->n_entries = module->n_sorted = n_kept;
}

bool symbols_address_push(struct symbols_address *address, const struct symbols_level *level)
{
	/* Room grows at powers of two, so the count alone says when it is used up. */
	if ((address->n_levels & (address->n_levels - 1)) == 0) {
		unsigned n = address->n_levels ? 2 * address->n_levels : 1;
		struct symbols_level *grown;

		if (n > SYMBOLS_LEVELS_MAX)
			return false;
		grown = reallocarray(address->levels, n, sizeof(*grown));
		if (!grown)
			return false;
		address->levels = grown;
	}
	address->levels[address->n_levels++] = *level;
	return true;
}

/* NULL when out of memory. */
static struct symbol_frame *offset_frame(
	struct symbols *symbols, const struct module *module, uint64_t vaddr)
{
	struct symbol_frame *frame = intern_alloc(symbols->pool, sizeof(*frame));
	char *text;

	if (!frame || asprintf(&text, "%s+0x%" PRIx64, module->label, vaddr) < 0)
		return NULL;
	frame->function = intern_string(symbols->pool, text);
	free(text);
	return frame->function ? frame : NULL;
}

/*
 * Turns the backend's outermost-first levels round. A level without a name is
 * left out, but its call site is the line of the frame around it.
 */
static void keep_frames(struct symbols *symbols, const struct module *module,
	const struct symbols_address *from, struct resolved *entry)
{
	unsigned n = 0;
	struct symbol_frame *frames;

	for (unsigned i = 0; i < from->n_levels; i++)
		n += from->levels[i].function != NULL;
	frames = n ? intern_alloc(symbols->pool, n * sizeof(*frames))
		   : offset_frame(symbols, module, entry->vaddr);

	entry->named = n > 0;
	entry->n_frames = n ? n : 1;
	if (!frames) {
		entry->frames = &nameless;
		entry->n_frames = 1;
		return;
	}
	if (n == 0) {
		frames->file = from->file;
		frames->line = from->line;
	}
	for (unsigned i = 0, next = n; i < from->n_levels; i++) {
		struct symbol_frame *frame;
		bool innermost = i == from->n_levels - 1;

		if (!from->levels[i].function)
			continue;
		frame = &frames[--next];
		frame->function = from->levels[i].function;
		frame->file = innermost ? from->file : from->levels[i + 1].call_file;
		frame->line = innermost ? from->line : from->levels[i + 1].call_line;
		frame->inlined = next < n - 1;
		frame->bare = from->bare;
	}
	entry->frames = frames;
}

static size_t count_new(const struct module *module)
{
	size_t n = 0;

	for (size_t i = 0; i < module->n_entries; i++)
		n += module->entries[i].frames == NULL;
	return n;
}

static void report_progress(struct symbols_job *job, size_t n_done)
{
	const struct symbols *symbols = job->progress_data;

	if (symbols->progress)
		symbols->progress(symbols->progress_data, job->module.path,
			symbols->n_done + n_done, symbols->n_wanted);
}

static int resolve_module(struct symbols *symbols, struct module *module)
{
	struct symbols_job job = {
		.pool = symbols->pool,
		.places = &symbols->places,
		.cache_path = symbols->cache_path,
		.cache_max_bytes = symbols->cache_max_bytes,
		.module = { module->path, module->build_id, module->build_id_len },
		.n_addresses = count_new(module),
		.progress = report_progress,
		.progress_data = symbols,
	};
	size_t next = 0;

	if (job.n_addresses == 0)
		return 0;
	job.addresses = calloc(job.n_addresses, sizeof(*job.addresses));
	if (!job.addresses)
		return -ENOMEM;
	for (size_t i = 0; i < module->n_entries; i++) {
		if (!module->entries[i].frames)
			job.addresses[next++].vaddr = module->entries[i].vaddr;
	}
	report_progress(&job, 0);
	symbols_backend_run(&job);
	symbols->n_done += job.n_addresses;
	module->source = job.source;
	module->unverified = job.unverified;
	module->debug_link = job.debug_link;
	next = 0;
	for (size_t i = 0; i < module->n_entries; i++) {
		if (module->entries[i].frames)
			continue;
		keep_frames(symbols, module, &job.addresses[next], &module->entries[i]);
		free(job.addresses[next].levels);
		next++;
	}
	free(job.addresses);
	return 0;
}

int symbols_resolve(struct symbols *symbols)
{
	symbols->n_wanted = symbols->n_done = 0;
	for (unsigned i = 0; i < symbols->n_modules; i++) {
		sort_requests(&symbols->modules[i]);
		symbols->n_wanted += count_new(&symbols->modules[i]);
	}
	for (unsigned i = 0; i < symbols->n_modules; i++) {
		int error = resolve_module(symbols, &symbols->modules[i]);

		if (error)
			return error;
	}
	return intern_failed(symbols->pool) ? -ENOMEM : 0;
}

const struct symbol_frame *symbols_lookup(
	struct symbols *symbols, int handle, uint64_t vaddr, unsigned *n_framesp)
{
	const struct module *module = &symbols->modules[handle];
	const struct resolved *entry = find_sorted(module, vaddr);
	const struct symbol_frame *frame;

	if (entry && entry->frames) {
		*n_framesp = entry->n_frames;
		return entry->frames;
	}
	frame = offset_frame(symbols, module, vaddr);
	*n_framesp = 1;
	return frame ? frame : &nameless;
}

unsigned symbols_module_count(const struct symbols *symbols)
{
	return symbols->n_modules;
}

void symbols_get_report(const struct symbols *symbols, int handle, struct symbols_report *reportp)
{
	const struct module *module = &symbols->modules[handle];

	*reportp = (struct symbols_report){
		.path = module->path,
		.build_id = module->build_id_text,
		.source = module->source,
		.debug_link = module->debug_link,
		.unverified = module->unverified,
	};
	for (size_t i = 0; i < module->n_sorted; i++) {
		if (!module->entries[i].frames)
			continue;
		reportp->n_addresses++;
		reportp->n_unnamed += !module->entries[i].named;
	}
}

const char *symbols_source_text(enum symbols_source source)
{
	switch (source) {
	case SYMBOLS_DWARF:
		return NULL;
	case SYMBOLS_NOT_RESOLVED:
		return "not looked up";
	case SYMBOLS_SPLIT:
		return "debug info in .dwo files is not read";
	case SYMBOLS_SYMTAB:
		return "no debug info";
	case SYMBOLS_DYNSYM:
		return "stripped";
	case SYMBOLS_EMPTY:
		return "no symbols at all";
	case SYMBOLS_NO_FILE:
		return "file not found";
	case SYMBOLS_OTHER_BUILD:
		return "the file has another build id";
	case SYMBOLS_UNREADABLE:
		return "the file cannot be read as ELF";
	case SYMBOLS_NOT_BUILT_IN:
		return "this heapspy was built without libdw";
	}
	return "not looked up";
}
