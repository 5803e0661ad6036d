/*
 * debug_search.h - finds the ELF files that describe a module.
 */
#ifndef HEAPSPY_SYMBOLS_DEBUG_SEARCH_H
#define HEAPSPY_SYMBOLS_DEBUG_SEARCH_H

#include <stdbool.h>

#include "analyzer/symbols/debug_file.h"
#include "analyzer/symbols/places.h"
#include "analyzer/symbols/symbols.h"

/*
 * Opens the module's own file: at its path, if the build id agrees or one side
 * has none (*unverifiedp), else by build id only: at the path as its process
 * sees it, what that process runs or has mapped, below the debug root. Returns
 * true, and the caller closes; or false with *reasonp SYMBOLS_NO_FILE,
 * SYMBOLS_OTHER_BUILD or SYMBOLS_UNREADABLE.
 */
bool debug_search_module(struct debug_file *file, const struct symbol_module_ref *module,
	struct places *places, bool *unverifiedp, enum symbols_source *reasonp);

/*
 * Opens the separate debug file of a module: by build id below the debug root,
 * then by the .gnu_debuglink of own (which may be not open) next to it and
 * below the debug root, both here and as its process sees it; then from
 * debuginfod, where that is allowed. True: the caller closes.
 */
bool debug_search_separate(struct debug_file *file, const struct debug_file *own,
	const struct symbol_module_ref *module, struct places *places);

/*
 * The name in the .gnu_debuglink of own, which may be not open; it lies in the
 * file, and lives as long as that is open. NULL: there is none.
 */
const char *debug_search_link(const struct debug_file *own);

#endif
