/*
 * program_elf.c - owns the reading of a program's ELF file. What the facts mean
 * for preloading is program.c's.
 */
#include "analyzer/target/program_elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"

#define HEADERS_BYTES_MAX 65536u /* of program headers; the kernel's own limit */
#define SECTIONS_MAX      100000u
#define DYNAMIC_BYTES_MAX (1u << 20)
#define NOTES_BYTES_MAX   (1u << 20)
#define SYMBOLS_MAX       (16u << 20)
#define STRINGS_BYTES_MAX (256u << 20)
#define SYMBOLS_AT_ONCE   2048
#define BUCKETS_AT_ONCE   4096
#define NOWHERE           UINT64_MAX
#define GO_BUILD_ID_NOTE  4 /* type of a note of owner "Go" */

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#else
#error "add the machine here"
#endif

struct file {
	int fd;
	uint64_t bytes;
	bool dynamic_only; /* .symtab is not wanted */
};

/* A string table in memory; NUL-terminated at bytes. */
struct strings {
	char *data;
	uint64_t bytes;
};

static bool is_inside(const struct file *file, uint64_t offset, uint64_t bytes)
{
	return offset <= file->bytes && bytes <= file->bytes - offset;
}

/* All of the bytes, or false. */
static bool read_at(const struct file *file, uint64_t offset, void *out, uint64_t bytes)
{
	uint64_t got = 0;

	if (!is_inside(file, offset, bytes))
		return false;
	while (got < bytes) {
		ssize_t n = pread(file->fd, (char *)out + got, bytes - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (uint64_t)n;
	}
	return true;
}

/* data is NULL unless all of it could be read. */
static struct strings read_strings(const struct file *file, uint64_t offset, uint64_t bytes)
{
	struct strings strings = { NULL, 0 };

	if (bytes > STRINGS_BYTES_MAX || !is_inside(file, offset, bytes))
		return strings;
	strings.data = alloc_array(bytes + 1, 1);
	strings.bytes = bytes;
	if (!read_at(file, offset, strings.data, bytes)) {
		free(strings.data);
		strings.data = NULL;
	}
	return strings;
}

static const char *string_at(const struct strings *strings, uint64_t offset)
{
	return offset < strings->bytes ? strings->data + offset : "";
}

static void copy_cut(char *out, size_t bytes, const char *text)
{
	size_t n = strnlen(text, bytes - 1);

	memcpy(out, text, n);
	out[n] = '\0';
}

/* The offset in the file of an address the loader would use; NOWHERE, which no file reaches. */
static uint64_t offset_of(const Elf64_Phdr *headers, unsigned n_headers, uint64_t address)
{
	unsigned i;

	for (i = 0; i < n_headers; i++) {
		const Elf64_Phdr *h = &headers[i];

		if (h->p_type == PT_LOAD && address >= h->p_vaddr &&
			address - h->p_vaddr < h->p_filesz)
			return h->p_offset + (address - h->p_vaddr);
	}
	return NOWHERE;
}

static bool is_defined(const Elf64_Sym *symbol)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	return symbol->st_shndx != SHN_UNDEF && symbol->st_value &&
	       (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

static bool is_exported(const Elf64_Sym *symbol)
{
	unsigned visibility = ELF64_ST_VISIBILITY(symbol->st_other);

	return ELF64_ST_BIND(symbol->st_info) != STB_LOCAL &&
	       (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

static void note_symbol(
	struct program_elf *elf, const Elf64_Sym *symbol, const char *name, bool dynamic)
{
	enum program_symbol i = program_symbols_find(name);

	if (i == PROGRAM_N_SYMBOLS)
		return;
	if (is_defined(symbol)) {
		if (!dynamic)
			elf->internal |= 1u << i;
		else if (is_exported(symbol))
			elf->exported |= 1u << i;
	} else if (dynamic && symbol->st_shndx == SHN_UNDEF) {
		if (ELF64_ST_BIND(symbol->st_info) == STB_WEAK)
			elf->asked_for |= 1u << i;
		else
			elf->imported |= 1u << i;
	}
}

static void read_symbols(const struct file *file, uint64_t offset, uint64_t n_symbols,
	const struct strings *strings, bool dynamic, struct program_elf *elf)
{
	Elf64_Sym *some;
	uint64_t done, i;

	if (n_symbols > SYMBOLS_MAX) {
		n_symbols = SYMBOLS_MAX;
		elf->is_cut = true;
	}
	some = alloc_array(SYMBOLS_AT_ONCE, sizeof(*some));
	for (done = 0; done < n_symbols; done += SYMBOLS_AT_ONCE) {
		uint64_t n =
			n_symbols - done < SYMBOLS_AT_ONCE ? n_symbols - done : SYMBOLS_AT_ONCE;

		if (!read_at(file, offset + done * sizeof(*some), some, n * sizeof(*some))) {
			elf->is_cut = true;
			break;
		}
		for (i = 0; i < n; i++)
			note_symbol(elf, &some[i], string_at(strings, some[i].st_name), dynamic);
	}
	free(some);
}

/* How many symbols a DT_GNU_HASH table speaks of; 0 when it cannot be read. */
static uint64_t count_by_gnu_hash(const struct file *file, uint64_t offset)
{
	struct {
		uint32_t n_buckets, first_symbol, n_words, shift;
	} head;
	uint32_t buckets[BUCKETS_AT_ONCE], link, last = 0;
	uint64_t at, done, i, n, steps;

	if (!read_at(file, offset, &head, sizeof(head)) || head.n_buckets > SYMBOLS_MAX)
		return 0;
	at = offset + sizeof(head) + (uint64_t)head.n_words * sizeof(uint64_t);
	for (done = 0; done < head.n_buckets; done += n) {
		n = head.n_buckets - done < BUCKETS_AT_ONCE ? head.n_buckets - done
							    : BUCKETS_AT_ONCE;
		if (!read_at(file, at + done * sizeof(link), buckets, n * sizeof(link)))
			return 0;
		for (i = 0; i < n; i++)
			last = buckets[i] > last ? buckets[i] : last;
	}
	if (last < head.first_symbol)
		return head.first_symbol;
	/* The chain of the last bucket ends with the last symbol: bit 0 of its word is set. */
	at += (uint64_t)head.n_buckets * sizeof(link);
	for (steps = 0; steps < SYMBOLS_AT_ONCE; steps++, last++) {
		if (!read_at(file, at + (uint64_t)(last - head.first_symbol) * sizeof(link), &link,
			    sizeof(link)))
			return 0;
		if (link & 1)
			return (uint64_t)last + 1;
	}
	return 0;
}

struct dynamic {
	uint64_t strings, strings_bytes, symbols, hash, gnu_hash, soname, rpath, runpath;
	bool has_soname, has_rpath, has_runpath;
};

/* *linksp: bytes of elf->links in use; the NUL that ends the list stays behind them. */
static void note_library(struct program_elf *elf, const char *name, size_t *linksp)
{
	enum program_library library = program_symbols_library(name);
	size_t bytes = strlen(name) + 1;

	if (bytes == 1)
		return;
	if (bytes < sizeof(elf->links) - *linksp) {
		memcpy(elf->links + *linksp, name, bytes);
		*linksp += bytes;
	} else {
		elf->is_cut = true;
	}
	if (library < PROGRAM_N_LIBRARIES)
		elf->libraries |= 1u << library;
}

static struct dynamic dynamic_of(const Elf64_Dyn *entries, uint64_t n_entries)
{
	struct dynamic d = { 0 };
	uint64_t i;

	for (i = 0; i < n_entries && entries[i].d_tag != DT_NULL; i++) {
		uint64_t value = entries[i].d_un.d_val;

		switch (entries[i].d_tag) {
		case DT_STRTAB:
			d.strings = value;
			break;
		case DT_STRSZ:
			d.strings_bytes = value;
			break;
		case DT_SYMTAB:
			d.symbols = value;
			break;
		case DT_HASH:
			d.hash = value;
			break;
		case DT_GNU_HASH:
			d.gnu_hash = value;
			break;
		case DT_SONAME:
			d.soname = value;
			d.has_soname = true;
			break;
		case DT_RPATH:
			d.rpath = value;
			d.has_rpath = true;
			break;
		case DT_RUNPATH:
			d.runpath = value;
			d.has_runpath = true;
			break;
		}
	}
	return d;
}

/* from_sections: number of .dynsym's symbols as the section headers have it, or 0. */
static void read_dynamic(const struct file *file, const Elf64_Phdr *headers, unsigned n_headers,
	const Elf64_Phdr *dynamic, uint64_t from_sections, struct program_elf *elf)
{
	uint64_t bytes = dynamic->p_filesz, n_entries, i, n_symbols = from_sections, by_hash;
	struct strings strings;
	Elf64_Dyn *entries;
	struct dynamic d;
	uint32_t counts[2];
	size_t links = 0;

	if (bytes > DYNAMIC_BYTES_MAX || !is_inside(file, dynamic->p_offset, bytes)) {
		elf->is_cut = true;
		return;
	}
	n_entries = bytes / sizeof(*entries);
	entries = alloc_array(n_entries, sizeof(*entries));
	if (!read_at(file, dynamic->p_offset, entries, n_entries * sizeof(*entries)))
		n_entries = 0;
	d = dynamic_of(entries, n_entries);
	strings = read_strings(file, offset_of(headers, n_headers, d.strings), d.strings_bytes);
	if (!strings.data || !d.strings) {
		elf->is_cut = true;
		free(strings.data);
		free(entries);
		return;
	}
	for (i = 0; i < n_entries && entries[i].d_tag != DT_NULL; i++)
		if (entries[i].d_tag == DT_NEEDED)
			note_library(elf, string_at(&strings, entries[i].d_un.d_val), &links);
	if (d.has_soname)
		copy_cut(elf->soname, sizeof(elf->soname), string_at(&strings, d.soname));
	if (d.has_rpath)
		copy_cut(elf->rpath, sizeof(elf->rpath), string_at(&strings, d.rpath));
	if (d.has_runpath)
		copy_cut(elf->runpath, sizeof(elf->runpath), string_at(&strings, d.runpath));
	elf->has_runpath = d.has_runpath;
	/* Without section headers the hash tables alone tell where .dynsym ends. */
	by_hash =
		d.gnu_hash ? count_by_gnu_hash(file, offset_of(headers, n_headers, d.gnu_hash)) : 0;
	if (d.hash && read_at(file, offset_of(headers, n_headers, d.hash), counts, sizeof(counts)))
		by_hash = counts[1] > by_hash ? counts[1] : by_hash;
	n_symbols = by_hash > n_symbols ? by_hash : n_symbols;
	if (d.symbols && n_symbols)
		read_symbols(file, offset_of(headers, n_headers, d.symbols), n_symbols, &strings,
			true, elf);
	free(strings.data);
	free(entries);
}

static bool read_section(
	const struct file *file, const Elf64_Ehdr *header, uint64_t i, Elf64_Shdr *out)
{
	return header->e_shoff <= file->bytes &&
	       read_at(file, header->e_shoff + i * sizeof(*out), out, sizeof(*out));
}

/* Symbols of .symtab, and how many .dynsym has. */
static uint64_t read_sections(
	const struct file *file, const Elf64_Ehdr *header, struct program_elf *elf)
{
	uint64_t i, n_sections = header->e_shnum, n_dynamic = 0;
	Elf64_Shdr s, linked;

	if (!header->e_shoff || header->e_shentsize != sizeof(s))
		return 0;
	/* More than fit the field: then the first header has the number. */
	if (!n_sections && read_section(file, header, 0, &s))
		n_sections = s.sh_size;
	if (n_sections > SECTIONS_MAX) {
		n_sections = SECTIONS_MAX;
		elf->is_cut = true;
	}
	for (i = 0; i < n_sections; i++) {
		struct strings strings;

		if (!read_section(file, header, i, &s)) {
			elf->is_cut = true;
			break;
		}
		if (s.sh_type == SHT_DYNSYM)
			n_dynamic = s.sh_size / sizeof(Elf64_Sym);
		if (file->dynamic_only || s.sh_type != SHT_SYMTAB ||
			!read_section(file, header, s.sh_link, &linked))
			continue;
		strings = read_strings(file, linked.sh_offset, linked.sh_size);
		if (strings.data)
			read_symbols(file, s.sh_offset, s.sh_size / sizeof(Elf64_Sym), &strings,
				false, elf);
		else
			elf->is_cut = true;
		free(strings.data);
		break; /* there is one at most */
	}
	return n_dynamic;
}

static void read_notes(const struct file *file, const Elf64_Phdr *notes, struct program_elf *elf)
{
	uint64_t at = 0, bytes = notes->p_filesz;
	uint8_t *data;

	if (bytes > NOTES_BYTES_MAX || !is_inside(file, notes->p_offset, bytes))
		return;
	data = alloc_array(bytes, 1);
	if (!read_at(file, notes->p_offset, data, bytes))
		bytes = 0;
	while (bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name_bytes, content_bytes;

		memcpy(&note, data + at, sizeof(note));
		at += sizeof(note);
		name_bytes = ((uint64_t)note.n_namesz + 3) & ~3ull;
		content_bytes = ((uint64_t)note.n_descsz + 3) & ~3ull;
		if (name_bytes > bytes - at || content_bytes > bytes - at - name_bytes)
			break;
		if (note.n_type == GO_BUILD_ID_NOTE && note.n_namesz >= 2 && data[at] == 'G' &&
			data[at + 1] == 'o')
			elf->is_go = true;
		at += name_bytes + content_bytes;
	}
	free(data);
}

/* PT_INTERP as the kernel takes it. Returns what is wrong with it, or NULL. */
static const char *read_loader(
	const struct file *file, const Elf64_Phdr *header, struct program_elf *elf)
{
	char path[4096];

	if (header->p_filesz < 2 || header->p_filesz > sizeof(path) ||
		!read_at(file, header->p_offset, path, header->p_filesz) ||
		path[header->p_filesz - 1])
		return "the name of its loader is not there";
	copy_cut(elf->loader, sizeof(elf->loader), path);
	elf->has_loader = true;
	return NULL;
}

static const char *read_headers(
	const struct file *file, const Elf64_Ehdr *header, struct program_elf *elf)
{
	unsigned i, n_headers = header->e_phnum;
	const Elf64_Phdr *dynamic = NULL;
	const char *damage = NULL;
	Elf64_Phdr *headers;
	uint64_t n_dynamic;

	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return "it is an object or core file";
	if (header->e_phentsize != sizeof(*headers) || !n_headers ||
		n_headers > HEADERS_BYTES_MAX / sizeof(*headers))
		return "its header is wrong";
	headers = alloc_array(n_headers, sizeof(*headers));
	if (!read_at(file, header->e_phoff, headers, n_headers * sizeof(*headers))) {
		free(headers);
		return "its program headers are cut off";
	}
	for (i = 0; i < n_headers && !damage; i++) {
		/* The kernel takes the first of these. */
		if (headers[i].p_type == PT_INTERP && !elf->has_loader)
			damage = read_loader(file, &headers[i], elf);
		else if (headers[i].p_type == PT_DYNAMIC && !dynamic)
			dynamic = &headers[i];
		else if (headers[i].p_type == PT_NOTE)
			read_notes(file, &headers[i], elf);
	}
	if (!damage) {
		n_dynamic = read_sections(file, header, elf);
		if (dynamic)
			read_dynamic(file, headers, n_headers, dynamic, n_dynamic, elf);
	}
	free(headers);
	return damage;
}

static void read_elf(int fd, bool dynamic_only, struct program_elf *elf)
{
	struct file file = { .fd = fd, .dynamic_only = dynamic_only };
	Elf64_Ehdr header;
	struct stat st;

	memset(elf, 0, sizeof(*elf));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	file.bytes = (uint64_t)st.st_size;
	/* Enough of the header to judge class and machine, which have one place in all classes. */
	memset(&header, 0, sizeof(header));
	if (!read_at(&file, 0, &header, SELFMAG) || memcmp(header.e_ident, ELFMAG, SELFMAG))
		return;
	elf->kind = PROGRAM_ELF_DAMAGED;
	elf->damage = "its header is cut off";
	if (!read_at(&file, 0, &header, sizeof(Elf32_Ehdr)))
		return;
	elf->bits = header.e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64;
	elf->big_endian = header.e_ident[EI_DATA] == ELFDATA2MSB;
	elf->machine = elf->big_endian ? __builtin_bswap16(header.e_machine) : header.e_machine;
	if (elf->bits != 64 || elf->big_endian || elf->machine != NATIVE_MACHINE) {
		elf->kind = PROGRAM_ELF_FOREIGN;
		return;
	}
	if (!read_at(&file, 0, &header, sizeof(header)))
		return;
	elf->damage = read_headers(&file, &header, elf);
	if (!elf->damage)
		elf->kind = PROGRAM_ELF_PROGRAM;
}

void program_elf_read(int fd, struct program_elf *elf)
{
	read_elf(fd, false, elf);
}

void program_elf_read_dynamic(int fd, struct program_elf *elf)
{
	read_elf(fd, true, elf);
}
