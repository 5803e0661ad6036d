/*
 * cfi_objects.c - finds code objects and the bounds of their frame information.
 *
 * Owns the list of registered tables and what is known of libheapspy.so's own
 * mapping. Decodes of ELF only the program headers, to know which bytes of a
 * mapping can be read: between two segments there may be holes.
 */
#include <elf.h>
#include <link.h>
#include "preload/atomics.h"
#include "preload/cfi_objects.h"
#include "preload/compiler.h"
#include "preload/stack_range.h"

/* How far the end of a registered table is searched for. */
#define TABLE_BYTES_MAX (64u << 20)

/*
 * ELF header and program headers are read only from an object's first page, which is mapped; a
 * program that protects itself may have taken it away again.
 */
#define FIRST_PAGE_BYTES 4096u

#define CALL_BYTES_MAX 7

int _dl_find_object(void *address, struct dl_find_object *result) __attribute__((weak));

typedef int find_object_function(void *, struct dl_find_object *);

/* Written by cfi_objects_init() before the first walk, constant from then on. */
static find_object_function *find_object;
static struct cfi_section own_section;
uintptr_t cfi_objects_own_lo, cfi_objects_own_hi;
static uintptr_t main_lo, main_hi, main_bias;

/*
 * A registered table. state counts: odd while the fields are being written or
 * the slot is free for it, even and above 0 while they are valid.
 *   free (0 or odd) -> claimed (next odd) -> valid (even) -> free (odd) ...
 */
struct table {
	uint32_t state;
	uint32_t claimed;
	uintptr_t start, end;   /* bytes of the table */
	uintptr_t pc_lo, pc_hi; /* all its functions lie inside */
};

static struct table tables[CFI_TABLES_MAX];
static uint32_t tables_used; /* slots that were ever used are below this */

static bool address_within(uintptr_t address, uintptr_t lo, uintptr_t hi)
{
	return address >= lo && address < hi;
}

/*
 * The loaded segment with all of `flags` (PF_R ..) that holds the address, from
 * program headers that the caller may read. False: none.
 */
static bool find_segment(const ElfW(Phdr) * headers, unsigned n_headers, uintptr_t bias,
	uintptr_t address, unsigned flags, uintptr_t *lop, uintptr_t *hip)
{
	for (unsigned i = 0; i < n_headers; i++) {
		uintptr_t lo = bias + headers[i].p_vaddr;

		if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & flags) == flags &&
			address_within(address, lo, lo + headers[i].p_memsz)) {
			*lop = lo;
			*hip = lo + headers[i].p_memsz;
			return true;
		}
	}
	return false;
}

/*
 * The program headers of a loaded object, out of its first page. NULL: they are
 * not there, as in objects whose first segment does not start with the file.
 */
static const ElfW(Phdr) * program_headers(const struct dl_find_object *loaded, unsigned *n_headersp)
{
	const ElfW(Ehdr) *elf = loaded->dlfo_map_start;

	if ((char *)loaded->dlfo_map_end - (char *)loaded->dlfo_map_start < FIRST_PAGE_BYTES ||
		stack_range_is_gone(elf))
		return NULL;
	if (elf->e_ident[EI_MAG0] != ELFMAG0 || elf->e_ident[EI_MAG1] != ELFMAG1 ||
		elf->e_ident[EI_MAG2] != ELFMAG2 || elf->e_ident[EI_MAG3] != ELFMAG3)
		return NULL;
	if (elf->e_phentsize != sizeof(ElfW(Phdr)) || elf->e_phoff % sizeof(ElfW(Addr)) != 0 ||
		elf->e_phoff > FIRST_PAGE_BYTES ||
		elf->e_phnum > (FIRST_PAGE_BYTES - elf->e_phoff) / sizeof(ElfW(Phdr)))
		return NULL;
	*n_headersp = elf->e_phnum;
	return (const ElfW(Phdr) *)((const char *)elf + elf->e_phoff);
}

/* All that the program headers of an object map. */
static void extent_of(const struct dl_phdr_info *info, uintptr_t *lop, uintptr_t *hip)
{
	*lop = UINTPTR_MAX;
	*hip = 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD)
			continue;
		if (start < *lop)
			*lop = start;
		if (start + header->p_memsz > *hip)
			*hip = start + header->p_memsz;
	}
}

/* The main program comes first. */
static int visit_main(struct dl_phdr_info *info, size_t size, void *argument)
{
	extent_of(info, &main_lo, &main_hi);
	main_bias = info->dlpi_addr;
	return 1;
}

/*
 * _dl_find_object(), but with the whole of the main program where the loader
 * answers with one segment of it: when the kernel mapped it with holes (large
 * page sizes in the program headers). In the holes other objects may lie, which
 * are known by their load address.
 */
static bool locate(uintptr_t pc, struct dl_find_object *loaded)
{
	if (!find_object || find_object((void *)pc, loaded) != 0)
		return false;
	if (loaded->dlfo_link_map->l_addr == main_bias &&
		(uintptr_t)loaded->dlfo_map_start >= main_lo &&
		(uintptr_t)loaded->dlfo_map_end <= main_hi) {
		loaded->dlfo_map_start = (void *)main_lo;
		loaded->dlfo_map_end = (void *)main_hi;
	}
	return true;
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *argument)
{
	uintptr_t here = (uintptr_t)argument, lo, hi;

	if (!find_segment(info->dlpi_phdr, info->dlpi_phnum, info->dlpi_addr, here, 0, &lo, &hi))
		return 0;
	extent_of(info, &cfi_objects_own_lo, &cfi_objects_own_hi);
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + header->p_vaddr;

		if (header->p_type == PT_GNU_EH_FRAME &&
			find_segment(info->dlpi_phdr, info->dlpi_phnum, info->dlpi_addr, start,
				PF_R, &lo, &hi))
			own_section = (struct cfi_section){ (const uint8_t *)lo,
				(const uint8_t *)hi, (const uint8_t *)start };
	}
	return 1;
}

void cfi_objects_init(void)
{
	/* The address, not a call: nothing may be bound lazily inside a hook. */
	find_object = _dl_find_object;
	dl_iterate_phdr(visit_main, NULL);
	dl_iterate_phdr(visit_object, (void *)cfi_objects_init);
}

bool cfi_objects_available(void)
{
	return find_object != NULL;
}

/* Bounds of the readable memory around an object's frame information. */
static struct cfi_section section_of(const struct dl_find_object *loaded)
{
	uintptr_t lo = (uintptr_t)loaded->dlfo_map_start, hi = (uintptr_t)loaded->dlfo_map_end;
	uintptr_t hdr = (uintptr_t)loaded->dlfo_eh_frame;
	const ElfW(Phdr) * headers;
	unsigned n_headers;

	if (!address_within(hdr, lo, hi))
		return (struct cfi_section){ 0 };
	headers = program_headers(loaded, &n_headers);
	if (headers && !find_segment(headers, n_headers, loaded->dlfo_link_map->l_addr, hdr, PF_R,
			       &lo, &hi))
		return (struct cfi_section){ 0 };
	if (lo < (uintptr_t)loaded->dlfo_map_start || hi > (uintptr_t)loaded->dlfo_map_end ||
		hi - lo > INT32_MAX)
		return (struct cfi_section){ 0 };
	return (struct cfi_section){ (const uint8_t *)lo, (const uint8_t *)hi,
		(const uint8_t *)hdr };
}

bool cfi_objects_next_table(uintptr_t pc, uint32_t *fromp, struct cfi_section *sectionp)
{
	/* Relaxed: a table published after this look is one registered during the walk. */
	uint32_t n_used = hs_load_relaxed(&tables_used);

	for (uint32_t i = *fromp; i < n_used; i++) {
		struct table *table = &tables[i];
		/* Acquire: pairs with the release of a valid state in cfi_objects_add_table(). */
		uint32_t state = hs_load_acquire(&table->state);
		uintptr_t start, end;

		if (state == 0 || state & 1)
			continue;
		/*
		 * Acquire: a field of the slot's next table comes with the odd
		 * state that was set before it, so the second look shows it.
		 */
		if (!address_within(
			    pc, hs_load_acquire(&table->pc_lo), hs_load_acquire(&table->pc_hi)))
			continue;
		start = hs_load_acquire(&table->start);
		end = hs_load_acquire(&table->end);
		if (hs_load_relaxed(&table->state) != state)
			continue;
		/* Its memory may have been given back without a word. */
		if (stack_range_is_gone((const void *)start) ||
			stack_range_is_gone((const void *)(end - 1)))
			continue;
		*sectionp =
			(struct cfi_section){ (const uint8_t *)start, (const uint8_t *)end, NULL };
		*fromp = i + 1;
		return true;
	}
	return false;
}

bool cfi_objects_find(uintptr_t pc, struct cfi_object *object)
{
	uint32_t first = 0;

	object->own = cfi_objects_is_own(pc);
	object->registered = false;
	object->loaded.dlfo_link_map = NULL;
	if (object->own) {
		locate(pc, &object->loaded);
		object->section = own_section;
		return true;
	}
	if (locate(pc, &object->loaded)) {
		object->section = section_of(&object->loaded);
		return true;
	}
	object->registered = cfi_objects_next_table(pc, &first, &object->section);
	return object->registered;
}

/* Does a call instruction of exactly n bytes begin at p? (Intel SDM, volume 2, "CALL".) */
static bool is_call(const uint8_t *p, unsigned n)
{
	unsigned mod, rm, length = 2;

	if (n == 5 && p[0] == 0xe8)
		return true;
	if (n < 2 || p[0] != 0xff || (p[1] >> 3 & 7) != 2)
		return false;
	mod = p[1] >> 6;
	rm = p[1] & 7;
	if (mod != 3 && rm == 4) {
		length++;
		if (mod == 0 && n > 2 && (p[2] & 7) == 5)
			length += 4;
	}
	if (mod == 1)
		length += 1;
	else if (mod == 2 || (mod == 0 && rm == 5))
		length += 4;
	return length == n;
}

bool cfi_objects_after_call(uintptr_t pc, bool *in_objectp)
{
	struct dl_find_object loaded;
	const ElfW(Phdr) * headers;
	unsigned n_headers;
	uintptr_t lo, hi;

	*in_objectp = locate(pc - 1, &loaded);
	if (!*in_objectp)
		return false;
	headers = program_headers(&loaded, &n_headers);
	if (!headers || !find_segment(headers, n_headers, loaded.dlfo_link_map->l_addr, pc - 1,
				PF_R | PF_X, &lo, &hi))
		return false;
	if (lo < (uintptr_t)loaded.dlfo_map_start || pc - lo < CALL_BYTES_MAX)
		return false;
	for (unsigned n = 2; n <= CALL_BYTES_MAX; n++) {
		if (is_call((const uint8_t *)pc - n, n))
			return true;
	}
	return false;
}

bool cfi_objects_add_table(const void *eh_frame)
{
	uintptr_t pc_lo, pc_hi;
	const uint8_t *end;

	if (!eh_frame || !cfi_table_extent(eh_frame, TABLE_BYTES_MAX, &end, &pc_lo, &pc_hi))
		return false;
	for (uint32_t i = 0; i < CFI_TABLES_MAX; i++) {
		struct table *table = &tables[i];
		uint32_t free_slot = 0, n_used, state = hs_load_relaxed(&table->state);

		if ((state != 0 && !(state & 1)) || !hs_cas_acq_rel(&table->claimed, &free_slot, 1))
			continue;
		/* Release: pairs with the acquire loads of cfi_objects_next_table(), see there. */
		state = hs_load_relaxed(&table->state);
		hs_store_release(&table->start, (uintptr_t)eh_frame);
		hs_store_release(&table->end, (uintptr_t)end);
		hs_store_release(&table->pc_lo, pc_lo);
		hs_store_release(&table->pc_hi, pc_hi);
		n_used = hs_load_relaxed(&tables_used);
		while (n_used < i + 1 && !hs_cas_relaxed(&tables_used, &n_used, i + 1))
			;
		/* Release: pairs with the acquire of state in cfi_objects_next_table(). */
		hs_store_release(&table->state, (state | 1) + 1);
		return true;
	}
	return false;
}

bool cfi_objects_remove_table(const void *eh_frame)
{
	for (uint32_t i = 0; i < hs_load_relaxed(&tables_used); i++) {
		struct table *table = &tables[i];
		uint32_t state = hs_load_acquire(&table->state);

		if (state == 0 || state & 1 ||
			hs_load_relaxed(&table->start) != (uintptr_t)eh_frame)
			continue;
		if (!hs_cas_acq_rel(&table->state, &state, state + 1))
			continue;
		/* Release: who claims the slot next (acquire) comes after the odd state. */
		hs_store_release(&table->claimed, 0);
		return true;
	}
	return false;
}
