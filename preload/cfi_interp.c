/*
 * cfi_interp.c - decodes .eh_frame and its header, and runs frame programs.
 *
 * Owns the byte formats. Expressions are found here, evaluated in cfi_expr.c;
 * where tables lie in a process is cfi_objects.c's business.
 */
#include "preload/cfi_dwarf.h"
#include "preload/cfi_interp.h"

/* .eh_frame_hdr: version, three encodings, pointer to .eh_frame, count, table. */
#define HDR_VERSION     1
#define HDR_FIXED_BYTES 4
#define HDR_PAIR_BYTES  8

#define LENGTH_64BIT 0xffffffffu

/* Entries looked through where there is no table to search; half a millisecond. */
#define SCAN_MAX 16384

/*
 * Instructions of one frame program; a fraction of a millisecond. The longest in LLVM, clang,
 * OpenJDK, OpenSSL and Z3 of Debian 12 has 5287.
 */
#define INSTRUCTIONS_MAX 65536

/* A pointer of .eh_frame: absolute or relative to its own address, never indirect. */
static uint64_t read_pointer(struct cfi_cursor *cursor, uint8_t encoding)
{
	uint64_t base = (encoding & ~PE_FORMAT_MASK) == PE_PCREL ? (uintptr_t)cursor->p : 0;

	if ((encoding & ~PE_FORMAT_MASK) != PE_PCREL && (encoding & ~PE_FORMAT_MASK) != 0)
		cursor->bad = true;
	switch (encoding & PE_FORMAT_MASK) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return base + cfi_read_fixed(cursor, 8);
	case PE_UDATA4:
		return base + cfi_read_fixed(cursor, 4);
	case PE_SDATA4:
		return base + (uint64_t)cfi_read_signed(cursor, 4);
	case PE_UDATA2:
		return base + cfi_read_fixed(cursor, 2);
	case PE_SDATA2:
		return base + (uint64_t)cfi_read_signed(cursor, 2);
	case PE_ULEB128:
		return base + cfi_read_uleb(cursor);
	case PE_SLEB128:
		return base + (uint64_t)cfi_read_sleb(cursor);
	default:
		cursor->bad = true;
		return 0;
	}
}

/* The entry at `at`: a cursor over what follows its length field. False at the end of a table. */
static bool entry_open(
	const struct cfi_section *section, const uint8_t *at, struct cfi_cursor *bodyp)
{
	struct cfi_cursor cursor = { at, section->hi, false };
	uint32_t length;

	if (at < section->lo || at >= section->hi)
		return false;
	length = cfi_read_fixed(&cursor, 4);
	if (cursor.bad || length < 4 || length == LENGTH_64BIT ||
		length > (size_t)(section->hi - cursor.p))
		return false;
	*bodyp = (struct cfi_cursor){ cursor.p, cursor.p + length, false };
	return true;
}

static bool parse_cie(
	const struct cfi_section *section, const uint8_t *at, struct cfi_fde *fde, bool *sizedp)
{
	struct cfi_cursor cursor, data = { 0 };
	const uint8_t *augmentation;
	uint64_t data_bytes = 0;
	unsigned version;

	if (!entry_open(section, at, &cursor) || cfi_read_fixed(&cursor, 4) != 0)
		return false;
	version = cfi_read_fixed(&cursor, 1);
	if (version != 1 && version != 3)
		return false;
	augmentation = cursor.p;
	while (cfi_read_fixed(&cursor, 1) != 0)
		;
	if (cursor.bad)
		return false;
	fde->code_align = cfi_read_uleb(&cursor);
	fde->data_align = cfi_read_sleb(&cursor);
	if ((version == 1 ? cfi_read_fixed(&cursor, 1) : cfi_read_uleb(&cursor)) != CFI_RIP)
		return false;
	fde->encoding = PE_ABSPTR;
	fde->signal_frame = false;
	*sizedp = *augmentation == 'z';
	if (*sizedp) {
		data_bytes = cfi_read_uleb(&cursor);
		if (cursor.bad || data_bytes > (size_t)(cursor.end - cursor.p))
			return false;
		data = (struct cfi_cursor){ cursor.p, cursor.p + data_bytes, false };
		augmentation++;
	}
	for (; *augmentation; augmentation++) {
		if (*augmentation == 'S') {
			fde->signal_frame = true;
		} else if (!*sizedp) {
			return false;
		} else if (*augmentation == 'R') {
			fde->encoding = cfi_read_fixed(&data, 1);
		} else if (*augmentation == 'L') {
			cfi_read_fixed(&data, 1);
		} else if (*augmentation == 'P') {
			uint8_t encoding = cfi_read_fixed(&data, 1);

			/* Only its size matters here. */
			read_pointer(&data, encoding & PE_FORMAT_MASK);
		} else {
			return false;
		}
	}
	fde->cie_program = cursor.p + data_bytes;
	fde->cie_program_end = cursor.end;
	return !cursor.bad && !data.bad;
}

static bool parse_fde(const struct cfi_section *section, const uint8_t *at, struct cfi_fde *fde)
{
	struct cfi_cursor cursor;
	uint64_t cie_distance, size;
	const uint8_t *field;
	bool sized;

	if (!entry_open(section, at, &cursor))
		return false;
	field = cursor.p;
	cie_distance = cfi_read_fixed(&cursor, 4);
	if (cie_distance == 0 || cie_distance > (size_t)(field - section->lo))
		return false;
	if (!parse_cie(section, field - cie_distance, fde, &sized))
		return false;
	fde->pc_start = read_pointer(&cursor, fde->encoding);
	size = read_pointer(&cursor, fde->encoding & PE_FORMAT_MASK);
	fde->pc_end = fde->pc_start + size;
	if (sized) {
		uint64_t data_bytes = cfi_read_uleb(&cursor);

		if (cursor.bad || data_bytes > (size_t)(cursor.end - cursor.p))
			return false;
		cursor.p += data_bytes;
	}
	fde->program = cursor.p;
	fde->program_end = cursor.end;
	return !cursor.bad && fde->pc_end > fde->pc_start;
}

static bool fde_fits(const struct cfi_fde *fde, uintptr_t pc, bool exact_start)
{
	return exact_start ? pc == fde->pc_start : pc >= fde->pc_start && pc < fde->pc_end;
}

/* Goes through at most n_max entries from `at` on. */
static bool scan(const struct cfi_section *section, const uint8_t *at, size_t n_max, uintptr_t pc,
	bool exact_start, struct cfi_fde *fdep)
{
	struct cfi_cursor body;

	for (; n_max > 0 && entry_open(section, at, &body); n_max--, at = body.end) {
		if (parse_fde(section, at, fdep) && fde_fits(fdep, pc, exact_start))
			return true;
	}
	return false;
}

/* One signed 32-bit field of a table entry, relative to the header. */
static uintptr_t hdr_field(const uint8_t *hdr, const uint8_t *at)
{
	struct cfi_cursor cursor = { at, at + 4, false };

	return (uintptr_t)hdr + (uintptr_t)cfi_read_signed(&cursor, 4);
}

bool cfi_fde_find(
	const struct cfi_section *section, uintptr_t pc, bool exact_start, struct cfi_fde *fdep)
{
	struct cfi_cursor cursor = { section->hdr, section->hi, false };
	uint8_t pointer_encoding, count_encoding, table_encoding;
	uintptr_t low = 0, high, at;
	struct cfi_cursor pointer;
	const uint8_t *table;
	uint64_t n_entries;

	if (!section->hdr || section->hdr < section->lo || section->hdr >= section->hi)
		return false;
	if (cfi_read_fixed(&cursor, 1) != HDR_VERSION)
		return false;
	pointer_encoding = cfi_read_fixed(&cursor, 1);
	count_encoding = cfi_read_fixed(&cursor, 1);
	table_encoding = cfi_read_fixed(&cursor, 1);
	pointer = cursor;
	if (pointer_encoding != PE_OMIT)
		read_pointer(&cursor, pointer_encoding & PE_FORMAT_MASK);
	if (table_encoding == PE_OMIT || count_encoding == PE_OMIT) {
		/* The linker met something that it could not read, and leaves it to us. */
		at = read_pointer(&pointer, pointer_encoding);
		if (pointer.bad || at < (uintptr_t)section->lo || at >= (uintptr_t)section->hi)
			return false;
		return scan(section, section->lo + (at - (uintptr_t)section->lo), SCAN_MAX, pc,
			exact_start, fdep);
	}
	if (table_encoding != (PE_DATAREL | PE_SDATA4) || count_encoding != PE_UDATA4)
		return false;
	n_entries = cfi_read_fixed(&cursor, 4);
	table = cursor.p;
	if (cursor.bad || n_entries == 0 ||
		n_entries > (size_t)(section->hi - table) / HDR_PAIR_BYTES)
		return false;

	/* Invariant: entries below low start at or before pc, those from high on after it. */
	high = n_entries;
	while (low < high) {
		uintptr_t middle = low + (high - low) / 2;

		if (hdr_field(section->hdr, table + middle * HDR_PAIR_BYTES) <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	at = hdr_field(section->hdr, table + (low - 1) * HDR_PAIR_BYTES + 4);
	if (at < (uintptr_t)section->lo || at >= (uintptr_t)section->hi)
		return false;
	return parse_fde(section, section->lo + (at - (uintptr_t)section->lo), fdep) &&
	       fde_fits(fdep, pc, exact_start);
}

bool cfi_fde_scan(
	const struct cfi_section *section, uintptr_t pc, bool exact_start, struct cfi_fde *fdep)
{
	return scan(section, section->lo, SIZE_MAX, pc, exact_start, fdep);
}

bool cfi_table_extent(const uint8_t *start, size_t limit_bytes, const uint8_t **endp,
	uintptr_t *pc_lop, uintptr_t *pc_hip)
{
	struct cfi_section section = { start, start + limit_bytes, NULL };
	struct cfi_cursor body;
	struct cfi_fde fde;
	const uint8_t *at;

	*pc_lop = UINTPTR_MAX;
	*pc_hip = 0;
	for (at = start; entry_open(&section, at, &body); at = body.end) {
		if (!parse_fde(&section, at, &fde))
			continue;
		if (fde.pc_start < *pc_lop)
			*pc_lop = fde.pc_start;
		if (fde.pc_end > *pc_hip)
			*pc_hip = fde.pc_end;
	}
	body = (struct cfi_cursor){ at, section.hi, false };
	if (cfi_read_fixed(&body, 4) != 0 || body.bad)
		return false;
	*endp = body.p;
	return *pc_lop < *pc_hip;
}

bool cfi_block(
	const struct cfi_section *section, int32_t value, const uint8_t **p, const uint8_t **endp)
{
	struct cfi_cursor cursor = { section->lo, section->hi, false };
	uint64_t n_bytes;

	if (value < 0 || value >= section->hi - section->lo)
		return false;
	cursor.p += value;
	n_bytes = cfi_read_uleb(&cursor);
	if (cursor.bad || n_bytes > (size_t)(cursor.end - cursor.p))
		return false;
	*p = cursor.p;
	*endp = cursor.p + n_bytes;
	return true;
}

/* One running frame program. */
struct machine {
	const struct cfi_section *section;
	const struct cfi_fde *fde;
	struct cfi_work *work;
	struct cfi_cursor cursor;
	uintptr_t loc;
	unsigned n_remembered;
};

/* Sets a rule; registers the walk does not know (vector, segment) are let pass. */
static void set_rule(struct machine *machine, uint64_t reg, enum cfi_rule kind, int64_t value)
{
	struct cfi_rules *now = &machine->work->now;

	if (value != (int32_t)value)
		machine->cursor.bad = true;
	if (machine->cursor.bad || reg >= CFI_N_REGISTERS)
		return;
	now->kind[reg] = kind;
	now->value[reg] = value;
}

static void restore_rule(struct machine *machine, uint64_t reg)
{
	const struct cfi_rules *initial = &machine->work->initial;

	if (reg < CFI_N_REGISTERS)
		set_rule(machine, reg, initial->kind[reg], initial->value[reg]);
}

static void set_cfa_register(struct machine *machine, uint64_t reg)
{
	struct cfi_rules *now = &machine->work->now;

	if (reg >= CFI_RIP)
		machine->cursor.bad = true;
	if (machine->cursor.bad)
		return;
	now->cfa_kind = CFI_CFA_REGISTER;
	now->cfa_register = reg;
}

/* Beside an expression it has no effect, but comes back with the next register, as in libgcc. */
static void set_cfa_offset(struct machine *machine, int64_t offset)
{
	if (offset != (int32_t)offset)
		machine->cursor.bad = true;
	if (!machine->cursor.bad)
		machine->work->now.cfa_offset = offset;
}

static void set_cfa_expression(struct machine *machine, int64_t block)
{
	struct cfi_rules *now = &machine->work->now;

	if (block != (int32_t)block)
		machine->cursor.bad = true;
	if (machine->cursor.bad)
		return;
	now->cfa_kind = CFI_CFA_EXPR;
	now->cfa_block = block;
}

/* Wraps like the machine's own multiplication; a result out of range is refused by its user. */
static int64_t factored(const struct machine *machine, uint64_t value)
{
	return (int64_t)(value * (uint64_t)machine->fde->data_align);
}

/* Steps over an expression; returns where its length stands, from the section's start. */
static int64_t skip_block(struct machine *machine)
{
	struct cfi_cursor *cursor = &machine->cursor;
	int64_t offset = cursor->p - machine->section->lo;
	uint64_t n_bytes = cfi_read_uleb(cursor);

	if (n_bytes > (size_t)(cursor->end - cursor->p)) {
		cursor->bad = true;
		return 0;
	}
	cursor->p += n_bytes;
	return offset;
}

static void remember(struct machine *machine)
{
	if (machine->n_remembered == CFI_REMEMBERED_MAX)
		machine->cursor.bad = true;
	else
		machine->work->remembered[machine->n_remembered++] = machine->work->now;
}

static void recall(struct machine *machine)
{
	if (machine->n_remembered == 0)
		machine->cursor.bad = true;
	else
		machine->work->now = machine->work->remembered[--machine->n_remembered];
}

static void run_extended(struct machine *machine, uint8_t op)
{
	struct cfi_cursor *cursor = &machine->cursor;
	uint64_t reg;

	switch (op) {
	case CFA_NOP:
		break;
	case CFA_SET_LOC:
		machine->loc = read_pointer(cursor, machine->fde->encoding);
		break;
	case CFA_ADVANCE_LOC1:
		machine->loc += cfi_read_fixed(cursor, 1) * machine->fde->code_align;
		break;
	case CFA_ADVANCE_LOC2:
		machine->loc += cfi_read_fixed(cursor, 2) * machine->fde->code_align;
		break;
	case CFA_ADVANCE_LOC4:
		machine->loc += cfi_read_fixed(cursor, 4) * machine->fde->code_align;
		break;
	case CFA_OFFSET_EXTENDED:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_OFFSET, factored(machine, cfi_read_uleb(cursor)));
		break;
	case CFA_OFFSET_EXTENDED_SF:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_OFFSET, factored(machine, cfi_read_sleb(cursor)));
		break;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_OFFSET, factored(machine, -cfi_read_uleb(cursor)));
		break;
	case CFA_VAL_OFFSET:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_VAL_OFFSET, factored(machine, cfi_read_uleb(cursor)));
		break;
	case CFA_VAL_OFFSET_SF:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_VAL_OFFSET, factored(machine, cfi_read_sleb(cursor)));
		break;
	case CFA_RESTORE_EXTENDED:
		restore_rule(machine, cfi_read_uleb(cursor));
		break;
	case CFA_UNDEFINED:
		set_rule(machine, cfi_read_uleb(cursor), CFI_UNDEFINED, 0);
		break;
	case CFA_SAME_VALUE:
		set_rule(machine, cfi_read_uleb(cursor), CFI_SAME, 0);
		break;
	case CFA_REGISTER:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_REGISTER, (int64_t)cfi_read_uleb(cursor));
		break;
	case CFA_EXPRESSION:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_EXPR, skip_block(machine));
		break;
	case CFA_VAL_EXPRESSION:
		reg = cfi_read_uleb(cursor);
		set_rule(machine, reg, CFI_VAL_EXPR, skip_block(machine));
		break;
	case CFA_REMEMBER_STATE:
		remember(machine);
		break;
	case CFA_RESTORE_STATE:
		recall(machine);
		break;
	case CFA_DEF_CFA:
		set_cfa_register(machine, cfi_read_uleb(cursor));
		set_cfa_offset(machine, (int64_t)cfi_read_uleb(cursor));
		break;
	case CFA_DEF_CFA_SF:
		set_cfa_register(machine, cfi_read_uleb(cursor));
		set_cfa_offset(machine, factored(machine, cfi_read_sleb(cursor)));
		break;
	case CFA_DEF_CFA_REGISTER:
		set_cfa_register(machine, cfi_read_uleb(cursor));
		break;
	case CFA_DEF_CFA_OFFSET:
		set_cfa_offset(machine, (int64_t)cfi_read_uleb(cursor));
		break;
	case CFA_DEF_CFA_OFFSET_SF:
		set_cfa_offset(machine, factored(machine, cfi_read_sleb(cursor)));
		break;
	case CFA_DEF_CFA_EXPRESSION:
		set_cfa_expression(machine, skip_block(machine));
		break;
	case CFA_GNU_ARGS_SIZE:
		cfi_read_uleb(cursor);
		break;
	default:
		cursor->bad = true;
	}
}

/* Runs [program, end), stopping before the first instruction that speaks of a pc above `pc`. */
static bool run_program(
	struct machine *machine, const uint8_t *program, const uint8_t *end, uintptr_t pc)
{
	struct cfi_cursor *cursor = &machine->cursor;

	*cursor = (struct cfi_cursor){ program, end, false };
	for (unsigned i = 0; cursor->p < cursor->end && !cursor->bad && machine->loc <= pc; i++) {
		uint8_t op = cfi_read_fixed(cursor, 1);
		uint8_t operand = op & CFA_OPERAND_MASK;

		if (i == INSTRUCTIONS_MAX)
			return false;
		switch (op & CFA_PRIMARY_MASK) {
		case CFA_ADVANCE_LOC:
			machine->loc += operand * machine->fde->code_align;
			break;
		case CFA_OFFSET:
			set_rule(machine, operand, CFI_OFFSET,
				factored(machine, cfi_read_uleb(cursor)));
			break;
		case CFA_RESTORE:
			restore_rule(machine, operand);
			break;
		default:
			run_extended(machine, op);
		}
	}
	return !cursor->bad;
}

bool cfi_rules_at(const struct cfi_section *section, const struct cfi_fde *fde, uintptr_t pc,
	struct cfi_work *work)
{
	struct machine machine = {
		.section = section, .fde = fde, .work = work, .loc = fde->pc_start
	};

	work->now = (struct cfi_rules){ .cfa_kind = CFI_CFA_NONE };
	work->initial = work->now;
	if (!run_program(&machine, fde->cie_program, fde->cie_program_end, UINTPTR_MAX))
		return false;
	work->initial = work->now;
	machine.loc = fde->pc_start;
	if (!run_program(&machine, fde->program, fde->program_end, pc))
		return false;
	return work->now.cfa_kind != CFI_CFA_NONE;
}
