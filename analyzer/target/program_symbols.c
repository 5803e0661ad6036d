/* program_symbols.c - owns the table of telling names. */
#include "analyzer/target/program_symbols.h"

#include <string.h>

static const struct {
	const char *name;
	const char *allocator;
} symbols[PROGRAM_N_SYMBOLS] = {
	[PROGRAM_SYMBOL_MALLOC] = { "malloc", NULL },
	[PROGRAM_SYMBOL_DLSYM] = { "dlsym", NULL },
	[PROGRAM_SYMBOL_MALLOCX] = { "mallocx", NULL },
	[PROGRAM_SYMBOL_RALLOCX] = { "rallocx", NULL },
	[PROGRAM_SYMBOL_XALLOCX] = { "xallocx", NULL },
	[PROGRAM_SYMBOL_DALLOCX] = { "dallocx", NULL },
	[PROGRAM_SYMBOL_SDALLOCX] = { "sdallocx", NULL },
	[PROGRAM_SYMBOL_ASAN] = { "__asan_init", NULL },
	[PROGRAM_SYMBOL_TSAN] = { "__tsan_init", NULL },
	[PROGRAM_SYMBOL_MSAN] = { "__msan_init", NULL },
	[PROGRAM_SYMBOL_HWASAN] = { "__hwasan_init", NULL },
	[PROGRAM_SYMBOL_LSAN] = { "__lsan_init", NULL },
	[PROGRAM_SYMBOL_MALLCTL] = { "mallctl", "jemalloc" },
	[PROGRAM_SYMBOL_JE_MALLOC] = { "je_malloc", "jemalloc" },
	[PROGRAM_SYMBOL_RJEM_MALLOC] = { "_rjem_malloc", "jemalloc" },
	[PROGRAM_SYMBOL_MI_MALLOC] = { "mi_malloc", "mimalloc" },
	[PROGRAM_SYMBOL_TC_MALLOC] = { "tc_malloc", "tcmalloc" },
	[PROGRAM_SYMBOL_TCMALLOC_INTERNAL] = { "TCMallocInternalMalloc", "tcmalloc" },
	[PROGRAM_SYMBOL_RPMALLOC] = { "rpmalloc", "rpmalloc" },
	[PROGRAM_SYMBOL_SN_MALLOC] = { "sn_malloc", "snmalloc" },
	[PROGRAM_SYMBOL_SCUDO_MALLOC] = { "scudo_malloc", "scudo" },
};

/* Beginnings of library names. */
static const char *const libraries[PROGRAM_N_LIBRARIES] = {
	[PROGRAM_LIBRARY_ASAN] = "libasan.so",
	[PROGRAM_LIBRARY_TSAN] = "libtsan.so",
	[PROGRAM_LIBRARY_LSAN] = "liblsan.so",
	[PROGRAM_LIBRARY_HWASAN] = "libhwasan.so",
	[PROGRAM_LIBRARY_MUSL] = "libc.musl-",
};

enum program_symbol program_symbols_find(const char *name)
{
	unsigned i;

	/* A library may have 100 000 names: the first letter saves most comparisons. */
	for (i = 0; i < PROGRAM_N_SYMBOLS; i++)
		if (name[0] == symbols[i].name[0] && !strcmp(name, symbols[i].name))
			break;
	return (enum program_symbol)i;
}

enum program_library program_symbols_library(const char *name)
{
	unsigned i;

	for (i = 0; i < PROGRAM_N_LIBRARIES; i++)
		if (!strncmp(name, libraries[i], strlen(libraries[i])))
			break;
	return (enum program_library)i;
}

const char *program_symbols_name(enum program_symbol symbol)
{
	return symbols[symbol].name;
}

const char *program_symbols_allocator(enum program_symbol symbol)
{
	return symbols[symbol].allocator;
}
