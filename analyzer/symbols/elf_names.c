/*
 * elf_names.c - owns the reading of .symtab and .dynsym. Which file to read is
 * left to symbols_elfutils.c, demangling to demangle.c.
 */
#include "analyzer/symbols/elf_names.h"

#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/demangle.h"
#include "analyzer/symbols/intern.h"
#include "analyzer/symbols/name.h"
#include "analyzer/symbols/symbols_backend.h"

/* How many symbols that start below an address are asked whether they reach it. */
enum { BACK_MAX = 256 };

struct code_symbol {
	uint64_t start, end; /* covers [start, end); start < end once extend_unsized() is done */
	uint64_t reach;      /* the largest end of this symbol and all before it */
	const char *name;    /* inside the file */
	uint32_t section;
	unsigned rank; /* among several at one address the highest is shown */
	bool has_size;
};

struct code_symbols {
	struct code_symbol *list;
	size_t n, n_allocated;
};

static bool is_code(Elf *elf, uint32_t section_index, GElf_Shdr *headerp)
{
	Elf_Scn *section = elf_getscn(elf, section_index);

	return section && gelf_getshdr(section, headerp) && headerp->sh_flags & SHF_EXECINSTR;
}

uint64_t elf_names_text_start(Elf *elf)
{
	uint64_t start = UINT64_MAX;
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_flags & SHF_EXECINSTR &&
			header.sh_addr && header.sh_addr < start)
			start = header.sh_addr;
	}
	return start;
}

/* Of aliases, the one that a programmer would write: exported, typed, few underscores. */
static unsigned rank_of(const GElf_Sym *symbol, const char *name)
{
	unsigned n_underscores = (unsigned)strspn(name, "_");
	unsigned rank = 0;

	if (GELF_ST_BIND(symbol->st_info) == STB_GLOBAL)
		rank += 2;
	else if (GELF_ST_BIND(symbol->st_info) == STB_WEAK)
		rank += 1;
	if (GELF_ST_TYPE(symbol->st_info) != STT_NOTYPE)
		rank += 4;
	if (symbol->st_size)
		rank += 8;
	return rank * 16 + (n_underscores < 15 ? 15 - n_underscores : 0);
}

static bool add(struct code_symbols *symbols, const struct code_symbol *symbol)
{
	if (symbols->n == symbols->n_allocated) {
		size_t n = symbols->n_allocated ? 2 * symbols->n_allocated : 1024;
		struct code_symbol *grown = reallocarray(symbols->list, n, sizeof(*grown));

		if (!grown)
			return false;
		symbols->list = grown;
		symbols->n_allocated = n;
	}
	symbols->list[symbols->n++] = *symbol;
	return true;
}

static void collect(
	struct code_symbols *symbols, Elf *elf, Elf_Scn *table, const GElf_Shdr *table_header)
{
	Elf_Data *data = elf_getdata(table, NULL);
	size_t n_symbols = data ? data->d_size / gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT) : 0;
	uint32_t known_section = SHN_UNDEF;
	GElf_Shdr section;
	bool known_is_code = false;

	for (size_t i = 1; i < n_symbols && i <= INT32_MAX; i++) {
		struct code_symbol code = { 0 };
		GElf_Sym symbol;
		unsigned type;

		if (!gelf_getsym(data, (int)i, &symbol))
			return;
		type = GELF_ST_TYPE(symbol.st_info);
		if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
			continue;
		if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= SHN_LORESERVE)
			continue;
		if (symbol.st_shndx != known_section) {
			known_section = symbol.st_shndx;
			known_is_code = is_code(elf, known_section, &section);
		}
		if (!known_is_code)
			continue;
		code.name = elf_strptr(elf, table_header->sh_link, symbol.st_name);
		/* $x and the like mark instruction sets, they name nothing. */
		if (!code.name || code.name[0] == '\0' || code.name[0] == '$')
			continue;
		code.start = code.end = symbol.st_value;
		code.section = known_section;
		code.has_size = symbol.st_size != 0;
		code.rank = rank_of(&symbol, code.name);
		if (symbol.st_size && __builtin_add_overflow(code.start, symbol.st_size, &code.end))
			continue;
		if (!add(symbols, &code))
			return;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct code_symbol *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return strcmp(right->name, left->name);
}

/* Assembly code without .size: such a symbol goes on to the next one of its section. */
static void extend_unsized(struct code_symbols *symbols, Elf *elf)
{
	uint64_t next_start = 0; /* the lowest start above the symbol at hand, in next_section */
	uint32_t next_section = SHN_UNDEF;

	for (size_t i = symbols->n; i-- > 0;) {
		struct code_symbol *symbol = &symbols->list[i];

		if (!symbol->has_size) {
			GElf_Shdr section;
			uint64_t end = 0;

			if (is_code(elf, symbol->section, &section) &&
				!__builtin_add_overflow(section.sh_addr, section.sh_size, &end) &&
				end > symbol->start)
				symbol->end = end;
			if (next_section == symbol->section && next_start < symbol->end)
				symbol->end = next_start;
		}
		if (i > 0 && symbols->list[i - 1].start != symbol->start) {
			next_start = symbol->start;
			next_section = symbol->section;
		}
	}
}

static const struct code_symbol *find(const struct code_symbols *symbols, uint64_t vaddr)
{
	const struct code_symbol *unsized = NULL;
	size_t low = 0, high = symbols->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->list[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	/* A label inside a function is not the function. */
	for (unsigned n = 0; low-- > 0 && n < BACK_MAX; n++) {
		const struct code_symbol *symbol = &symbols->list[low];

		if (symbol->reach <= vaddr)
			break;
		if (vaddr >= symbol->end)
			continue;
		if (symbol->has_size)
			return symbol;
		if (!unsized)
			unsized = symbol;
	}
	return unsized;
}

/*
 * Drops "@VERSION" and "@@VERSION", which linkers leave in .symtab, and clone
 * suffixes: the parts of a function are one function, as they are in DWARF.
 */
static const char *source_symbol(struct intern *pool, const char *name)
{
	const char *at = strchr(name, '@');
	size_t full_length = strlen(name);
	size_t length = at && at > name ? (size_t)(at - name) : full_length;
	const char *result;
	char *copy;

	length = name_without_clone(name, length);
	if (length == full_length)
		return name;
	copy = strndup(name, length);
	result = copy ? intern_string(pool, copy) : NULL;
	free(copy);
	return result ? result : name;
}

size_t elf_names_resolve(struct symbols_job *job, Elf *elf, uint32_t table_type)
{
	struct code_symbols symbols = { 0 };
	Elf_Scn *section = NULL;
	uint64_t reach = 0;
	size_t n_symbols;

	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == table_type)
			collect(&symbols, elf, section, &header);
	}
	if (symbols.n)
		qsort(symbols.list, symbols.n, sizeof(*symbols.list), by_start);
	extend_unsized(&symbols, elf);
	for (size_t i = 0; i < symbols.n; i++) {
		if (symbols.list[i].end > reach)
			reach = symbols.list[i].end;
		symbols.list[i].reach = reach;
	}
	for (size_t i = 0; i < job->n_addresses; i++) {
		struct symbols_address *address = &job->addresses[i];
		const struct code_symbol *symbol;
		struct symbols_level level = { 0 };

		if (!symbols_address_needs_symbol(address))
			continue;
		symbol = find(&symbols, address->vaddr);
		if (!symbol)
			continue;
		level.function = demangle_name(job->pool, source_symbol(job->pool, symbol->name));
		if (!level.function)
			continue;
		if (address->n_levels)
			address->levels[0].function = level.function;
		else
			address->bare = symbols_address_push(address, &level);
		address->makeshift = false;
	}
	n_symbols = symbols.n;
	free(symbols.list);
	return n_symbols;
}
