/*
 * cfi_rows.c - compiles the rules of a pc into a row, and keeps rows.
 *
 * Owns the cache and its generation. What the bytes of .eh_frame mean is
 * cfi_interp.c's business, where they are is cfi_objects.c's.
 */
#include "preload/cfi_dwarf.h"
#include "preload/cfi_rows.h"
#include "preload/cfi_objects.h"
#include "preload/modules.h"

uint32_t cfi_rows_generation_now;
struct row_entry cfi_rows_table[1u << ROW_SETS_LOG2][ROW_WAYS];

void cfi_rows_init(void)
{
	cfi_objects_init();
}

void cfi_rows_flush(void)
{
	uint32_t generation = hs_add_relaxed(&cfi_rows_generation_now, 1) + 1;

	if ((generation & HEAPSPY_MODULE_SERIAL_MAX) != 0)
		return;
	for (unsigned i = 0; i < 1u << ROW_SETS_LOG2; i++) {
		for (unsigned way = 0; way < ROW_WAYS; way++) {
			hs_store_relaxed(&cfi_rows_table[i][way].mixed, 0);
			hs_store_relaxed(&cfi_rows_table[i][way].row, 0);
		}
	}
}

bool cfi_rows_register(const void *eh_frame)
{
	bool added = cfi_objects_add_table(eh_frame);

	/* Pcs of an object without frame information may be covered from now on. */
	cfi_rows_flush();
	return added;
}

bool cfi_rows_deregister(const void *eh_frame)
{
	bool removed = cfi_objects_remove_table(eh_frame);

	cfi_rows_flush();
	return removed;
}

static uint64_t make_row(enum row_kind kind, int64_t cfa_bytes, int64_t bp_bytes)
{
	int64_t cfa = cfa_bytes / 8, bp = bp_bytes / 8;
	const int64_t cfa_limit = 1 << (ROW_CFA_BITS - 1), bp_limit = 1 << (ROW_BP_BITS - 1);

	if (cfa_bytes % 8 != 0 || bp_bytes % 8 != 0 || cfa < -cfa_limit || cfa >= cfa_limit ||
		bp < -bp_limit || bp >= bp_limit)
		return ROW_SLOW;
	return kind | ((uint64_t)cfa & ((1u << ROW_CFA_BITS) - 1)) << ROW_CFA_SHIFT |
	       ((uint64_t)bp & ((1u << ROW_BP_BITS) - 1)) << ROW_BP_SHIFT;
}

/* Is the expression `breg offset`, followed by a deref if asked? Then *offsetp is the offset. */
static bool is_breg(const struct cfi_section *section, int32_t block, unsigned reg, bool with_deref,
	int64_t *offsetp)
{
	struct cfi_cursor cursor = { 0 };

	if (!cfi_block(section, block, &cursor.p, &cursor.end))
		return false;
	if (cfi_read_fixed(&cursor, 1) != OP_BREG0 + reg)
		return false;
	*offsetp = cfi_read_sleb(&cursor);
	if (with_deref && cfi_read_fixed(&cursor, 1) != OP_DEREF)
		return false;
	return !cursor.bad && cursor.p == cursor.end;
}

static bool register_is_breg(const struct cfi_section *section, const struct cfi_rules *rules,
	unsigned reg, unsigned base, int64_t *offsetp)
{
	return rules->kind[reg] == CFI_EXPR &&
	       is_breg(section, rules->value[reg], base, false, offsetp);
}

/*
 * The linkers' expression for a PLT entry of 16 bytes, whose push moves sp from
 * byte N of the entry on: sp + 8 + ((pc & 15) >= N) * 8. With the pc known it is
 * a number.
 */
static bool is_plt(
	const struct cfi_section *section, int32_t block, uintptr_t pc, int64_t *cfa_bytesp)
{
	/* breg7 8, breg16 0, lit15, and, lit N, ge, lit3, shl, plus */
	static const uint8_t pattern[] = { 0x77, 8, 0x80, 0, 0x3f, 0x1a, OP_LIT0, 0x2a, 0x33, 0x24,
		0x22 };
	const unsigned n_index = 6;
	const uint8_t *p, *end;

	if (!cfi_block(section, block, &p, &end) || end - p != sizeof(pattern))
		return false;
	for (unsigned i = 0; i < sizeof(pattern); i++) {
		if (i != n_index && p[i] != pattern[i])
			return false;
	}
	if (p[n_index] < OP_LIT0 || p[n_index] > OP_LIT31)
		return false;
	*cfa_bytesp = (pc & 15) >= (unsigned)(p[n_index] - OP_LIT0) ? 16 : 8;
	return true;
}

/* A signal frame as the kernel and glibc make it. */
static bool is_signal(const struct cfi_section *section, const struct cfi_rules *rules)
{
	int64_t sp, bp, pc, own_sp = ROW_SIGNAL_SP;

	/* glibc says of rsp what it says of the CFA. */
	if (rules->kind[CFI_RSP] != CFI_SAME &&
		!register_is_breg(section, rules, CFI_RSP, CFI_RSP, &own_sp))
		return false;
	return own_sp == ROW_SIGNAL_SP && rules->cfa_kind == CFI_CFA_EXPR &&
	       is_breg(section, rules->cfa_block, CFI_RSP, true, &sp) &&
	       register_is_breg(section, rules, CFI_RBP, CFI_RSP, &bp) &&
	       register_is_breg(section, rules, CFI_RIP, CFI_RSP, &pc) && sp == ROW_SIGNAL_SP &&
	       bp == ROW_SIGNAL_BP && pc == ROW_SIGNAL_PC;
}

/* The row of rules, without module; pc: where the frame is. */
static uint64_t compile_rules(const struct cfi_section *section, const struct cfi_rules *rules,
	bool signal_frame, uintptr_t pc)
{
	int64_t cfa_bytes, bp_bytes = 0;
	enum row_kind kind = ROW_RSP;

	if (signal_frame)
		return is_signal(section, rules) ? ROW_SIGNAL : ROW_SLOW;
	if (rules->kind[CFI_RIP] == CFI_UNDEFINED)
		return ROW_END;
	/* A changed rsp besides the CFA is a shape for the slow walk. */
	if (rules->kind[CFI_RIP] != CFI_OFFSET || rules->value[CFI_RIP] != -8 ||
		rules->kind[CFI_RSP] != CFI_SAME)
		return ROW_SLOW;

	if (rules->cfa_kind == CFI_CFA_EXPR) {
		if (is_breg(section, rules->cfa_block, CFI_RBP, true, &cfa_bytes)) {
			/* gcc's function that realigns its stack. */
			if (!register_is_breg(section, rules, CFI_RBP, CFI_RBP, &bp_bytes))
				return ROW_SLOW;
			return make_row(ROW_REALIGN, cfa_bytes, bp_bytes);
		}
		if (!is_plt(section, rules->cfa_block, pc, &cfa_bytes))
			return ROW_SLOW;
	} else {
		if (rules->cfa_register == CFI_RBP)
			kind = ROW_RBP;
		else if (rules->cfa_register != CFI_RSP)
			return ROW_SLOW;
		cfa_bytes = rules->cfa_offset;
	}

	if (rules->kind[CFI_RBP] == CFI_OFFSET) {
		bp_bytes = rules->value[CFI_RBP];
		if (bp_bytes == 0)
			return ROW_SLOW;
	} else if (rules->kind[CFI_RBP] != CFI_SAME && rules->kind[CFI_RBP] != CFI_UNDEFINED) {
		return ROW_SLOW;
	}
	return make_row(kind, cfa_bytes, bp_bytes);
}

/* Looks in the object's own tables, then in registered ones; object->section is where it was. */
static bool find_fde(struct cfi_object *object, uintptr_t pc, bool exact_start, struct cfi_fde *fde)
{
	uint32_t from = 0;

	if (!object->registered && cfi_fde_find(&object->section, pc, exact_start, fde))
		return true;
	while (cfi_objects_next_table(pc, &from, &object->section)) {
		if (cfi_fde_scan(&object->section, pc, exact_start, fde))
			return true;
	}
	return false;
}

HS_COLD enum row_kind cfi_rows_rules(uint64_t frame, struct cfi_work *work,
	struct cfi_section *sectionp, bool *signal_framep, unsigned *modulep)
{
	bool exact = frame & HEAPSPY_FRAME_EXACT;
	uintptr_t pc = HEAPSPY_FRAME_PC(frame), look_at = exact ? pc : pc - 1;
	struct cfi_object object;
	struct cfi_fde fde;
	bool found;

	*modulep = 0;
	if (!cfi_objects_find(look_at, &object)) {
		/* The first byte of an object may begin a stack, see below. */
		if (exact || !cfi_objects_find(pc, &object))
			return ROW_OUTSIDE;
		look_at = pc;
	}
	if (!object.registered && object.loaded.dlfo_link_map)
		*modulep = modules_serial(&object.loaded);
	found = find_fde(&object, look_at, false, &fde);
	if (!found && !exact) {
		/*
		 * The first byte of a function, and no call in front of it: that return
		 * address was put there, by makecontext() for one, to begin a stack. After
		 * a call it is that of a function that ends with one.
		 */
		bool in_object;

		if (cfi_objects_after_call(pc, &in_object))
			return ROW_NO_CFI;
		look_at = pc;
		found = find_fde(&object, pc, true, &fde);
		if (found && !fde.signal_frame)
			return ROW_END;
	}
	/* Between registered functions there is anything. */
	if (!found && object.registered)
		return ROW_OUTSIDE;
	if (!found || !cfi_rules_at(&object.section, &fde, look_at, work))
		return ROW_NO_CFI;
	*sectionp = object.section;
	*signal_framep = fde.signal_frame;
	return ROW_SLOW;
}

HS_COLD uint64_t cfi_rows_compile(uint64_t frame, uint64_t key, struct cfi_work *work)
{
	uint64_t mix = row_key_mix(key), row;
	struct row_entry *set = row_set(frame);
	struct cfi_section section;
	bool signal_frame;
	unsigned module;

	row = cfi_rows_rules(frame, work, &section, &signal_frame, &module);
	/* No object, no event that would tell when one is loaded there: not to be kept. */
	if (row == ROW_OUTSIDE)
		return row;
	if (row == ROW_SLOW)
		row = compile_rules(&section, &work->now, signal_frame, HEAPSPY_FRAME_PC(frame));
	row |= (uint64_t)module << ROW_MODULE_SHIFT;

	/*
	 * The newer of the two moves aside for this one. Relaxed: a reader that
	 * sees one word of the old entry and one of the new has a miss.
	 */
	hs_store_relaxed(&set[1].row, hs_load_relaxed(&set[0].row));
	hs_store_relaxed(&set[1].mixed, hs_load_relaxed(&set[0].mixed));
	hs_store_relaxed(&set[0].row, row);
	hs_store_relaxed(&set[0].mixed, row ^ mix);
	return row;
}
