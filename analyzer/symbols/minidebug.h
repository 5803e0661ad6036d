/*
 * minidebug.h - MiniDebugInfo: the symbol table of local functions that some
 * distributions leave in stripped programs, xz-compressed in .gnu_debugdata.
 * Format: gdb manual, "Debugging information in a special section".
 */
#ifndef HEAPSPY_SYMBOLS_MINIDEBUG_H
#define HEAPSPY_SYMBOLS_MINIDEBUG_H

#include <stdbool.h>

struct debug_file;

/* What comes out may be no larger. */
#define MINIDEBUG_MAX_BYTES (256u << 20)

/*
 * Unpacks that of own as a file in memory, for debug_file_close(). False:
 * there is none, it is damaged or too large, or heapspy is built without liblzma.
 */
bool minidebug_open(struct debug_file *file, const struct debug_file *own);

#endif
