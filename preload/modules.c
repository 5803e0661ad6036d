/*
 * modules.c - owns the table of loaded objects in the state. Everything is read
 * from memory (link map, program headers, build id note), at the first frame
 * that falls into an object: no file is opened, no loader lock is taken.
 *
 * Frames may outlive their object, so a serial is for one object at one place.
 * Each look-up compares the record with memory again (build id and path): it is
 * made where a row is, once for a pc, and so finds what nobody told us of. A
 * record that was found in memory since the last flush of the rows, and is not
 * there now, is an unload that no hook has seen.
 */
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include "preload/atomics.h"
#include "preload/cfi_rows.h"
#include "preload/modules.h"
#include "preload/process.h"
#include "preload/stack_range.h"
#include "preload/state/state_map.h"

#define PATH_BYTES_MAX 4096

/* Records looked at for one object; of a module that is not found so, another one is made. */
#define SEARCH_MAX 256

/* Headers are read only from an object's first page, which is mapped. */
#define FIRST_PAGE_BYTES 4096u

/*
 * The latest records that were found in memory for the first time in a generation
 * of the rows: generation << 32 | serial. An older one may be missing.
 */
#define LATELY_MAX 256
static uint64_t lately[LATELY_MAX];
static uint32_t n_lately;

/* What tells an object from another one at the same place. */
struct identity {
	const char *path;
	const uint8_t *build_id;
	uint32_t build_id_bytes;
	uint64_t load_bias;
	bool is_main;
};

/*
 * The build id among the notes in [p, end); false if there is none. Name and
 * contents are padded to align, 4 or 8: PT_NOTE of the System V gABI.
 */
static bool find_build_id(const char *p, const char *end, size_t align, struct identity *id)
{
	const ElfW(Nhdr) * note;

	while ((size_t)(end - p) >= sizeof(*note)) {
		uint64_t name, desc;

		note = (const void *)p;
		name = (sizeof(*note) + (uint64_t)note->n_namesz + align - 1) & -align;
		desc = (note->n_descsz + (uint64_t)align - 1) & -align;
		if (name > (size_t)(end - p) || note->n_descsz > (size_t)(end - p) - name)
			return false;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
			!memcmp(note + 1, "GNU", 4) &&
			note->n_descsz <= sizeof(((struct state_module *)0)->build_id)) {
			id->build_id = (const uint8_t *)p + name;
			id->build_id_bytes = note->n_descsz;
			return true;
		}
		if (desc > (size_t)(end - p) - name)
			return false;
		p += name + desc;
	}
	return false;
}

/* Is [at, at + bytes), in addresses of the file, in a segment that can be read? */
static bool is_readable(const ElfW(Phdr) * headers, unsigned n, uint64_t at, uint64_t bytes)
{
	for (unsigned i = 0; i < n; i++) {
		if (headers[i].p_type == PT_LOAD && headers[i].p_flags & PF_R &&
			at >= headers[i].p_vaddr && bytes <= headers[i].p_filesz &&
			at - headers[i].p_vaddr <= headers[i].p_filesz - bytes)
			return true;
	}
	return false;
}

static void read_identity(const struct dl_find_object *object, struct identity *id)
{
	const struct link_map *map = object->dlfo_link_map;
	const ElfW(Ehdr) *elf = object->dlfo_map_start;
	const ElfW(Phdr) * headers;

	*id = (struct identity){
		.path = map->l_name ? map->l_name : "",
		.build_id = (const uint8_t *)"",
		.load_bias = map->l_addr,
		.is_main = !map->l_name || !map->l_name[0],
	};
	/*
	 * Of an object whose first segment does not begin with its headers, or that has taken them
	 * away, the path must do.
	 */
	if ((char *)object->dlfo_map_end - (char *)elf < FIRST_PAGE_BYTES ||
		stack_range_is_gone(elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
		elf->e_phentsize != sizeof(*headers) || elf->e_phoff % sizeof(ElfW(Addr)) != 0 ||
		elf->e_phoff > FIRST_PAGE_BYTES ||
		elf->e_phnum > (FIRST_PAGE_BYTES - elf->e_phoff) / sizeof(*headers))
		return;
	headers = (const ElfW(Phdr) *)((const char *)elf + elf->e_phoff);
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		const char *notes = (const char *)map->l_addr + headers[i].p_vaddr;

		if (headers[i].p_type == PT_NOTE &&
			is_readable(
				headers, elf->e_phnum, headers[i].p_vaddr, headers[i].p_filesz) &&
			find_build_id(notes, notes + headers[i].p_filesz,
				headers[i].p_align == 8 ? 8 : 4, id))
			return;
	}
}

static struct state_module *record_of(const struct state_header *state, uint32_t serial)
{
	return state_map_entry(state, STATE_CHUNK_MODULES, serial - 1, sizeof(struct state_module));
}

static uint32_t *list_of(struct state_header *state, const struct dl_find_object *object)
{
	uint64_t hash = (uintptr_t)object->dlfo_map_start * 0x9e3779b97f4a7c15ull;

	return &state->module_list[hash >> (64 - STATE_MODULE_LISTS_LOG2)];
}

static bool is_same(
	const struct state_header *state, const struct state_module *m, const struct identity *id)
{
	size_t bytes = strlen(id->path) + 1;

	if (m->load_bias != id->load_bias || m->build_id_bytes != id->build_id_bytes ||
		memcmp(m->build_id, id->build_id, id->build_id_bytes) != 0)
		return false;
	if (id->is_main || m->flags & STATE_MODULE_MAIN)
		return id->is_main && m->flags & STATE_MODULE_MAIN;
	return state_holds(state, m->path_offset, bytes) &&
	       !memcmp(state_at(state, m->path_offset), id->path, bytes);
}

static void found_in(struct state_module *m, uint32_t serial, uint32_t now)
{
	hs_store_relaxed(&m->generation, now);
	hs_store_relaxed(
		&lately[hs_add_relaxed(&n_lately, 1) % LATELY_MAX], (uint64_t)now << 32 | serial);
}

/*
 * Serial of the object's record among those from serial to the end of its list,
 * before until; 0 if there is none. *conflictp: another one, where the object
 * is, was found in memory in this generation of the rows.
 */
static uint32_t find(const struct state_header *state, const struct dl_find_object *object,
	const struct identity *id, uint32_t serial, uint32_t until, bool *conflictp)
{
	uint32_t now = cfi_rows_generation(), found = 0, steps;

	/* A list has no end if the program has written into the state. */
	for (steps = 0; serial != until && serial && steps < SEARCH_MAX; steps++) {
		struct state_module *m = record_of(state, serial);

		if (!m)
			break;
		if (m->start_address == (uintptr_t)object->dlfo_map_start &&
			m->end_address == (uintptr_t)object->dlfo_map_end) {
			bool is_known = hs_load_relaxed(&m->generation) == now;

			if (!is_same(state, m, id)) {
				*conflictp |= is_known;
			} else if (is_known) {
				return serial;
			} else {
				found_in(m, serial, now);
				found = serial;
			}
		}
		serial = m->next;
	}
	return found;
}

/* Does a fresh record lie where another one does that was lately found in memory? */
static bool overlaps(const struct state_header *state, const struct state_module *fresh)
{
	for (unsigned i = 0; i < LATELY_MAX; i++) {
		uint64_t seen = hs_load_relaxed(&lately[i]);
		const struct state_module *m;

		if (seen >> 32 != fresh->generation)
			continue;
		m = record_of(state, (uint32_t)seen);
		if (m && m != fresh && m->start_address < fresh->end_address &&
			fresh->start_address < m->end_address)
			return true;
	}
	return false;
}

/* Offset of the path's copy; 0 when there is no room. */
static uint32_t store_path(struct state_header *state, const struct identity *id)
{
	const char *path = id->is_main ? state->exe : id->path;
	size_t bytes = strnlen(path, PATH_BYTES_MAX) + 1;
	uint64_t offset = bytes > PATH_BYTES_MAX ? 0 : state_map_alloc(state, bytes, 0);

	if (!offset || offset > UINT32_MAX)
		return 0;
	memcpy(state_at(state, offset), path, bytes);
	return (uint32_t)offset;
}

/* Is there room for entry n? A row keeps the answer, so a growing table is waited for. */
static bool has_room(struct state_header *state, uint32_t n)
{
	return n < HEAPSPY_MODULE_SERIAL_MAX &&
	       state_map_make_entry(state, STATE_CHUNK_MODULES, n, sizeof(struct state_module));
}

/* Serial of a fresh record and its path, 0 when there is no room for them. */
static uint32_t reserve(
	struct state_header *state, const struct identity *id, uint32_t *path_offsetp)
{
	uint32_t n = hs_load_relaxed(&state->n_modules);

	/* The record first: a path without one would be lost, again at each try. */
	if (!has_room(state, n) || !(*path_offsetp = store_path(state, id)))
		return 0;
	do {
		if (!has_room(state, n))
			return 0;
	} while (!hs_cas_relaxed(&state->n_modules, &n, n + 1));
	return n + 1;
}

/*
 * Puts a fresh record for the object in front of its list, whose first was
 * `first` when it was searched. Returns its serial, or that of a record which
 * another thread has made for the same object meanwhile.
 */
static uint32_t add(struct state_header *state, const struct dl_find_object *object,
	const struct identity *id, uint32_t first, bool *conflictp)
{
	uint32_t path_offset, serial, theirs, searched = first;
	struct state_module *m;

	serial = reserve(state, id, &path_offset);
	m = serial ? record_of(state, serial) : NULL;
	if (!m) {
		state_count_loss(state, HEAPSPY_LOSS_MODULES);
		return 0;
	}
	m->start_address = (uintptr_t)object->dlfo_map_start;
	m->end_address = (uintptr_t)object->dlfo_map_end;
	m->load_bias = id->load_bias;
	found_in(m, serial, cfi_rows_generation());
	m->path_offset = path_offset;
	m->build_id_bytes = id->build_id_bytes;
	memcpy(m->build_id, id->build_id, id->build_id_bytes);
	/* Pairs with readers outside: a serial that can be found is there. */
	hs_store_release(&m->flags, STATE_MODULE_READY | (id->is_main ? STATE_MODULE_MAIN : 0));
	do {
		theirs = find(state, object, id, first, searched, conflictp);
		if (theirs) {
			hs_store_relaxed(&m->flags, 0);
			return theirs;
		}
		searched = first;
		m->next = first;
	} while (!hs_cas_acq_rel(list_of(state, object), &first, serial));
	*conflictp |= overlaps(state, m);
	return serial;
}

unsigned modules_serial(const struct dl_find_object *object)
{
	struct state_header *state = process_state();
	struct identity id;
	bool conflict = false;
	uint32_t first, serial;

	if (!state)
		return 0;
	read_identity(object, &id);
	/* Acquire: pairs with add(), the record is behind its serial. */
	first = hs_load_acquire(list_of(state, object));
	serial = find(state, object, &id, first, 0, &conflict);
	if (!serial)
		serial = add(state, object, &id, first, &conflict);
	if (HS_UNLIKELY(conflict))
		cfi_rows_flush();
	return serial;
}
