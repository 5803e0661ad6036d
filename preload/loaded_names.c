/*
 * loaded_names.c - owns the reading of the loaded objects' symbol tables, by the hash tables that
 * the loader itself uses (System V gABI, "Hash Table"; the layout of DT_GNU_HASH is that of
 * binutils). They are read just as it reads them, and no word beyond: what an odd tool has written
 * there and the loader passes by may be anything.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "preload/loaded_names.h"
#include "preload/process.h"

#define WORD_BITS (8 * sizeof(ElfW(Addr)))

/* glibc 2.35 */
int _dl_find_object(void *address, struct dl_find_object *result) __attribute__((weak));

struct tables {
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *gnu_hash, *sysv_hash;
};

/* The loader has added the load address, but where it cannot write: in the kernel's object. */
static const void *address(const struct link_map *object, ElfW(Addr) at)
{
	return (const void *)(at < object->l_addr ? at + object->l_addr : at);
}

static struct tables read_tables(const struct link_map *object)
{
	struct tables t = { 0 };
	const ElfW(Dyn) * entry;

	for (entry = object->l_ld; entry && entry->d_tag != DT_NULL; entry++) {
		const void *at = address(object, entry->d_un.d_ptr);

		if (entry->d_tag == DT_SYMTAB)
			t.symbols = at;
		else if (entry->d_tag == DT_STRTAB)
			t.strings = at;
		else if (entry->d_tag == DT_GNU_HASH)
			t.gnu_hash = at;
		else if (entry->d_tag == DT_HASH)
			t.sysv_hash = at;
	}
	return t;
}

/* Not strcmp(), which sanitizers replace by one that may not be called while they start. */
static bool is_defined_as(const struct tables *t, uint32_t symbol, const char *name)
{
	const char *other = t->strings + t->symbols[symbol].st_name;

	while (*name && *name == *other)
		name++, other++;
	return *name == *other && t->symbols[symbol].st_shndx != SHN_UNDEF;
}

static bool gnu_hash_has(const struct tables *t, const char *name)
{
	uint32_t n_buckets = t->gnu_hash[0], first = t->gnu_hash[1], n_words = t->gnu_hash[2];
	const ElfW(Addr) *words = (const ElfW(Addr) *)(t->gnu_hash + 4), *word;
	const uint32_t *buckets = (const uint32_t *)(words + n_words), *hashes;
	uint32_t hash = 5381, i;
	const char *c;

	if (!n_buckets)
		return false;
	for (c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	word = &words[hash / WORD_BITS & (n_words - 1)];
	if (!(*word >> hash % WORD_BITS & *word >> (hash >> t->gnu_hash[3]) % WORD_BITS & 1))
		return false;
	i = buckets[hash % n_buckets];
	if (i < first || !i)
		return false;
	hashes = buckets + n_buckets - first;
	do
		if ((hashes[i] | 1) == (hash | 1) && is_defined_as(t, i, name))
			return true;
	while (!(hashes[i++] & 1));
	return false;
}

static bool sysv_hash_has(const struct tables *t, const char *name)
{
	uint32_t n_buckets = t->sysv_hash[0];
	const uint32_t *buckets = t->sysv_hash + 2, *chain = buckets + n_buckets;
	uint32_t hash = 0, i;
	const char *c;

	if (!n_buckets)
		return false;
	for (c = name; *c; c++) {
		hash = (hash << 4) + (unsigned char)*c;
		hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
	}
	for (i = buckets[hash % n_buckets]; i; i = chain[i])
		if (is_defined_as(t, i, name))
			return true;
	return false;
}

static bool is_over;

void loaded_names_end(void)
{
	hs_store_relaxed(&is_over, true);
}

bool loaded_names_may_have(const char *name)
{
	const struct link_map *object;
	struct dl_find_object ours;

	if (hs_load_relaxed(&is_over) || hs_load_relaxed(&process_page.threaded) ||
		!_dl_find_object || _dl_find_object((void *)loaded_names_may_have, &ours))
		return true;
	object = ours.dlfo_link_map;
	while (object->l_prev)
		object = object->l_prev;
	for (; object; object = object->l_next) {
		struct tables t = read_tables(object);

		if (object == ours.dlfo_link_map || !t.symbols || !t.strings)
			continue;
		if (t.gnu_hash        ? gnu_hash_has(&t, name)
			: t.sysv_hash ? sysv_hash_has(&t, name)
				      : true)
			return true;
	}
	return false;
}
