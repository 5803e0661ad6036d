/*
 * program_elf.h - what a program's file says about preloading: how it is linked,
 * which loader it asks for, and whether it carries a malloc or a sanitizer.
 *
 * Read by hand from a file that anybody may have made: every range is checked
 * against the file's size, every count has a cap, and nothing is mapped.
 * Formats: elf(5) and the System V ABI; DT_GNU_HASH as binutils writes it.
 */
#ifndef HEAPSPY_ANALYZER_PROGRAM_ELF_H
#define HEAPSPY_ANALYZER_PROGRAM_ELF_H

#include <stdbool.h>
#include <stdint.h>

#define PROGRAM_ELF_LOADER_BYTES 512
#define PROGRAM_ELF_SONAME_BYTES 64
#define PROGRAM_ELF_NEEDED_BYTES 64

/* Symbols that matter; bits 1 << x in the masks below. */
enum program_symbol {
	PROGRAM_SYMBOL_MALLOC,
	PROGRAM_SYMBOL_DLSYM,
	PROGRAM_SYMBOL_MALLOCX,
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

/* Libraries that matter when the program asks for them itself (DT_NEEDED). */
enum program_library {
	PROGRAM_LIBRARY_ASAN,
	PROGRAM_LIBRARY_TSAN,
	PROGRAM_LIBRARY_LSAN,
	PROGRAM_LIBRARY_HWASAN,
	PROGRAM_LIBRARY_JEMALLOC,
	PROGRAM_LIBRARY_TCMALLOC,
	PROGRAM_LIBRARY_MIMALLOC,
	PROGRAM_LIBRARY_MUSL,
	PROGRAM_N_LIBRARIES,
};

enum program_elf_kind {
	PROGRAM_ELF_NONE,    /* no ELF file */
	PROGRAM_ELF_DAMAGED, /* the kernel would refuse it; damage says why */
	PROGRAM_ELF_FOREIGN, /* another class, byte order or machine: nothing else is read */
	PROGRAM_ELF_PROGRAM,
};

struct program_elf {
	enum program_elf_kind kind;
	const char *damage; /* constant text, with PROGRAM_ELF_DAMAGED */
	unsigned bits;      /* 32 or 64 */
	bool big_endian;
	uint16_t machine;                      /* EM_* */
	bool has_loader;                       /* PT_INTERP is there: dynamically linked */
	bool is_go;                            /* made by the Go tool chain */
	bool is_cut;                           /* some table points out of the file or is too long:
						* what is said about symbols may lack some */
	char loader[PROGRAM_ELF_LOADER_BYTES]; /* PT_INTERP, cut to fit; "" without */
	char soname[PROGRAM_ELF_SONAME_BYTES];
	uint32_t exported;  /* defined in .dynsym: seen by other objects */
	uint32_t internal;  /* defined in .symtab */
	uint32_t imported;  /* undefined in .dynsym */
	uint32_t libraries; /* bits of enum program_library */
	char needed[PROGRAM_N_LIBRARIES][PROGRAM_ELF_NEEDED_BYTES]; /* their names as asked for */
};

/*
 * Reads the file behind fd, which stays open and is the caller's. Whatever is
 * in it, the answer is in *elf; a file that cannot be read is PROGRAM_ELF_NONE.
 */
void program_elf_read(int fd, struct program_elf *elf);

/* Whether mask has the bit of symbol or library number i. */
static inline bool program_elf_has(uint32_t mask, unsigned i)
{
	return (mask >> i) & 1;
}

/* "jemalloc" for PROGRAM_SYMBOL_JE_MALLOC and its like, NULL for symbols that are no allocator's.
 */
const char *program_elf_allocator(enum program_symbol symbol);

/* The name of a symbol as it stands in the file. */
const char *program_elf_symbol(enum program_symbol symbol);

#endif
