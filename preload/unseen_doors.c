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
	/*
	 * What it wants of others has relocations: in a hash table it need not be, whose words on
	 * how many symbols there are do not hold where none is defined.
	 */
	const Elf64_Rela *relocations[2]; /* those of the PLT are apart */
	size_t bytes[2];
};

/* The loader has made addresses of these words, but not everywhere. */
static const void *at(const struct dl_phdr_info *object, Elf64_Addr value)
{
	return (const void *)(value < object->dlpi_addr ? object->dlpi_addr + value : value);
}

static void read_dynamic(const struct dl_phdr_info *object, Elf64_Addr vaddr, struct names *names)
{
	const Elf64_Dyn *entry = (const Elf64_Dyn *)(object->dlpi_addr + vaddr);

	for (; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			names->symbols = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_STRTAB)
			names->strings = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_RELA)
			names->relocations[0] = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_RELASZ)
			names->bytes[0] = entry->d_un.d_val;
		else if (entry->d_tag == DT_JMPREL)
			names->relocations[1] = at(object, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_PLTRELSZ)
			names->bytes[1] = entry->d_un.d_val;
	}
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

/* Whether the symbol is wanted of another object and seen by nobody; then it is the door. */
static bool is_door(const struct search *search, const struct dl_phdr_info *object,
	const struct names *names, uint32_t symbol)
{
	const char *name = names->strings + names->symbols[symbol].st_name;
	const struct family *family;

	if (!symbol || names->symbols[symbol].st_shndx != SHN_UNDEF)
		return false;
	family = family_of(search, name);
	if (!family)
		return false;
	search->door->interposer = family->interposer;
	strncpy(search->door->object, object->dlpi_name, sizeof(search->door->object) - 1);
	strncpy(search->door->name, name, sizeof(search->door->name) - 1);
	return true;
}

static int look_into(struct dl_phdr_info *object, size_t size, void *context)
{
	struct names names = { 0 };
	size_t i, k;

	for (i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			read_dynamic(object, object->dlpi_phdr[i].p_vaddr, &names);
	if (!names.symbols || !names.strings)
		return 0;
	for (k = 0; k < HS_ARRAY_SIZE(names.relocations); k++) {
		size_t n = names.relocations[k] ? names.bytes[k] / sizeof(Elf64_Rela) : 0;

		for (i = 0; i < n; i++)
			if (is_door(context, object, &names,
				    ELF64_R_SYM(names.relocations[k][i].r_info)))
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
