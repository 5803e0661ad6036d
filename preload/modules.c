/*
 * modules.c - owns the table of loaded objects in the state. Everything is read
 * from memory (link map, program headers, build id note), at the first frame
 * that falls into an object: no file is opened, no loader lock is taken.
 *
 * Frames may outlive their object, so a serial is for one loading of one
 * object. Objects can change only at an unload: modules_unload_seen() starts a
 * new generation, and a record is compared with memory again (path and build
 * id) before it is used in it.
 */
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include "preload/atomics.h"
#include "preload/process.h"
#include "preload/modules.h"
#include "preload/state/state_map.h"

static uint32_t generation = 1;

struct identity {
	const char *path;
	const uint8_t *build_id;
	uint32_t build_id_bytes;
	uint64_t load_bias;
	uint64_t hash;
	bool is_main;
};

void modules_unload_seen(void)
{
	hs_add_relaxed(&generation, 1);
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

/* The build id among the notes in [p, end); false if there is none. */
static bool find_build_id(const char *p, const char *end, struct identity *id)
{
	while ((size_t)(end - p) >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)p;
		size_t name = ((size_t)note->n_namesz + 3) & ~(size_t)3;
		size_t desc = ((size_t)note->n_descsz + 3) & ~(size_t)3;

		p += sizeof(*note);
		if (name > (size_t)(end - p) || desc > (size_t)(end - p) - name)
			return false;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
			!memcmp(p, "GNU", 4) &&
			note->n_descsz <= sizeof(((struct state_module *)0)->build_id)) {
			id->build_id = (const uint8_t *)p + name;
			id->build_id_bytes = note->n_descsz;
			return true;
		}
		p += name + desc;
	}
	return false;
}

static void read_identity(const struct dl_find_object *object, struct identity *id)
{
	const struct link_map *map = object->dlfo_link_map;
	const char *start = object->dlfo_map_start, *end = object->dlfo_map_end;
	const ElfW(Ehdr) *ehdr = (const void *)start;
	unsigned i;

	memset(id, 0, sizeof(*id));
	id->load_bias = map->l_addr;
	id->path = map->l_name ? map->l_name : "";
	id->is_main = !id->path[0];
	/* The first segment of an ordinary object begins with its headers. */
	if ((size_t)(end - start) > sizeof(*ehdr) && !memcmp(ehdr->e_ident, ELFMAG, SELFMAG) &&
		ehdr->e_phentsize == sizeof(ElfW(Phdr)) &&
		ehdr->e_phoff + (uint64_t)ehdr->e_phnum * sizeof(ElfW(Phdr)) <=
			(uint64_t)(end - start)) {
		const ElfW(Phdr) *phdr = (const void *)(start + ehdr->e_phoff);

		for (i = 0; i < ehdr->e_phnum; i++) {
			const char *notes = (const char *)map->l_addr + phdr[i].p_vaddr;

			if (phdr[i].p_type == PT_NOTE && notes >= start && notes <= end &&
				phdr[i].p_memsz <= (size_t)(end - notes) &&
				find_build_id(notes, notes + phdr[i].p_memsz, id))
				break;
		}
	}
	id->hash = hash_bytes(0xcbf29ce484222325ull, id->path, strlen(id->path));
	id->hash = hash_bytes(id->hash, id->build_id, id->build_id_bytes);
	id->hash = hash_bytes(id->hash, &id->load_bias, sizeof(id->load_bias));
}

static struct state_module *record_of(struct state_header *state, uint32_t index)
{
	return state_map_entry(state, STATE_CHUNK_MODULES, index, sizeof(struct state_module));
}

/*
 * Serial of the record for an object, 0 if there is none yet. below: look at
 * records before this index only. *idp is read when a comparison needs it.
 */
static unsigned find(struct state_header *state, const struct dl_find_object *object,
	struct identity *id, uint32_t below)
{
	uint32_t now = hs_load_relaxed(&generation), i;

	for (i = below; i-- > 0;) {
		struct state_module *m = record_of(state, i);

		if (!m || !(hs_load_acquire(&m->flags) & STATE_MODULE_READY) ||
			m->flags & STATE_MODULE_TWIN ||
			m->start_address != (uintptr_t)object->dlfo_map_start ||
			m->end_address != (uintptr_t)object->dlfo_map_end)
			continue;
		if (hs_load_relaxed(&m->generation) == now)
			return i + 1;
		if (!id->path)
			read_identity(object, id);
		if (m->identity == id->hash) {
			hs_store_relaxed(&m->generation, now);
			return i + 1;
		}
	}
	return 0;
}

static uint32_t store_path(struct state_header *state, const struct identity *id)
{
	const char *path = id->is_main ? state->exe : id->path;
	size_t n = strlen(path) + 1;
	uint64_t offset = n > 4096 ? 0 : state_map_alloc(state, n, 0);

	if (!offset || offset > UINT32_MAX)
		return 0;
	memcpy(state_at(state, offset), path, n);
	return (uint32_t)offset;
}

/* Index of a fresh record; false when the table cannot grow. */
static bool reserve(struct state_header *state, uint32_t *indexp)
{
	uint32_t index = hs_load_relaxed(&state->n_modules);

	do {
		/* A row keeps the answer, so a growing table is waited for. */
		if (index >= HEAPSPY_MODULE_SERIAL_MAX ||
			!state_map_make_entry(
				state, STATE_CHUNK_MODULES, index, sizeof(struct state_module)))
			return false;
	} while (!hs_cas_relaxed(&state->n_modules, &index, index + 1));
	*indexp = index;
	return true;
}

unsigned modules_serial(const struct dl_find_object *object)
{
	struct state_header *state = process_state();
	struct identity id = { NULL };
	struct state_module *m;
	uint32_t index, flags = STATE_MODULE_READY;
	unsigned serial;

	if (!state)
		return 0;
	serial = find(state, object, &id, hs_load_acquire(&state->n_modules));
	if (serial)
		return serial;
	if (!id.path)
		read_identity(object, &id);
	if (!reserve(state, &index)) {
		state_count_loss(state, HEAPSPY_LOSS_MODULES);
		return 0;
	}
	m = record_of(state, index);
	m->start_address = (uintptr_t)object->dlfo_map_start;
	m->end_address = (uintptr_t)object->dlfo_map_end;
	m->load_bias = id.load_bias;
	m->identity = id.hash;
	m->generation = hs_load_relaxed(&generation);
	m->path_offset = store_path(state, &id);
	m->build_id_bytes = id.build_id_bytes;
	if (id.build_id_bytes)
		memcpy(m->build_id, id.build_id, id.build_id_bytes);
	flags |= id.is_main ? STATE_MODULE_MAIN : 0;
	/* Pairs with find() and with readers outside. */
	hs_store_release(&m->flags, flags);
	serial = find(state, object, &id, index);
	if (!serial)
		return index + 1;
	hs_store_release(&m->flags, flags | STATE_MODULE_TWIN);
	return serial;
}
