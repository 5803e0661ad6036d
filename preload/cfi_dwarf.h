/*
 * cfi_dwarf.h - the numbers of call frame information, and how to read them
 * from bytes that nobody has checked.
 */
#ifndef HEAPSPY_CFI_DWARF_H
#define HEAPSPY_CFI_DWARF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How .eh_frame writes a pointer: LSB Core 5.0, 10.5. */
enum cfi_pointer_encoding {
	PE_ABSPTR = 0x00,
	PE_ULEB128 = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB128 = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT_MASK = 0x0f,
	PE_PCREL = 0x10,
	PE_DATAREL = 0x30,
	PE_OMIT = 0xff,
};

/* Frame instructions, DWARF 5, table 7.29: the upper two bits, or the whole byte when those are 0.
 */
enum cfi_instruction {
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
	CFA_ADVANCE_LOC = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_PRIMARY_MASK = 0xc0,
	CFA_OPERAND_MASK = 0x3f,
};

/* Operations of expressions, DWARF 5, table 7.9. */
enum cfi_operation {
	OP_ADDR = 0x03,
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S = 0x09,
	OP_CONST2U = 0x0a,
	OP_CONST2S = 0x0b,
	OP_CONST4U = 0x0c,
	OP_CONST4S = 0x0d,
	OP_CONST8U = 0x0e,
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_DROP = 0x13,
	OP_OVER = 0x14,
	OP_PICK = 0x15,
	OP_SWAP = 0x16,
	OP_ROT = 0x17,
	OP_ABS = 0x19,
	OP_AND = 0x1a,
	OP_DIV = 0x1b,
	OP_MINUS = 0x1c,
	OP_MOD = 0x1d,
	OP_MUL = 0x1e,
	OP_NEG = 0x1f,
	OP_NOT = 0x20,
	OP_OR = 0x21,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_SHR = 0x25,
	OP_SHRA = 0x26,
	OP_XOR = 0x27,
	OP_BRA = 0x28,
	OP_EQ = 0x29,
	OP_GE = 0x2a,
	OP_GT = 0x2b,
	OP_LE = 0x2c,
	OP_LT = 0x2d,
	OP_NE = 0x2e,
	OP_SKIP = 0x2f,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_REG0 = 0x50,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_REGX = 0x90,
	OP_BREGX = 0x92,
	OP_DEREF_SIZE = 0x94,
	OP_NOP = 0x96,
};

/*
 * Bounded reading of little-endian bytes. After a read beyond end, or of a
 * number above 64 bits, bad is set, p is end, and every read gives 0.
 */
struct cfi_cursor {
	const uint8_t *p, *end;
	bool bad;
};

/* An unsigned number of 1 to 8 bytes. */
static inline uint64_t cfi_read_fixed(struct cfi_cursor *cursor, unsigned n_bytes)
{
	uint64_t value = 0;

	if ((size_t)(cursor->end - cursor->p) < n_bytes) {
		cursor->bad = true;
		cursor->p = cursor->end;
		return 0;
	}
	for (unsigned i = 0; i < n_bytes; i++)
		value |= (uint64_t)cursor->p[i] << (8 * i);
	cursor->p += n_bytes;
	return value;
}

static inline int64_t cfi_read_signed(struct cfi_cursor *cursor, unsigned n_bytes)
{
	unsigned shift = 64 - 8 * n_bytes;

	return (int64_t)(cfi_read_fixed(cursor, n_bytes) << shift) >> shift;
}

/* The bits of a LEB128 number (DWARF 5, 7.6); *n_bitsp how many it was written with. */
static inline uint64_t cfi_read_leb(struct cfi_cursor *cursor, unsigned *n_bitsp)
{
	uint64_t value = 0;
	unsigned shift = 0;

	for (;;) {
		uint8_t byte = cfi_read_fixed(cursor, 1);

		if (cursor->bad || shift >= 64) {
			cursor->bad = true;
			cursor->p = cursor->end;
			return 0;
		}
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80))
			break;
	}
	*n_bitsp = shift;
	return value;
}

static inline uint64_t cfi_read_uleb(struct cfi_cursor *cursor)
{
	unsigned n_bits;

	return cfi_read_leb(cursor, &n_bits);
}

static inline int64_t cfi_read_sleb(struct cfi_cursor *cursor)
{
	unsigned n_bits = 64;
	uint64_t value = cfi_read_leb(cursor, &n_bits);

	if (n_bits < 64 && value >> (n_bits - 1) & 1)
		value |= ~0ull << n_bits;
	return (int64_t)value;
}

#endif
