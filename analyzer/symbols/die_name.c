/*
 * die_name.c - owns the making of a function's name from its DIE. The walk
 * that finds the DIE is left to dwarf_names.c, demangling to demangle.c.
 */
#include "analyzer/symbols/die_name.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/demangle.h"
#include "analyzer/symbols/intern.h"

/* A concrete inline instance, its abstract one, a declaration: three. The rest is slack. */
enum { ORIGINS_MAX = 16, SCOPES_MAX = 32, FIRST_LINE_BYTES = 64 };

static const char *string_attr(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;

	return dwarf_formstring(dwarf_attr(die, name, &attribute));
}

/* One step along abstract origin or specification, in place. */
static bool follow_origin(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	Dwarf_Die next;

	if (!dwarf_attr(die, DW_AT_abstract_origin, &attribute) &&
		!dwarf_attr(die, DW_AT_specification, &attribute))
		return false;
	if (!dwarf_formref_die(&attribute, &next))
		return false;
	*die = next;
	return true;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_class_type ||
	       tag == DW_TAG_structure_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_enumeration_type || tag == DW_TAG_interface_type ||
	       tag == DW_TAG_subprogram;
}

/*
 * The child of scope that is target or holds it: offsets grow along the tree,
 * so it is the last child that does not begin behind the target.
 */
static bool child_towards(
	struct die_name_context *context, Dwarf_Die *scope, Dwarf_Off target, Dwarf_Die *childp)
{
	Dwarf_Die next;

	if (dwarf_child(scope, childp) != 0 || dwarf_dieoffset(childp) > target)
		return false;
	next = *childp;
	while (context->steps_left > 0) {
		context->steps_left--;
		if (dwarf_siblingof(&next, &next) != 0 || dwarf_dieoffset(&next) > target)
			return true;
		*childp = next;
	}
	return false;
}

/* A type without a name that can be called. */
static bool is_lambda(struct die_name_context *context, Dwarf_Die *die)
{
	Dwarf_Die child;
	int tag = dwarf_tag(die);

	if ((tag != DW_TAG_class_type && tag != DW_TAG_structure_type) ||
		string_attr(die, DW_AT_name) || dwarf_child(die, &child) != 0)
		return false;
	do {
		const char *name = string_attr(&child, DW_AT_name);

		if (name && strcmp(name, "operator()") == 0)
			return true;
		if (context->steps_left == 0)
			return false;
		context->steps_left--;
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

/*
 * The lambdas of scope that begin at target or before, those in its blocks included:
 * the number that the demangler gives to the last of them.
 */
static unsigned count_lambdas(
	struct die_name_context *context, Dwarf_Die *scope, Dwarf_Off target, unsigned depth)
{
	Dwarf_Die die;
	unsigned n = 0;

	if (depth >= SCOPES_MAX || dwarf_child(scope, &die) != 0)
		return 0;
	do {
		if (context->steps_left == 0 || dwarf_dieoffset(&die) > target)
			break;
		context->steps_left--;
		if (dwarf_tag(&die) == DW_TAG_lexical_block)
			n += count_lambdas(context, &die, target, depth + 1);
		else
			n += is_lambda(context, &die);
	} while (dwarf_siblingof(&die, &die) == 0);
	return n;
}

/* The line that the code of a function, inlined or not, begins with. */
static Dwarf_Line *first_line(Dwarf_Die *code, int *numberp)
{
	Dwarf_Addr base, start, end;
	Dwarf_Die unit;

	if (!dwarf_diecu(code, &unit, NULL, NULL) ||
		dwarf_ranges(code, 0, &base, &start, &end) <= 0)
		return NULL;
	/* Compilers give what they have made up themselves line 0. */
	for (unsigned i = 0; i < FIRST_LINE_BYTES && start < end; i++, start++) {
		Dwarf_Line *line = dwarf_getsrc_die(&unit, start);

		if (line && dwarf_lineno(line, numberp) == 0 && *numberp > 0)
			return line;
	}
	return NULL;
}

/*
 * Stands in for the scopes that debug info of level 1 leaves out. What the headers of the
 * standard library declare is the library's. An operator() without a declaration is a lambda's
 * and told from others by its place; columns are for several on a line.
 */
static bool add_place_as_scope(FILE *out, Dwarf_Die *die, const char *name, Dwarf_Die *code)
{
	const char *declared = dwarf_decl_file(die), *file = NULL, *base;
	int number = 0, column = 0;
	Dwarf_Line *line = NULL;

	if (declared && strstr(declared, "/include/c++/")) {
		fputs("std::", out);
		return true;
	}
	if (strncmp(name, "operator()", strlen("operator()")) == 0)
		line = first_line(code, &number);
	if (line)
		file = dwarf_linesrc(line, NULL, NULL);
	if (!file)
		return !declared;
	base = strrchr(file, '/');
	fprintf(out, "{%s:%d", base ? base + 1 : file, number);
	if (dwarf_linecol(line, &column) == 0 && column > 0)
		fprintf(out, ":%d", column);
	fputs("}::", out);
	return true;
}

/*
 * "ns::Class::name"; name alone when the DIE is not inside a scope with a name. code: the DIE
 * whose origin it is.
 */
static const char *qualified(struct die_name_context *context, Dwarf_Die *die, const char *name,
	Dwarf_Die *code, bool *makeshiftp)
{
	Dwarf_Off target = dwarf_dieoffset(die);
	Dwarf_Die unit, at, outer;
	const char *result = NULL;
	char *text = NULL;
	size_t text_bytes = 0;
	FILE *out;

	if (!dwarf_diecu(die, &unit, NULL, NULL))
		return intern_string(context->pool, name);
	out = open_memstream(&text, &text_bytes);
	if (!out)
		return intern_string(context->pool, name);
	at = outer = unit;
	for (unsigned i = 0; i < SCOPES_MAX; i++) {
		Dwarf_Die child;

		if (!child_towards(context, &at, target, &child) ||
			dwarf_dieoffset(&child) == target)
			break;
		at = child;
		if (is_scope(dwarf_tag(&at))) {
			const char *scope = string_attr(&at, DW_AT_name);

			if (!scope && dwarf_tag(&at) == DW_TAG_namespace) {
				scope = "(anonymous namespace)";
			}
			if (!scope)
				*makeshiftp = true;
			if (scope)
				fprintf(out, "%s::", scope);
			else if (is_lambda(context, &at))
				fprintf(out, "{lambda#%u}::",
					count_lambdas(context, &outer, dwarf_dieoffset(&at), 0));
			else
				fputs("{unnamed}::", out);
			outer = at;
		}
	}
	if (outer.addr == unit.addr && add_place_as_scope(out, die, name, code))
		*makeshiftp = true;
	fputs(name, out);
	if (fclose(out) == 0)
		result = intern_string(context->pool, text);
	free(text);
	return result;
}

static bool has_scopes(Dwarf_Die *die)
{
	Dwarf_Die unit;

	if (!dwarf_diecu(die, &unit, NULL, NULL))
		return false;
	switch (dwarf_srclang(&unit)) {
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_ObjC_plus_plus:
	case DW_LANG_Rust:
	case DW_LANG_D:
		return true;
	default:
		return false;
	}
}

/* As qualified(), for a DIE that is mostly the origin of many others. */
static const char *qualified_once(struct die_name_context *context, Dwarf_Die *die,
	const char *name, Dwarf_Die *code, bool *makeshiftp)
{
	uint64_t slot = (uintptr_t)die->addr * 0x9e3779b97f4a7c15u >> 32;
	struct die_name_known *known = &context->known[slot % DIE_NAME_CACHE_SIZE];

	if (known->die != die->addr) {
		known->makeshift = false;
		known->name = qualified(context, die, name, code, &known->makeshift);
		known->die = die->addr;
	}
	*makeshiftp = known->makeshift;
	return known->name;
}

const char *die_name(struct die_name_context *context, Dwarf_Die *die, bool *makeshiftp)
{
	Dwarf_Die at = *die;
	Dwarf_Die named = *die; /* the last of the chain with a name: its declaration */
	const char *name = NULL;

	*makeshiftp = false;
	for (unsigned i = 0; i < ORIGINS_MAX; i++) {
		const char *linkage = string_attr(&at, DW_AT_linkage_name);
		const char *here = string_attr(&at, DW_AT_name);

		if (!linkage)
			linkage = string_attr(&at, DW_AT_MIPS_linkage_name);
		/* In C a linkage name is an alias from an asm label; the source knows better. */
		if (linkage && demangle_is_mangled(linkage))
			return demangle_name(context->pool, linkage);
		if (here) {
			name = here;
			named = at;
		}
		if (!follow_origin(&at))
			break;
	}
	if (!name || name[0] == '\0')
		return NULL;
	return has_scopes(&named) ? qualified_once(context, &named, name, die, makeshiftp)
				  : intern_string(context->pool, name);
}
