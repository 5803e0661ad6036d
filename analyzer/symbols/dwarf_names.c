/*
 * dwarf_names.c - owns the walk over compilation units and their DIEs, from
 * addresses to function and inline DIEs. The text of a name is left to
 * die_name.c, the line table to line_names.c.
 *
 * The walk is by unit, not by address: a unit is entered only for addresses
 * inside the ranges of its own DIE (clang writes no .debug_aranges), its
 * functions are passed once, and a function is entered only with addresses in
 * it. dwarf_getscopes() would walk the whole unit for each address.
 *
 * A hostile file can refer to itself in circles and repeat long range lists, so
 * depth is bounded and every DIE and range costs one step of a budget.
 */
#include "analyzer/symbols/dwarf_names.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/debug_file.h"
#include "analyzer/symbols/die_name.h"
#include "analyzer/symbols/line_names.h"
#include "analyzer/symbols/symbols_backend.h"

enum { DEPTH_MAX = 256, STEPS_BASE = 1000 * 1000, STEPS_PER_BYTE = 16 };

/* Indices into job->addresses, ascending: those a DIE covers. */
struct subset {
	uint32_t *list;
	size_t n;
};

struct walk {
	struct symbols_job *job;
	uint64_t text_start;
	uint64_t steps_left;
	struct die_name_context names;
	Dwarf_Die unit;
	Dwarf_Files *files; /* of unit, for DW_AT_call_file; NULL: not read, or none */
	size_t n_files;
	bool is_split; /* a unit with an address inside has its functions in a .dwo file */
	bool deep;     /* second pass: functions inside types and functions, too */
};

static bool step(struct walk *walk)
{
	if (walk->steps_left == 0)
		return false;
	walk->steps_left--;
	return true;
}

/* The first of subset whose address is not below vaddr. */
static size_t lower_bound(const struct walk *walk, const struct subset *subset, uint64_t vaddr)
{
	size_t low = 0, high = subset->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (walk->job->addresses[subset->list[middle]].vaddr < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int by_index(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void sort_distinct(struct subset *subset)
{
	size_t n = 0;

	qsort(subset->list, subset->n, sizeof(*subset->list), by_index);
	for (size_t i = 0; i < subset->n; i++) {
		if (n == 0 || subset->list[n - 1] != subset->list[i])
			subset->list[n++] = subset->list[i];
	}
	subset->n = n;
}

/*
 * Those of from that die covers and that have exactly n_levels levels, which
 * leaves out what a sibling has taken. *inside is from malloc and the caller
 * frees it; empty: NULL. *has_rangesp: whether die says where its code is.
 */
static void select_covered(struct walk *walk, Dwarf_Die *die, const struct subset *from,
	unsigned n_levels, struct subset *inside, bool *has_rangesp)
{
	Dwarf_Addr base = 0, start, end;
	ptrdiff_t offset = 0;
	unsigned n_ranges = 0;
	size_t n_allocated = 0;

	*inside = (struct subset){ 0 };
	*has_rangesp = false;
	while (step(walk) && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
		*has_rangesp = true;
		if (start < walk->text_start || start >= end)
			continue;
		n_ranges++;
		for (size_t i = lower_bound(walk, from, start); i < from->n && step(walk); i++) {
			const struct symbols_address *address =
				&walk->job->addresses[from->list[i]];

			if (address->vaddr >= end)
				break;
			if (address->n_levels != n_levels)
				continue;
			if (inside->n == n_allocated) {
				size_t n = n_allocated ? 2 * n_allocated : 16;
				uint32_t *grown = reallocarray(inside->list, n, sizeof(*grown));

				if (!grown)
					return;
				inside->list = grown;
				n_allocated = n;
			}
			inside->list[inside->n++] = from->list[i];
		}
	}
	if (n_ranges > 1 && inside->n > 1)
		sort_distinct(inside);
}

/* Appends a level to every address of subset; what cannot take it leaves the subset. */
static void push_level(struct walk *walk, struct subset *subset, const struct symbols_level *level)
{
	size_t n = 0;

	for (size_t i = 0; i < subset->n; i++) {
		if (symbols_address_push(&walk->job->addresses[subset->list[i]], level))
			subset->list[n++] = subset->list[i];
	}
	subset->n = n;
}

static void read_call_site(struct walk *walk, Dwarf_Die *die, struct symbols_level *level)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &value) &&
		value <= UINT32_MAX)
		level->call_line = (uint32_t)value;
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &value))
		return;
	if (!walk->files && dwarf_getsrcfiles(&walk->unit, &walk->files, &walk->n_files) != 0)
		walk->files = NULL;
	if (walk->files && value < walk->n_files)
		level->call_file = line_names_file(
			walk->job, dwarf_filesrc(walk->files, (size_t)value, NULL, NULL));
}

/*
 * Inside a function: follows inlined calls and the blocks around them. Every
 * address of subset has n_levels levels.
 */
static void walk_inlined(struct walk *walk, Dwarf_Die *parent, const struct subset *subset,
	unsigned n_levels, unsigned depth)
{
	Dwarf_Die die;

	if (depth >= DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		int tag = dwarf_tag(&die);
		struct symbols_level level = { 0 };
		struct subset inside;
		bool has_ranges, makeshift;

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block &&
			tag != DW_TAG_try_block && tag != DW_TAG_catch_block &&
			tag != DW_TAG_with_stmt)
			continue;
		select_covered(walk, &die, subset, n_levels, &inside, &has_ranges);
		if (tag != DW_TAG_inlined_subroutine) {
			if (!has_ranges)
				walk_inlined(walk, &die, subset, n_levels, depth + 1);
			else if (inside.n)
				walk_inlined(walk, &die, &inside, n_levels, depth + 1);
		} else if (inside.n) {
			level.function = die_name(&walk->names, &die, &makeshift);
			read_call_site(walk, &die, &level);
			push_level(walk, &inside, &level);
			walk_inlined(walk, &die, &inside, n_levels + 1, depth + 1);
		}
		free(inside.list);
	} while (step(walk) && dwarf_siblingof(&die, &die) == 0);
}

/* Outside functions: finds them, in namespaces and, in a deep walk, anywhere. */
static void walk_scope(
	struct walk *walk, Dwarf_Die *parent, const struct subset *subset, unsigned depth)
{
	Dwarf_Die die;

	if (depth >= DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		int tag = dwarf_tag(&die);
		struct symbols_level level = { 0 };
		struct subset inside;
		bool has_ranges, makeshift = false;

		if (tag == DW_TAG_subprogram) {
			select_covered(walk, &die, subset, 0, &inside, &has_ranges);
			if (inside.n) {
				level.function = die_name(&walk->names, &die, &makeshift);
				makeshift |= !level.function;
				push_level(walk, &inside, &level);
				for (size_t i = 0; i < inside.n; i++)
					walk->job->addresses[inside.list[i]].makeshift = makeshift;
				walk_inlined(walk, &die, &inside, 1, depth + 1);
			}
			free(inside.list);
		}
		if (tag == DW_TAG_namespace || tag == DW_TAG_module ||
			(walk->deep && dwarf_haschildren(&die) == 1))
			walk_scope(walk, &die, subset, depth + 1);
	} while (step(walk) && dwarf_siblingof(&die, &die) == 0);
}

static bool any_unnamed(const struct walk *walk, const struct subset *subset)
{
	for (size_t i = 0; i < subset->n; i++) {
		if (walk->job->addresses[subset->list[i]].n_levels == 0)
			return true;
	}
	return false;
}

static void walk_unit(struct walk *walk, const struct subset *subset, bool has_dies)
{
	walk->files = NULL;
	walk->n_files = 0;
	if (has_dies) {
		walk->deep = false;
		walk_scope(walk, &walk->unit, subset, 0);
		if (any_unnamed(walk, subset)) {
			walk->deep = true;
			walk_scope(walk, &walk->unit, subset, 0);
		}
	}
	line_names_resolve(walk->job, &walk->unit, subset->list, subset->n);
}

static bool all_addresses(const struct symbols_job *job, struct subset *all)
{
	*all = (struct subset){ calloc(job->n_addresses, sizeof(*all->list)), job->n_addresses };
	if (!all->list)
		return false;
	for (size_t i = 0; i < all->n; i++)
		all->list[i] = (uint32_t)i;
	return true;
}

/*
 * One pass over the units: those that say where their code is, or, for the
 * addresses nobody claimed, those that do not.
 */
static void walk_units(struct walk *walk, Dwarf *dwarf, const struct subset *all, bool with_ranges)
{
	Dwarf_CU *unit = NULL;
	size_t n_done = 0;
	uint8_t type;

	while (step(walk) &&
		dwarf_get_units(dwarf, unit, &unit, NULL, &type, &walk->unit, NULL) == 0) {
		struct subset inside;
		bool has_ranges, has_dies = type != DW_UT_skeleton;

		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		select_covered(walk, &walk->unit, all, 0, &inside, &has_ranges);
		walk->is_split |= inside.n && !has_dies;
		if (inside.n && with_ranges)
			walk_unit(walk, &inside, has_dies);
		else if (!has_ranges && !with_ranges && has_dies && any_unnamed(walk, all))
			walk_unit(walk, all, has_dies);
		n_done += inside.n;
		if (walk->job->progress && inside.n)
			walk->job->progress(walk->job, n_done);
		free(inside.list);
	}
}

/* Whether there is anything to walk: not so when libelf cannot unpack the sections. */
static bool has_units(Dwarf *dwarf)
{
	Dwarf_CU *unit = NULL;

	return dwarf_get_units(dwarf, NULL, &unit, NULL, NULL, NULL, NULL) == 0;
}

bool dwarf_names_resolve(struct symbols_job *job, const struct debug_file *file,
	uint64_t text_start, bool *is_splitp)
{
	struct walk walk = { .job = job, .text_start = text_start, .names = { .pool = job->pool } };
	struct subset all;
	Dwarf *dwarf;

	if (job->n_addresses > UINT32_MAX)
		return false;
	dwarf = dwarf_begin_elf(file->elf, DWARF_C_READ, NULL);
	if (!dwarf || !has_units(dwarf)) {
		dwarf_end(dwarf);
		return false;
	}
	debug_file_drop_pages(file);
	if (__builtin_mul_overflow(file->size_bytes, STEPS_PER_BYTE, &walk.steps_left) ||
		__builtin_add_overflow(walk.steps_left, STEPS_BASE, &walk.steps_left))
		walk.steps_left = UINT64_MAX;
	walk.names.steps_left = walk.steps_left;
	if (all_addresses(job, &all)) {
		walk_units(&walk, dwarf, &all, true);
		if (any_unnamed(&walk, &all))
			walk_units(&walk, dwarf, &all, false);
	}
	*is_splitp = walk.is_split;
	free(all.list);
	dwarf_end(dwarf);
	return true;
}
