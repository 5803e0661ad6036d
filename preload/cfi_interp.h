/*
 * cfi_interp.h - DWARF call frame information: from the bytes of .eh_frame to
 * the rules that hold at one pc.
 *
 * Works on a buffer and trusts none of its bytes: nothing outside
 * [section->lo, section->hi) is ever read, whatever the buffer holds. Whoever
 * calls says which memory that is (cfi_objects.h) and what the rules mean for a
 * stack (cfi_rows.h for the common shapes, unwind_slow.h for all of them).
 *
 * Formats: DWARF 5, section 6.4 (frame instructions) and 2.5 (expressions);
 * System V ABI AMD64, table 3.36 (register numbers); Linux Standard Base Core
 * 5.0, chapter 10.6 (.eh_frame, .eh_frame_hdr, pointer encodings). 32-bit
 * lengths only, which is all that linkers write there.
 *
 * All functions: no allocation, no libc, no lock, no shared data. Safe in signal handlers.
 */
#ifndef HEAPSPY_CFI_INTERP_H
#define HEAPSPY_CFI_INTERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DWARF numbers of the registers that a walk knows; 16 is the return address. */
enum cfi_register {
	CFI_RBX = 3,
	CFI_RBP = 6,
	CFI_RSP = 7,
	CFI_R12 = 12,
	CFI_R13 = 13,
	CFI_R14 = 14,
	CFI_R15 = 15,
	CFI_RIP = 16,
	CFI_N_REGISTERS = 17,
};

/* lo <= hdr < hi; below 2 GiB, so that 32-bit offsets reach all of it. */
struct cfi_section {
	const uint8_t *lo, *hi; /* readable memory that holds .eh_frame and its header */
	const uint8_t *hdr;     /* .eh_frame_hdr inside it; NULL: none, cfi_fde_scan only */
};

/* One function's entry, decoded; the pointers lead into the section. */
struct cfi_fde {
	uintptr_t pc_start, pc_end; /* pc_start <= pc < pc_end */
	const uint8_t *program, *program_end;
	const uint8_t *cie_program, *cie_program_end;
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;
	bool signal_frame; /* augmentation 'S': what it returns to is an exact pc */
};

enum cfi_rule {
	CFI_SAME, /* no rule, or told to keep the value */
	CFI_UNDEFINED,
	CFI_OFFSET,     /* saved at CFA + value */
	CFI_VAL_OFFSET, /* is CFA + value */
	CFI_REGISTER,   /* is in register value */
	CFI_EXPR,       /* saved where the expression says */
	CFI_VAL_EXPR,   /* is what the expression says */
};

enum cfi_cfa_kind { CFI_CFA_NONE, CFI_CFA_REGISTER, CFI_CFA_EXPR };

/*
 * What holds at a pc. The value of an expression rule is the offset of its
 * length prefix from section->lo; cfi_block() turns it into bytes.
 */
struct cfi_rules {
	uint8_t kind[CFI_N_REGISTERS]; /* enum cfi_rule */
	uint8_t cfa_kind;              /* enum cfi_cfa_kind */
	uint8_t cfa_register;
	uint8_t reserved;
	int32_t value[CFI_N_REGISTERS];
	int32_t cfa_offset; /* bytes added to the register */
	int32_t cfa_block;  /* of CFI_CFA_EXPR: as the value of an expression rule */
};

#define CFI_REMEMBERED_MAX 6

/* Working memory of cfi_rules_at(), kept off the stack; contents mean nothing before a call. */
struct cfi_work {
	struct cfi_rules now; /* the result */
	struct cfi_rules initial;
	struct cfi_rules remembered[CFI_REMEMBERED_MAX];
};

/*
 * Finds the entry of pc by the binary search table of section->hdr; where the
 * linker could not make one, among the first 16384 entries of the .eh_frame that
 * the header leads to.
 * exact_start: only an entry that begins at pc itself counts.
 * False: no entry, or bytes that make no sense.
 */
bool cfi_fde_find(
	const struct cfi_section *section, uintptr_t pc, bool exact_start, struct cfi_fde *fdep);

/*
 * The same by going through the entries from section->lo up to the first one of
 * length 0 or section->hi. For tables without a header.
 */
bool cfi_fde_scan(
	const struct cfi_section *section, uintptr_t pc, bool exact_start, struct cfi_fde *fdep);

/*
 * Extent of the table at start, as given to __register_frame(): *endp is behind
 * its closing length 0, [*pc_lop, *pc_hip) spans all its functions.
 * limit_bytes: how far to look for the end. False: no end there, or no function.
 */
bool cfi_table_extent(const uint8_t *start, size_t limit_bytes, const uint8_t **endp,
	uintptr_t *pc_lop, uintptr_t *pc_hip);

/*
 * Runs the frame program up to pc, which fde must cover; the rules are left in
 * work->now. False: an instruction unknown or out of range, or more than 65536.
 */
bool cfi_rules_at(const struct cfi_section *section, const struct cfi_fde *fde, uintptr_t pc,
	struct cfi_work *work);

/* Bytes [*p, *endp) of the expression of a rule's value; false when they are not in the section. */
bool cfi_block(
	const struct cfi_section *section, int32_t value, const uint8_t **p, const uint8_t **endp);

#endif
