/*
 * program_symbols.h - the names in an object file that say something about its malloc:
 * functions and libraries.
 */
#ifndef HEAPSPY_ANALYZER_PROGRAM_SYMBOLS_H
#define HEAPSPY_ANALYZER_PROGRAM_SYMBOLS_H

/* Functions that matter; a set of them has bit 1 << x. */
enum program_symbol {
	PROGRAM_SYMBOL_MALLOC,
	PROGRAM_SYMBOL_DLSYM,
	/* jemalloc's extended API, as far as it makes or frees blocks. */
	PROGRAM_SYMBOL_MALLOCX,
	PROGRAM_SYMBOL_RALLOCX,
	PROGRAM_SYMBOL_XALLOCX,
	PROGRAM_SYMBOL_DALLOCX,
	PROGRAM_SYMBOL_SDALLOCX,
	/* A sanitizer's start. */
	PROGRAM_SYMBOL_ASAN,
	PROGRAM_SYMBOL_TSAN,
	PROGRAM_SYMBOL_MSAN,
	PROGRAM_SYMBOL_HWASAN,
	PROGRAM_SYMBOL_LSAN,
	/* Allocators under names of their own. */
	PROGRAM_SYMBOL_MALLCTL,
	PROGRAM_SYMBOL_JE_MALLOC,
	PROGRAM_SYMBOL_RJEM_MALLOC,
	PROGRAM_SYMBOL_MI_MALLOC,
	PROGRAM_SYMBOL_TC_MALLOC,
	PROGRAM_SYMBOL_TCMALLOC_INTERNAL,
	PROGRAM_SYMBOL_RPMALLOC,
	PROGRAM_SYMBOL_SN_MALLOC,
	PROGRAM_SYMBOL_SCUDO_MALLOC,
	PROGRAM_N_SYMBOLS,
};

/* The bits of the extended API. */
#define PROGRAM_SYMBOLS_EXTENDED ((2u << PROGRAM_SYMBOL_SDALLOCX) - (1u << PROGRAM_SYMBOL_MALLOCX))

/* Libraries that matter when the program asks for them itself (DT_NEEDED). */
enum program_library {
	PROGRAM_LIBRARY_ASAN,
	PROGRAM_LIBRARY_TSAN,
	PROGRAM_LIBRARY_LSAN,
	PROGRAM_LIBRARY_HWASAN,
	PROGRAM_LIBRARY_MUSL,
	PROGRAM_N_LIBRARIES,
};

/* The symbol of that name; PROGRAM_N_SYMBOLS: none that matters. */
enum program_symbol program_symbols_find(const char *name);

/* The library that a name is one of, "libasan.so.8"; PROGRAM_N_LIBRARIES: none that matters. */
enum program_library program_symbols_library(const char *name);

/* The name of a symbol as it stands in the file. */
const char *program_symbols_name(enum program_symbol symbol);

/* "jemalloc" for PROGRAM_SYMBOL_JE_MALLOC and its like, NULL for symbols of no allocator's. */
const char *program_symbols_allocator(enum program_symbol symbol);

#endif
