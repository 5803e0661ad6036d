/*
 * debug_file.c - owns opening one ELF file and what tells it from others: its
 * build id and sections. Where to look for files is left to debug_search.c,
 * reading symbols and DWARF to elf_names.c and dwarf_names.c.
 */
#include "analyzer/symbols/debug_file.h"

#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/*
 * A mapped file that its owner cuts short ends the reader with SIGBUS: what
 * belongs to somebody else is read instead.
 */
static bool may_be_mapped(const struct stat *status)
{
	return status->st_uid == 0 || status->st_uid == geteuid();
}

enum symbols_source debug_file_open_fd(struct debug_file *file, int fd, const char *path)
{
	struct stat status;

	*file = (struct debug_file){ .fd = fd };
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		goto unreadable;
	file->size_bytes = (uint64_t)status.st_size;
	file->inode = status.st_ino;
	file->changed_ns =
		(int64_t)status.st_mtim.tv_sec * 1000000000 + (int64_t)status.st_mtim.tv_nsec;
	elf_version(EV_CURRENT);
	file->mapped = may_be_mapped(&status);
	file->elf = elf_begin(fd, file->mapped ? ELF_C_READ_MMAP : ELF_C_READ, NULL);
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

enum symbols_source debug_file_open_path(struct debug_file *file, const char *path)
{
	struct stat status;
	int fd = -1;

	*file = (struct debug_file){ .fd = -1 };
	/*
	 * The path comes from a snapshot and may name anything: a FIFO, on which one would wait, or
	 * a device that does something when it is opened.
	 */
	if (stat(path, &status) == 0 && S_ISREG(status.st_mode))
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return access(path, F_OK) == 0 ? SYMBOLS_UNREADABLE : SYMBOLS_NO_FILE;
	return debug_file_open_fd(file, fd, path);
}

void debug_file_drop_pages(const struct debug_file *file)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t n_bytes = 0;
	char *bytes = file->mapped ? elf_rawfile(file->elf, &n_bytes) : NULL;

	/* Should libelf have read it after all, it is memory of malloc's and not on a page. */
	if (bytes && (uintptr_t)bytes % page == 0)
		madvise(bytes, n_bytes, MADV_DONTNEED);
}

void debug_file_close(struct debug_file *file)
{
	if (file->elf)
		elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file->memory);
	*file = (struct debug_file){ .fd = -1 };
}

bool debug_file_same_build(const struct debug_file *file, const uint8_t *build_id, size_t len)
{
	return len > 0 && file->build_id_len == len && memcmp(file->build_id, build_id, len) == 0;
}

Elf_Scn *debug_file_section(Elf *elf, const char *name)
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
		Elf_Scn *section = debug_file_section(file->elf, names[i]);
		GElf_Shdr header;

		if (section && gelf_getshdr(section, &header) && header.sh_type != SHT_NOBITS)
			return true;
	}
	return false;
}
