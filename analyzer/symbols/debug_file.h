/*
 * debug_file.h - the ELF files that describe a module: its own, and the
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
	int fd;
	uint64_t size_bytes;
	char *path;
	const uint8_t *build_id; /* inside elf; NULL when build_id_len is 0 */
	size_t build_id_len;
};

/*
 * Opens the module's own file: at its path, if the build id agrees or one side
 * has none (*unverifiedp), else below debug_root by build id. Returns true,
 * and the caller closes; or false with *reasonp SYMBOLS_NO_FILE,
 * SYMBOLS_OTHER_BUILD or SYMBOLS_UNREADABLE.
 */
bool debug_file_open_module(struct debug_file *file, const struct symbol_module_ref *module,
	const char *debug_root, bool *unverifiedp, enum symbols_source *reasonp);

/*
 * Opens the separate debug file of a module: by build id below debug_root,
 * then by the .gnu_debuglink of own (which may be not open) next to it and
 * below debug_root. True: the caller closes.
 */
bool debug_file_open_separate(struct debug_file *file, const struct debug_file *own,
	const struct symbol_module_ref *module, const char *debug_root);

/* Whether there is .debug_info, plain or compressed. */
bool debug_file_has_dwarf(const struct debug_file *file);

/* Closing what is not open is fine. */
void debug_file_close(struct debug_file *file);

#endif
