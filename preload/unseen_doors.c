/*
 * unseen_doors.c - owns noticing that blocks may be freed behind our back: jemalloc, tcmalloc and
 * mimalloc have functions of their own for that, beside the C library's. A block that malloc
 * gave, that is a sample, and that goes back by one of them looks like a leak.
 *
 * Nothing is done about it here but to tell. Programs without such an allocator pay three
 * look-ups at load, the others a reading of the names that each object imports.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include "preload/compiler.h"
#include "preload/real_alloc.h"
#include "preload/unseen_doors.h"

#define N_PREFIXES 5

struct family {
	const char *marker;               /* where this is defined, the allocator is */
	const char *interposer;           /* object of ours that sees to it, NULL none */
	const char *prefixes[N_PREFIXES]; /* of functions that free; up to a NULL */
};

static const struct family families[] = {
	{ "sdallocx", "/libheapspy-jemalloc.so", { "dallocx", "sdallocx", "rallocx" } },
	{ "tc_free", NULL, { "tc_free", "tc_cfree", "tc_realloc", "tc_delete" } },
	{ "mi_free", NULL, { "mi_free", "mi_cfree", "mi_realloc", "mi_heap_realloc" } },
};

struct search {
	bool wanted[HS_ARRAY_SIZE(families)];
	struct unseen_door *door;
};

/* Of a loaded object; NULL what it does not have. */
struct names {
	const Elf64_Sym *symbols;
	const char *strings;
	size_t n; /* symbols that may be undefined */
};

/* The loader has made addresses of these words, but not everywhere. */
static const void *at(const struct dl_phdr_info *object, Elf64_Addr value)
{
	return (const void *)(value < object->dlpi_addr ? object->dlpi_addr + value : value);
}

static void read_dynamic(const struct dl_phdr_info *object, Elf64_Addr vaddr, struct names *names)
{
	const Elf64_Dyn *entry = (const Elf64_Dyn *)(object->dlpi_addr + vaddr);
	const uint32_t *gnu_hash = NULL, *hash = NULL;

	for (; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			names->symbols = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_STRTAB)
			names->strings = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_GNU_HASH)
			gnu_hash = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_HASH)
			hash = at(object, entry->d_un.d_ptr);
	}
	if (gnu_hash)
		names->n = gnu_hash[1]; /* defined ones come behind, sorted */
	else if (hash)
		names->n = hash[1];
}

/* The family that name is a function of, NULL none that is searched for. */
static const struct family *family_of(const struct search *search, const char *name)
{
	const char *const *prefix;
	unsigned i;

	for (i = 0; i < HS_ARRAY_SIZE(families); i++)
		for (prefix = families[i].prefixes; search->wanted[i] && *prefix; prefix++)
			if (!strncmp(name, *prefix, strlen(*prefix)))
				return &families[i];
	return NULL;
}

static int look_into(struct dl_phdr_info *object, size_t size, void *context)
{
	const struct search *search = context;
	const struct family *family;
	struct names names = { 0 };
	size_t i;

	for (i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			read_dynamic(object, object->dlpi_phdr[i].p_vaddr, &names);
	for (i = 1; names.symbols && names.strings && i < names.n; i++) {
		const char *name = names.strings + names.symbols[i].st_name;

		if (names.symbols[i].st_shndx != SHN_UNDEF)
			continue;
		family = family_of(search, name);
		if (!family)
			continue;
		search->door->interposer = family->interposer;
		strncpy(search->door->object, object->dlpi_name, sizeof(search->door->object) - 1);
		strncpy(search->door->name, name, sizeof(search->door->name) - 1);
		return 1;
	}
	return 0;
}

static bool is_unseen(const struct family *family)
{
	const char *object;

	if (!real_alloc_is_defined(family->marker))
		return false;
	real_alloc_reaches_us(family->marker, &object);
	return !family->interposer || !strstr(object, family->interposer);
}

bool unseen_doors_find(struct unseen_door *doorp)
{
	struct search search = { .door = doorp };
	bool any = false;
	unsigned i;

	memset(doorp, 0, sizeof(*doorp));
	for (i = 0; i < HS_ARRAY_SIZE(families); i++)
		any |= search.wanted[i] = is_unseen(&families[i]);
	return any && dl_iterate_phdr(look_into, &search);
}
