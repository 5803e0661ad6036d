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

#include "analyzer/target/program_symbols.h"

#define PROGRAM_ELF_LOADER_BYTES 512
#define PROGRAM_ELF_SONAME_BYTES 64
#define PROGRAM_ELF_LINKS_BYTES  16384
#define PROGRAM_ELF_PATHS_BYTES  4096

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
	uint32_t imported;  /* undefined in .dynsym, */
	uint32_t asked_for; /* and weak: taken where somebody else brings it along */
	uint32_t libraries; /* bits of enum program_library */
	/* For finding the libraries: all names of DT_NEEDED, each with its NUL, "" behind the last;
	 * where the object wants them looked for. */
	char links[PROGRAM_ELF_LINKS_BYTES];
	char rpath[PROGRAM_ELF_PATHS_BYTES], runpath[PROGRAM_ELF_PATHS_BYTES];
	bool has_runpath; /* rpath does not count then */
};

/*
 * Reads the file behind fd, which stays open and is the caller's. Whatever is
 * in it, the answer is in *elf; a file that cannot be read is PROGRAM_ELF_NONE.
 */
void program_elf_read(int fd, struct program_elf *elf);

/* The same without .symtab, which is the longest part by far: internal stays 0. */
void program_elf_read_dynamic(int fd, struct program_elf *elf);

/* Whether mask has the bit of symbol or library number i. */
static inline bool program_elf_has(uint32_t mask, unsigned i)
{
	return (mask >> i) & 1;
}

#endif
