/*
 * unwind_compare.c - owns the judgement of one stack by several unwinders and
 * how it is shown. Who walks them, and what is counted, is unwind_reference.c's
 * business.
 */
#include <link.h>
#include <string.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/log.h"
#include "preload/unwind_compare.h"

#define PLACE_BYTES 80 /* three of them and their names are a line of log.c */

#define PC_MASK HEAPSPY_FRAME_PC(UINT64_MAX)

/* Who can tell the caller of a frame by rules. */
enum rules {
	RULES_OF_ALL,
	RULES_REGISTERED, /* all but libunwind */
	RULES_NONE,
};

/* Another unwinder's stack, seen from ours. */
enum relation {
	RELATION_EQUAL,
	RELATION_EQUAL_BY_RULES,
	RELATION_REGISTERED,
	RELATION_DIFFERS,
};

static enum rules rules_of(uint64_t word, struct cfi_work *work)
{
	uint64_t frame = word & (PC_MASK | HEAPSPY_FRAME_EXACT);
	struct cfi_section section;
	struct cfi_object object;
	enum row_kind kind;
	bool signal_frame;
	unsigned module;

	kind = cfi_rows_rules(frame, work, &section, &signal_frame, &module);
	if (kind == ROW_NO_CFI || kind == ROW_OUTSIDE)
		return RULES_NONE;
	return cfi_objects_find(HEAPSPY_FRAME_PC(word) - !(word & HEAPSPY_FRAME_EXACT), &object) &&
			       object.registered
		       ? RULES_REGISTERED
		       : RULES_OF_ALL;
}

/* How many frames from the leaf on are the same in the bits of a mask. */
static unsigned count_same(
	const struct unwind_column *a, const struct unwind_column *b, uint64_t mask)
{
	unsigned n = 0;

	while (n < a->n && n < b->n && ((a->words[n] ^ b->words[n]) & mask) == 0)
		n++;
	return n;
}

static enum relation relation_of(const struct unwind_column *own, const struct unwind_column *other,
	unsigned n_same, struct cfi_work *work)
{
	enum relation relation = RELATION_DIFFERS;

	if (n_same == own->n && n_same == other->n)
		return RELATION_EQUAL;
	for (unsigned i = 0; i < n_same; i++) {
		switch (rules_of(own->words[i], work)) {
		case RULES_NONE:
			return RELATION_EQUAL_BY_RULES;
		case RULES_REGISTERED:
			relation = RELATION_REGISTERED;
			break;
		case RULES_OF_ALL:
			break;
		}
	}
	return relation;
}

static bool is_equal(enum relation relation)
{
	return relation == RELATION_EQUAL || relation == RELATION_EQUAL_BY_RULES;
}

/* Both part from us: do they go to the same caller, or both to none? */
static bool are_agreed(const struct unwind_column *libunwind, unsigned n_same_libunwind,
	const struct unwind_column *libgcc, unsigned n_same_libgcc)
{
	unsigned n = n_same_libunwind;

	if (n != n_same_libgcc || (n == libunwind->n) != (n == libgcc->n))
		return false;
	return n == libunwind->n || ((libunwind->words[n] ^ libgcc->words[n]) & PC_MASK) == 0;
}

struct unwind_verdict unwind_compare(const struct unwind_column *own,
	const struct unwind_column *libunwind, const struct unwind_column *libgcc,
	struct cfi_work *work)
{
	unsigned n_libunwind = count_same(own, libunwind, PC_MASK);
	unsigned n_libgcc = count_same(own, libgcc, PC_MASK | HEAPSPY_FRAME_EXACT);
	enum relation to_libunwind = relation_of(own, libunwind, n_libunwind, work);
	enum relation to_libgcc = relation_of(own, libgcc, n_libgcc, work);
	struct unwind_verdict verdict = {
		.equals_libunwind = to_libunwind == RELATION_EQUAL,
		.equals_libgcc = to_libgcc == RELATION_EQUAL,
	};

	if (verdict.equals_libunwind && verdict.equals_libgcc)
		verdict.class = COMPARE_EQUAL;
	else if (is_equal(to_libunwind) && is_equal(to_libgcc))
		verdict.class = COMPARE_EQUAL_BY_RULES;
	else if (is_equal(to_libgcc))
		verdict.class = to_libunwind == RELATION_REGISTERED ? COMPARE_REGISTERED
								    : COMPARE_LIBUNWIND_DIFFERS;
	else if (is_equal(to_libunwind))
		verdict.class = COMPARE_LIBGCC_DIFFERS;
	else
		verdict.class = are_agreed(libunwind, n_libunwind, libgcc, n_libgcc)
					? COMPARE_OWN_DIFFERS
					: COMPARE_ALL_DIFFER;
	return verdict;
}

unsigned unwind_compare_pcs(const struct unwind_column *a, const struct unwind_column *b)
{
	return count_same(a, b, PC_MASK);
}

bool unwind_compare_words(const struct unwind_column *a, const struct unwind_column *b)
{
	return a->n == b->n && count_same(a, b, UINT64_MAX) == a->n;
}

const char *unwind_compare_name(enum unwind_compare_class class)
{
	static const char *const names[COMPARE_N_CLASSES] = {
		[COMPARE_EQUAL] = "equal",
		[COMPARE_EQUAL_BY_RULES] = "equal up to code without frame information",
		[COMPARE_REGISTERED] = "different by libunwind behind registered code",
		[COMPARE_LIBUNWIND_DIFFERS] = "different by libunwind",
		[COMPARE_LIBGCC_DIFFERS] = "different by libgcc",
		[COMPARE_OWN_DIFFERS] = "different by our own",
		[COMPARE_ALL_DIFFER] = "different by all three",
	};

	return names[class];
}

static void append_hex(char *text, uint64_t value)
{
	char digits[17], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = "0123456789abcdef"[value & 15];
	while (value >>= 4);
	strcat(text, p);
}

/* Where a pc is, as module+0xoffset; 0xpc outside all modules, - for none. */
static void place_of(char text[PLACE_BYTES], const struct unwind_column *column, unsigned i)
{
	const unsigned name_bytes = PLACE_BYTES - sizeof("+0x") - 16;
	struct cfi_object object;
	const char *name, *slash;
	uintptr_t pc;

	if (i >= column->n) {
		log_format(text, PLACE_BYTES, "-");
		return;
	}
	pc = HEAPSPY_FRAME_PC(column->words[i]);
	if (!cfi_objects_find(pc, &object) || !object.loaded.dlfo_link_map) {
		log_format(text, PLACE_BYTES, "0x");
		append_hex(text, pc);
		return;
	}
	name = object.loaded.dlfo_link_map->l_name;
	if (!name || !name[0])
		name = "program"; /* the loader gives the main program no name */
	slash = strrchr(name, '/');
	log_format(text, name_bytes, "%s", slash ? slash + 1 : name);
	strcat(text, "+0x");
	append_hex(text, pc - object.loaded.dlfo_link_map->l_addr);
}

void unwind_compare_print(const char *title, const struct unwind_column *columns, unsigned n)
{
	char place[3][PLACE_BYTES];
	unsigned n_frames = 0;

	for (unsigned i = 0; i < n; i++)
		n_frames = columns[i].n > n_frames ? columns[i].n : n_frames;
	log_line("unwinders: a stack is %s", title);
	for (unsigned frame = 0; frame < n_frames; frame++) {
		unsigned n_same = 0;

		for (unsigned i = 0; i < n; i++) {
			place_of(place[i], &columns[i], frame);
			n_same += strcmp(place[i], place[0]) == 0;
		}
		if (n_same == n)
			log_line("  %u all %s", frame, place[0]);
		else if (n == 2)
			log_line("  %u %s %s %s %s", frame, columns[0].name, place[0],
				columns[1].name, place[1]);
		else
			log_line("  %u %s %s %s %s %s %s", frame, columns[0].name, place[0],
				columns[1].name, place[1], columns[2].name, place[2]);
	}
}
