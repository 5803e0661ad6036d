/*
 * debug_file.c - owns finding, checking and opening the ELF files of a module.
 * Opened by hand rather than by libdwfl's callbacks, so that nothing ever asks
 * a debuginfod server. Reading symbols and DWARF is left to elf_names.c and
 * dwarf_names.c.
 *
 * Places of separate debug files: gdb manual, "Debugging Information in
 * Separate Files".
 */
#include "analyzer/symbols/debug_file.h"

#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool build_id_in_notes(struct debug_file *file, Elf_Data *data)
{
	size_t offset = 0, name_at, desc_at;
	GElf_Nhdr note;

	while (data && (offset = gelf_getnote(data, offset, &note, &name_at, &desc_at)) > 0) {
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof("GNU") ||
			memcmp((char *)data->d_buf + name_at, "GNU", sizeof("GNU")) != 0)
			continue;
		file->build_id = (const uint8_t *)data->d_buf + desc_at;
		file->build_id_len = note.n_descsz;
		return note.n_descsz > 0;
	}
	return false;
}

/* Program headers first: they are there when sections are stripped; not in a debug file. */
static void find_build_id(struct debug_file *file)
{
	Elf_Scn *section = NULL;
	size_t n_segments = 0;

	if (elf_getphdrnum(file->elf, &n_segments) != 0)
		n_segments = 0;
	for (size_t i = 0; i < n_segments && i < INT_MAX; i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(file->elf, (int)i, &header))
			break;
		if (header.p_type != PT_NOTE)
			continue;
		if (build_id_in_notes(
			    file, elf_getdata_rawchunk(file->elf, (int64_t)header.p_offset,
					  header.p_filesz,
					  header.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR)))
			return;
	}
	while ((section = elf_nextscn(file->elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE &&
			build_id_in_notes(file, elf_getdata(section, NULL)))
			return;
	}
	file->build_id = NULL;
	file->build_id_len = 0;
}

/* SYMBOLS_NOT_RESOLVED means open; else as debug_file_open_module(). */
static enum symbols_source open_path(struct debug_file *file, const char *path)
{
	struct stat status;

	*file = (struct debug_file){ .fd = -1 };
	/* Not blocking: the path comes from a snapshot and may name a FIFO. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return access(path, F_OK) == 0 ? SYMBOLS_UNREADABLE : SYMBOLS_NO_FILE;
	if (fstat(file->fd, &status) != 0 || !S_ISREG(status.st_mode))
		goto unreadable;
	file->size_bytes = (uint64_t)status.st_size;
	elf_version(EV_CURRENT);
	file->elf = elf_begin(file->fd, ELF_C_READ_MMAP, NULL);
	if (!file->elf || elf_kind(file->elf) != ELF_K_ELF)
		goto unreadable;
	file->path = strdup(path);
	if (!file->path)
		goto unreadable;
	find_build_id(file);
	return SYMBOLS_NOT_RESOLVED;
unreadable:
	debug_file_close(file);
	return SYMBOLS_UNREADABLE;
}

void debug_file_close(struct debug_file *file)
{
	if (file->elf)
		elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	*file = (struct debug_file){ .fd = -1 };
}

static bool same_build(const struct debug_file *file, const uint8_t *build_id, size_t len)
{
	return file->build_id_len == len && memcmp(file->build_id, build_id, len) == 0;
}

/* ROOT/.build-id/ab/cdef... with suffix; the file must say the same of itself. */
static bool open_by_build_id(struct debug_file *file, const struct symbol_module_ref *module,
	const char *debug_root, const char *suffix)
{
	char hex[2 * SYMBOLS_BUILD_ID_MAX + 1] = "", *path;
	enum symbols_source reason;

	*file = (struct debug_file){ .fd = -1 };
	if (module->build_id_len < 2 || module->build_id_len > SYMBOLS_BUILD_ID_MAX)
		return false;
	for (unsigned i = 0; i < module->build_id_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", module->build_id[i]);
	if (asprintf(&path, "%s/.build-id/%.2s/%s%s", debug_root, hex, hex + 2, suffix) < 0)
		return false;
	reason = open_path(file, path);
	free(path);
	if (reason != SYMBOLS_NOT_RESOLVED)
		return false;
	if (same_build(file, module->build_id, module->build_id_len))
		return true;
	debug_file_close(file);
	return false;
}

bool debug_file_open_module(struct debug_file *file, const struct symbol_module_ref *module,
	const char *debug_root, bool *unverifiedp, enum symbols_source *reasonp)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(module->path);
	char *path;

	*unverifiedp = false;
	*reasonp = SYMBOLS_NO_FILE;
	*file = (struct debug_file){ .fd = -1 };
	/* Relative paths and "[vdso]" name nothing here. */
	if (module->path[0] == '/') {
		/* A replaced file: what is there now is good only if it is the same build. */
		bool replaced = length > strlen(deleted) &&
				strcmp(module->path + length - strlen(deleted), deleted) == 0;

		path = strndup(module->path, replaced ? length - strlen(deleted) : length);
		if (!path)
			return false;
		*reasonp = open_path(file, path);
		free(path);
		if (*reasonp == SYMBOLS_NOT_RESOLVED) {
			if (module->build_id_len && file->build_id_len) {
				if (same_build(file, module->build_id, module->build_id_len))
					return true;
			} else if (!replaced) {
				*unverifiedp = true;
				return true;
			}
			debug_file_close(file);
			*reasonp = SYMBOLS_OTHER_BUILD;
		}
	}
	return open_by_build_id(file, module, debug_root, "");
}

/* The checksum of .gnu_debuglink: CRC-32 of IEEE 802.3 over the whole file. */
static bool crc_matches(const struct debug_file *file, uint32_t expected)
{
	uint32_t table[256], crc = 0xffffffffu;
	size_t n_bytes;
	const char *bytes = elf_rawfile(file->elf, &n_bytes);

	if (!bytes)
		return false;
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
	}
	for (size_t i = 0; i < n_bytes; i++)
		crc = table[(crc ^ (uint8_t)bytes[i]) & 0xff] ^ crc >> 8;
	return ~crc == expected;
}

static Elf_Scn *section_named(Elf *elf, const char *name)
{
	size_t names;
	Elf_Scn *section = NULL;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *found;

		if (!gelf_getshdr(section, &header))
			continue;
		found = elf_strptr(elf, names, header.sh_name);
		if (found && strcmp(found, name) == 0)
			return section;
	}
	return NULL;
}

bool debug_file_has_dwarf(const struct debug_file *file)
{
	static const char *const names[] = { ".debug_info", ".zdebug_info" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		Elf_Scn *section = section_named(file->elf, names[i]);
		GElf_Shdr header;

		if (section && gelf_getshdr(section, &header) && header.sh_type != SHT_NOBITS)
			return true;
	}
	return false;
}

/* The file name and checksum; the name is inside elf and has no slash. */
static const char *debuglink_of(const struct debug_file *own, uint32_t *crcp)
{
	Elf_Scn *section = section_named(own->elf, ".gnu_debuglink");
	Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
	size_t name_bytes, crc_at;

	if (!data || !data->d_buf)
		return NULL;
	name_bytes = strnlen(data->d_buf, data->d_size);
	crc_at = (name_bytes + 4) & ~(size_t)3;
	if (name_bytes == 0 || data->d_size < 4 || crc_at > data->d_size - 4 ||
		memchr(data->d_buf, '/', name_bytes))
		return NULL;
	memcpy(crcp, (char *)data->d_buf + crc_at, 4);
	return data->d_buf;
}

static bool open_link(struct debug_file *file, const struct debug_file *own, uint32_t crc,
	const char *before, const char *directory, const char *between, const char *name)
{
	char *path;
	bool ok = false;

	if (asprintf(&path, "%s%s%s%s", before, directory, between, name) < 0)
		return false;
	if (open_path(file, path) == SYMBOLS_NOT_RESOLVED) {
		/* A build id tells as much as the checksum, without reading it all. */
		if (own->build_id_len && file->build_id_len)
			ok = same_build(file, own->build_id, own->build_id_len);
		else
			ok = crc_matches(file, crc);
		/* A link may carry the module's own name, and then finds that first. */
		ok = ok && debug_file_has_dwarf(file);
		if (!ok)
			debug_file_close(file);
	}
	free(path);
	return ok;
}

static bool open_by_debuglink(
	struct debug_file *file, const struct debug_file *own, const char *debug_root)
{
	uint32_t crc = 0;
	const char *name = debuglink_of(own, &crc);
	char *real = name ? realpath(own->path, NULL) : NULL;
	char *slash = real ? strrchr(real, '/') : NULL;
	bool ok = false;

	if (slash) {
		*slash = '\0';
		ok = open_link(file, own, crc, "", real, "/", name) ||
		     open_link(file, own, crc, "", real, "/.debug/", name) ||
		     open_link(file, own, crc, debug_root, real, "/", name);
	}
	free(real);
	return ok;
}

bool debug_file_open_separate(struct debug_file *file, const struct debug_file *own,
	const struct symbol_module_ref *module, const char *debug_root)
{
	struct symbol_module_ref self = { NULL, own->build_id, (unsigned)own->build_id_len };

	*file = (struct debug_file){ .fd = -1 };
	if (open_by_build_id(file, module->build_id_len ? module : &self, debug_root, ".debug"))
		return true;
	return own->elf && open_by_debuglink(file, own, debug_root);
}
