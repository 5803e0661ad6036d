/*
 * debug_file.h - one ELF file that may describe a module: its own, or a
 * separate one with its debug info.
 */
#ifndef HEAPSPY_SYMBOLS_DEBUG_FILE_H
#define HEAPSPY_SYMBOLS_DEBUG_FILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/symbols/symbols.h"

struct debug_file {
	Elf *elf; /* NULL: not open */
	int fd;   /* -1: in memory */
	bool mapped;
	void *memory;
	uint64_t size_bytes, inode;
	int64_t changed_ns; /* of the last change to the file, since 1970 */
	char *path;
	const uint8_t *build_id; /* inside elf; NULL when build_id_len is 0 */
	size_t build_id_len;
};

/*
 * Opens an ELF file. Returns SYMBOLS_NOT_RESOLVED, and the caller closes; or
 * SYMBOLS_NO_FILE or SYMBOLS_UNREADABLE. fd is taken over, whatever comes of
 * it; path is only a name then.
 */
enum symbols_source debug_file_open_path(struct debug_file *file, const char *path);
enum symbols_source debug_file_open_fd(struct debug_file *file, int fd, const char *path);

/*
 * Gives back the pages of a file whose compressed sections libelf has unpacked;
 * what is looked at again comes from the disk anew.
 */
void debug_file_drop_pages(const struct debug_file *file);

/* Closing what is not open is fine. */
void debug_file_close(struct debug_file *file);

/* Whether the file says of itself that it is of this build. */
bool debug_file_same_build(const struct debug_file *file, const uint8_t *build_id, size_t len);

/* The first section of a name; NULL without one. */
Elf_Scn *debug_file_section(Elf *elf, const char *name);

/* Whether there is .debug_info, plain or compressed. */
bool debug_file_has_dwarf(const struct debug_file *file);

#endif
