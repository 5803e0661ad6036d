/*
 * source_frames.c - owns the way from addresses to named frames, and what of
 * the user's surroundings helps on it. Reading debug information and perf maps
 * is symbols/'s; which frames name a row is sites.c's.
 */
#include "analyzer/source_frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/symbols/cache_dir.h"
#include "analyzer/symbols_progress.h"

/* Whether debug files may come from the network; the command says so once. */
static bool may_use_debuginfod = true;

void source_frames_allow_debuginfod(bool allowed)
{
	may_use_debuginfod = allowed;
}

/* By profile frame: whether a wanted stack holds it. */
static bool *wanted_frames(const struct profile *p, const bool *wanted)
{
	bool *frames = alloc_array(p->n_frames, sizeof(*frames));
	size_t i, j;

	for (i = 0; i < p->n_stacks; i++) {
		const struct profile_stack *s = &p->stacks[i];

		for (j = 0; j < s->n_frames && wanted[i]; j++)
			frames[p->stack_frames[s->first_frame + j]] = true;
	}
	return frames;
}

static struct process_id process_of(const struct snapshot *s)
{
	struct process_id id = { .pid = s->info.pid, .start_ticks = s->info.start_ticks };

	memcpy(id.boot_id, s->info.boot_id, sizeof(id.boot_id));
	return id;
}

/* All that may be asked besides the files in their places. Without memory, or a home: without. */
static void set_up_symbols(struct symbols *symbols, const struct profile *p)
{
	char *cache_path = cache_dir_default_path();

	for (size_t i = 0; i < p->n_moments; i++) {
		struct process_id id = process_of(p->moments[i].snapshot);

		symbols_add_process(symbols, &id);
	}
	symbols_allow_debuginfod(symbols, may_use_debuginfod);
	symbols_set_cache(symbols, cache_path, 0);
	free(cache_path);
}

static int add_module(struct source_frames *sf, uint32_t module)
{
	const struct profile_module *m = &sf->profile->modules[module];
	struct symbol_module_ref ref = {
		.path = m->path,
		.build_id = m->build_id_bytes ? m->build_id : NULL,
		.build_id_len = m->build_id_bytes,
	};

	if (sf->module_handles[module] < 0)
		sf->module_handles[module] = symbols_add_module(sf->symbols, &ref);
	return sf->module_handles[module];
}

static int resolve(struct source_frames *sf, const bool *wanted)
{
	const struct profile *p = sf->profile;
	size_t i;

	for (i = 0; i < p->n_frames; i++) {
		int handle;

		if (!wanted[i] || p->frames[i].module == PROFILE_NO_MODULE)
			continue;
		handle = add_module(sf, p->frames[i].module);
		if (handle < 0 || symbols_request(sf->symbols, handle, p->frames[i].vaddr) < 0)
			return -1;
	}
	return symbols_resolve(sf->symbols);
}

/* What fold.h says of frames, by name and module; asking is not cheap. */
struct fold_cache {
	struct content_index index;
	struct fold_answer {
		const char *function;
		uint32_t module;
		bool bare, hidden;
		const char *callback; /* NULL: it is shown by its own name, if at all */
	} * answers;
	size_t n_answers, capacity;
};

/* The name is kept with the others and lives as long as sf. */
static const char *find_callback(struct source_frames *sf, const char *function)
{
	char *name = fold_callback(sf->fold, function);

	if (!name)
		return NULL;
	sf->callbacks = alloc_room(
		sf->callbacks, sf->n_callbacks, &sf->callback_capacity, sizeof(*sf->callbacks));
	return sf->callbacks[sf->n_callbacks++] = name;
}

static const struct fold_answer *ask_fold(struct source_frames *sf, struct fold_cache *cache,
	const struct symbol_frame *frame, uint32_t module)
{
	/* Without a name only the module counts: one answer for all its offsets. */
	bool unnamed = !frame->file && !sf->fold_by_offset && strstr(frame->function, "+0x");
	const char *function = unnamed ? "" : frame->function;
	uint64_t hash, at;
	struct fold_answer *answer;
	size_t known;

	at = hash = content_index_hash(&cache->index, function, strlen(function));
	while (content_index_next(&cache->index, hash, &at, &known)) {
		answer = &cache->answers[known];
		if (answer->module == module && answer->bare == frame->bare &&
			!strcmp(answer->function, function))
			return answer;
	}
	cache->answers = alloc_room(
		cache->answers, cache->n_answers, &cache->capacity, sizeof(*cache->answers));
	answer = &cache->answers[cache->n_answers];
	answer->function = function;
	answer->module = module;
	answer->bare = frame->bare;
	answer->hidden = fold_hides(sf->fold, frame->function,
		module == PROFILE_NO_MODULE ? NULL : sf->profile->modules[module].path);
	/* Debug info would have told what was inlined. */
	answer->callback =
		answer->hidden && frame->bare ? find_callback(sf, frame->function) : NULL;
	content_index_add(&cache->index, hash, cache->n_answers++);
	return answer;
}

/* Whose file the snapshot is: mostly the user that its process ran as. */
static uid_t owner_of(const struct snapshot *s)
{
	struct stat status;

	return stat(s->path, &status) == 0 ? status.st_uid : geteuid();
}

/* The perf map of a moment's process; moments of one process share theirs. NULL: there is none. */
static const struct perf_map *perf_map_of(const struct source_frames *sf, size_t moment)
{
	const struct profile *p = sf->profile;
	uint64_t start_id = p->moments[moment].snapshot->info.start_id;
	size_t first = 0;

	while (p->moments[first].snapshot->info.start_id != start_id)
		first++;
	return sf->perf_maps[first];
}

static void open_perf_maps(struct source_frames *sf)
{
	const struct profile *p = sf->profile;

	sf->n_perf_maps = p->n_moments;
	sf->perf_maps = alloc_array(p->n_moments, sizeof(*sf->perf_maps));
	for (size_t i = 0; i < p->n_moments; i++) {
		const struct snapshot *s = p->moments[i].snapshot;
		struct process_id id = process_of(s);
		size_t same = 0;

		while (p->moments[same].snapshot->info.start_id != s->info.start_id)
			same++;
		if (same == i)
			sf->perf_maps[i] = perf_map_open(&id, s->info.start_wall_ns, owner_of(s));
	}
}

/* What perf maps say of an address, and the last that was asked. */
struct perf_answer {
	const struct perf_map *asked;
	const char *name;
	bool is_asked, is_disputed;
};

static void ask_perf_map(struct perf_answer *answer, const struct perf_map *map, uint64_t pc)
{
	const char *name;

	if (answer->is_asked && answer->asked == map)
		return;
	name = map ? perf_map_find(map, pc) : NULL;
	if (!name || (answer->is_asked && (!answer->name || strcmp(answer->name, name))))
		answer->is_disputed = true;
	answer->asked = map;
	answer->is_asked = true;
	answer->name = name;
}

/*
 * Names code in no module. The same address may be another function in another process:
 * where they do not agree it has none.
 */
static void name_plain_addresses(
	struct source_frames *sf, const bool *wanted_stacks, const bool *wanted)
{
	const struct profile *p = sf->profile;
	struct perf_answer *answers;
	size_t i, m, n_plain = 0;

	for (i = 0; i < p->n_frames; i++)
		n_plain += wanted[i] && p->frames[i].module == PROFILE_NO_MODULE;
	if (!n_plain)
		return;
	open_perf_maps(sf);
	answers = alloc_array(p->n_frames, sizeof(*answers));
	for (m = 0; m < p->n_moments; m++) {
		const struct perf_map *map = perf_map_of(sf, m);

		for (i = 0; i < p->moments[m].snapshot->n_stacks; i++) {
			uint32_t number = p->moments[m].stack_of[i];
			const struct profile_stack *stack = &p->stacks[number];

			for (uint32_t j = 0; j < stack->n_frames && wanted_stacks[number]; j++) {
				uint32_t frame = p->stack_frames[stack->first_frame + j];

				if (p->frames[frame].module == PROFILE_NO_MODULE)
					ask_perf_map(&answers[frame], map, p->frames[frame].vaddr);
			}
		}
	}
	for (i = 0; i < p->n_frames; i++)
		if (answers[i].name && !answers[i].is_disputed)
			sf->addresses[i].plain.function = answers[i].name;
	free(answers);
}

static void look_up(struct source_frames *sf, const bool *wanted)
{
	const struct profile *p = sf->profile;
	size_t i;

	for (i = 0; i < p->n_frames; i++) {
		struct source_address *address = &sf->addresses[i];
		unsigned n = 1;

		if (!wanted[i])
			continue;
		address->module = p->frames[i].module;
		if (address->module == PROFILE_NO_MODULE) {
			snprintf(address->plain_name, sizeof(address->plain_name), "0x%llx",
				(unsigned long long)p->frames[i].vaddr);
			address->plain.function = address->plain_name;
			address->frames = &address->plain;
		} else {
			address->frames = symbols_lookup(sf->symbols,
				sf->module_handles[address->module], p->frames[i].vaddr, &n);
		}
		address->n_frames = n;
		address->first_shown = SOURCE_FRAMES_UNKNOWN;
	}
}

static void find_first_shown(
	struct source_frames *sf, struct fold_cache *cache, struct source_address *address)
{
	uint32_t i;

	if (address->first_shown != SOURCE_FRAMES_UNKNOWN)
		return;
	address->first_shown = SOURCE_FRAMES_NONE;
	for (i = 0; i < address->n_frames; i++) {
		const struct fold_answer *answer =
			ask_fold(sf, cache, &address->frames[i], address->module);

		if (answer->hidden && !answer->callback)
			continue;
		address->first_shown = i;
		if (answer->callback) {
			address->plain = address->frames[i];
			address->plain.function = answer->callback;
		}
		return;
	}
}

/* Of an address that does not fold as a whole. */
static const struct symbol_frame *first_shown(const struct source_address *address)
{
	return address->plain.function ? &address->plain : &address->frames[address->first_shown];
}

static bool has_line(const struct symbol_frame *frame)
{
	return frame->file && frame->line;
}

/* Decides about frames that can name a stack or a row's caller, and leaves the others alone. */
static void mark_hidden(struct source_frames *sf, const bool *wanted)
{
	const struct profile *p = sf->profile;
	struct fold_cache cache = { 0 };
	bool named;
	uint32_t j;
	size_t i;

	content_index_init(&cache.index);
	for (i = 0; i < p->n_stacks; i++) {
		const struct profile_stack *stack = &p->stacks[i];

		named = false;
		for (j = 0; j < stack->n_frames && wanted[i]; j++) {
			struct source_address *address =
				&sf->addresses[p->stack_frames[stack->first_frame + j]];

			if (named && !has_line(&address->frames[0]))
				continue;
			find_first_shown(sf, &cache, address);
			if (address->first_shown == SOURCE_FRAMES_NONE)
				continue;
			named = true;
			if (has_line(&address->frames[address->first_shown]))
				break;
		}
	}
	content_index_deinit(&cache.index);
	free(cache.answers);
}

int source_frames_init_shared(struct source_frames *sf, const struct profile *p, const char *hide,
	const bool *wanted, struct symbols *symbols, struct fail *f)
{
	bool *wanted_frame;
	char error[200];
	size_t i;
	int rc;

	memset(sf, 0, sizeof(*sf));
	sf->profile = p;
	sf->symbols = symbols;
	sf->symbols_are_shared = true;
	sf->fold = fold_new(hide, error, sizeof(error));
	if (!sf->fold)
		return fail_set(f, EXIT_CODE_USAGE, "--hide: %s", error);
	sf->fold_by_offset = hide && strcmp(hide, "none");
	sf->module_handles = alloc_array(p->n_modules, sizeof(*sf->module_handles));
	for (i = 0; i < p->n_modules; i++)
		sf->module_handles[i] = -1;
	set_up_symbols(sf->symbols, p);
	sf->addresses = alloc_array(p->n_frames, sizeof(*sf->addresses));
	wanted_frame = wanted_frames(p, wanted);
	rc = resolve(sf, wanted_frame);
	if (rc == 0) {
		look_up(sf, wanted_frame);
		name_plain_addresses(sf, wanted, wanted_frame);
		mark_hidden(sf, wanted);
	} else {
		fail_set(f, EXIT_CODE_OTHER, "out of memory for symbols");
	}
	free(wanted_frame);
	if (rc < 0)
		source_frames_deinit(sf);
	return rc < 0 ? -1 : 0;
}

int source_frames_init(struct source_frames *sf, const struct profile *p, const char *hide,
	const bool *wanted, struct fail *f)
{
	struct symbols *symbols = symbols_new();
	struct symbols_progress progress;
	int rc;

	if (!symbols)
		return fail_set(f, EXIT_CODE_OTHER, "out of memory for symbols");
	symbols_progress_begin(&progress, STDERR_FILENO);
	symbols_set_progress(symbols, symbols_progress_show, &progress);
	rc = source_frames_init_shared(sf, p, hide, wanted, symbols, f);
	symbols_progress_end(&progress);
	symbols_set_progress(symbols, NULL, NULL);
	if (rc < 0) {
		symbols_free(symbols);
		return -1;
	}
	sf->symbols_are_shared = false;
	return 0;
}

const struct symbol_frame *source_frames_naming(
	const struct source_frames *sf, const struct profile_stack *stack, uint32_t *positionp)
{
	const struct source_address *address = NULL;
	uint32_t i;

	for (i = 0; i < stack->n_frames; i++) {
		address = source_frames_at(sf, stack, i);
		*positionp = i;
		if (address->first_shown != SOURCE_FRAMES_NONE)
			return first_shown(address);
	}
	return address ? &address->frames[address->n_frames - 1] : NULL;
}

/* Who called these says nothing about the program. */
static bool is_start(const char *function)
{
	return !strcmp(function, "start_thread") ||
	       !strncmp(function, "__libc_start_", strlen("__libc_start_"));
}

const struct symbol_frame *source_frames_caller(
	const struct source_frames *sf, const struct profile_stack *stack)
{
	uint32_t i, position = 0;

	if (!source_frames_naming(sf, stack, &position))
		return NULL;
	for (i = position + 1; i < stack->n_frames; i++) {
		const struct source_address *address = source_frames_at(sf, stack, i);
		const struct symbol_frame *shown;

		if (address->first_shown >= SOURCE_FRAMES_UNKNOWN)
			continue;
		shown = first_shown(address);
		if (is_start(shown->function))
			return NULL;
		if (has_line(shown))
			return shown;
	}
	return NULL;
}

void source_frames_deinit(struct source_frames *sf)
{
	if (!sf->symbols_are_shared)
		symbols_free(sf->symbols);
	for (size_t i = 0; i < sf->n_perf_maps; i++)
		perf_map_free(sf->perf_maps[i]);
	free(sf->perf_maps);
	fold_free(sf->fold);
	for (size_t i = 0; i < sf->n_callbacks; i++)
		free(sf->callbacks[i]);
	free(sf->callbacks);
	free(sf->module_handles);
	free(sf->addresses);
	memset(sf, 0, sizeof(*sf));
}

const char *source_frames_module_path(const struct source_frames *sf, uint32_t module)
{
	return module == PROFILE_NO_MODULE ? "" : sf->profile->modules[module].path;
}

const char *source_frames_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}
