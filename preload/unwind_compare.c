/*
 * unwind_compare.c - owns the judgement of two stacks and how it is shown.
 * Who walks them, and what is counted, is unwind_reference.c's business.
 */
#include <link.h>
#include <string.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/log.h"
#include "preload/unwind_compare.h"

#define PLACE_BYTES 120

/* Can both unwinders tell the caller of a frame by rules? */
static bool rules_for_both(uint64_t word, struct cfi_work *work)
{
	uint64_t frame = HEAPSPY_FRAME_PC(word) | (word & HEAPSPY_FRAME_EXACT);
	struct cfi_section section;
	struct cfi_object object;
	enum row_kind kind;
	bool signal_frame;
	unsigned module;

	kind = cfi_rows_rules(frame, work, &section, &signal_frame, &module);
	if (kind == ROW_NO_CFI || kind == ROW_OUTSIDE)
		return false;
	return !cfi_objects_find(HEAPSPY_FRAME_PC(word) - !(word & HEAPSPY_FRAME_EXACT), &object) ||
	       !object.registered;
}

enum unwind_compare_class unwind_compare(const uint64_t *own, unsigned n_own,
	const uint64_t *others, unsigned n_others, struct cfi_work *work, unsigned *n_samep)
{
	unsigned n_same = 0;

	while (n_same < n_own && n_same < n_others &&
		HEAPSPY_FRAME_PC(own[n_same]) == others[n_same])
		n_same++;
	*n_samep = n_same;
	if (n_same == n_own && n_same == n_others)
		return COMPARE_EQUAL;
	for (unsigned i = 0; i < n_same; i++) {
		if (!rules_for_both(own[i], work))
			return COMPARE_GUESSED;
	}
	if (n_same == n_others)
		return COMPARE_OWN_LONGER;
	return n_same == n_own ? COMPARE_OTHER_LONGER : COMPARE_DIFFERENT;
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
static void place_of(char text[PLACE_BYTES], const uint64_t *stack, unsigned n, unsigned i)
{
	const unsigned name_bytes = PLACE_BYTES - sizeof("+0x") - 16;
	struct cfi_object object;
	const char *name, *slash;
	uintptr_t pc;

	if (i >= n) {
		log_format(text, PLACE_BYTES, "-");
		return;
	}
	pc = HEAPSPY_FRAME_PC(stack[i]);
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

void unwind_compare_print(enum unwind_compare_class class, const uint64_t *own, unsigned n_own,
	const uint64_t *others, unsigned n_others, unsigned n_same)
{
	static const char *const names[COMPARE_N_CLASSES] = {
		[COMPARE_EQUAL] = "equal",
		[COMPARE_GUESSED] = "equal up to code without frame information",
		[COMPARE_OWN_LONGER] = "own longer",
		[COMPARE_OTHER_LONGER] = "libunwind longer",
		[COMPARE_DIFFERENT] = "different",
	};
	char own_place[PLACE_BYTES], other_place[PLACE_BYTES];

	log_line("unwinders: a stack is %s: %u frames by our own, %u by libunwind, %u the same",
		names[class], n_own, n_others, n_same);
	for (unsigned i = 0; i < n_own || i < n_others; i++) {
		place_of(own_place, own, n_own, i);
		place_of(other_place, others, n_others, i);
		if (i < n_same)
			log_line("  %u both %s", i, own_place);
		else
			log_line("  %u own %s libunwind %s", i, own_place, other_place);
	}
}
