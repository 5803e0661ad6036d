/*
 * elf_names.h - function names from the symbol tables of an ELF file.
 */
#ifndef HEAPSPY_SYMBOLS_ELF_NAMES_H
#define HEAPSPY_SYMBOLS_ELF_NAMES_H

#include <libelf.h>
#include <stdint.h>

struct symbols_job;

/*
 * Gives every address of job that has no level yet, or a makeshift one, the
 * symbol that covers it, from the tables of a type (SHT_SYMTAB or SHT_DYNSYM). An address
 * between two symbols stays without. Returns the number of usable symbols.
 */
size_t elf_names_resolve(struct symbols_job *job, Elf *elf, uint32_t table_type);

/*
 * The lowest address of an executable section; UINT64_MAX without any. Debug
 * info of functions that the linker dropped claims addresses below it.
 */
uint64_t elf_names_text_start(Elf *elf);

#endif
