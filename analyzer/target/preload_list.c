/* preload_list.c - owns the order of LD_PRELOAD, and what has to be in it. */
#include "analyzer/target/preload_list.h"

#include <stdio.h>
#include <string.h>

#include "analyzer/target/library.h"
#include "analyzer/target/program_closure.h"

/* Functions that make blocks of one allocator, under names that no other one has. */
#define SYMBOLS_OF_ONE                                                                             \
	(PROGRAM_SYMBOLS_EXTENDED | 1u << PROGRAM_SYMBOL_JE_MALLOC |                               \
		1u << PROGRAM_SYMBOL_RJEM_MALLOC | 1u << PROGRAM_SYMBOL_MI_MALLOC |                \
		1u << PROGRAM_SYMBOL_TC_MALLOC)

static void write_text(struct preload_list *list)
{
	const char *const parts[] = { list->library, list->extension, list->allocator,
		list->others };
	unsigned i;

	strbuf_clear(&list->text);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (*parts[i])
			strbuf_addf(&list->text, "%s%s", list->text.bytes ? ":" : "", parts[i]);
}

int preload_list_init(struct preload_list *list, const char *allocator,
	const struct program_environment *env, struct fail *f)
{
	memset(list, 0, sizeof(*list));
	list->others = env->preload ? env->preload : "";
	loader_search_init(&list->search, env->library_path);
	if (library_find(list->library, sizeof(list->library), f) < 0)
		return -1;
	if (allocator) {
		list->wanted = allocators_find(allocator);
		if (allocators_locate(list->wanted, &list->search, list->allocator,
			    &list->allocator_exports, f) < 0)
			return -1;
	}
	write_text(list);
	return 0;
}

/* An object that refers to one of the symbols in mask. */
static const struct program_object *user_of(const struct program_closure *c, uint32_t mask)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!c->objects[i]->is_heapspy && c->objects[i]->referenced & mask)
			return c->objects[i];
	return NULL;
}

static int check_mixture(
	const struct preload_list *list, const struct program_closure *c, struct fail *f)
{
	unsigned i;

	for (i = 0; i < PROGRAM_N_SYMBOLS; i++) {
		const struct program_object *user, *owner;

		if (!program_elf_has(SYMBOLS_OF_ONE & ~list->allocator_exports, i))
			continue;
		user = user_of(c, 1u << i);
		owner = user ? program_closure_exporter(c, (enum program_symbol)i) : NULL;
		if (owner)
			return fail_set(f, EXIT_CODE_OTHER,
				"--allocator=%s: %s calls %s of %s by name, and blocks of two "
				"allocators would meet; run it without --allocator",
				list->wanted->name, program_path_base(user->path),
				program_symbols_name((enum program_symbol)i),
				program_path_base(owner->path));
	}
	return 0;
}

/* Fills in the allocator, and the first that it is in the way of. */
static void note_allocators(struct preload_list *list, const struct program_closure *c)
{
	const struct program_object *behind = program_closure_exporter(c, PROGRAM_SYMBOL_MALLOC);
	size_t i;

	if (!behind)
		return;
	snprintf(list->behind, sizeof(list->behind), "%s", behind->path);
	list->behind_name = allocators_name_of(behind->path, behind->exported);
	for (i = 1; i < c->n && !list->instead_of[0]; i++) {
		const struct program_object *o = c->objects[i];
		const char *name = allocators_name_of(o->path, o->exported);

		if (o != behind && !o->is_heapspy && name && strcmp(name, "glibc") != 0 &&
			program_elf_has(o->exported, PROGRAM_SYMBOL_MALLOC))
			snprintf(list->instead_of, sizeof(list->instead_of), "%.250s",
				program_path_base(o->path));
	}
}

int preload_list_fit(struct preload_list *list, const char *path,
	const struct program_environment *env, struct fail *f)
{
	struct program_environment with_list = *env;
	struct program_closure c;
	int ret = 0;

	with_list.preload = list->text.data;
	program_closure_read(&c, path, &with_list, &list->search);
	if (list->wanted)
		ret = check_mixture(list, &c, f);
	note_allocators(list, &c);
	list->has_extended = program_closure_exporter(&c, PROGRAM_SYMBOL_MALLOCX) != NULL;
	list->uses_extended = user_of(&c, PROGRAM_SYMBOLS_EXTENDED) != NULL;
	if (list->has_extended &&
		!library_find_extension(list->library, list->extension, sizeof(list->extension)))
		list->extension[0] = '\0';
	program_closure_deinit(&c);
	write_text(list);
	return ret;
}

void preload_list_describe(const struct preload_list *list, struct strbuf *out)
{
	if (!list->behind[0]) {
		strbuf_add_text(out, "not known: the program or its libraries cannot be read");
		return;
	}
	strbuf_addf(out, "%s%s%s%s", list->behind_name ? list->behind_name : "that of ",
		list->behind_name ? " (" : "", list->behind, list->behind_name ? ")" : "");
	if (list->instead_of[0])
		strbuf_addf(out, ", before %s", list->instead_of);
	if (!list->has_extended)
		return;
	if (list->extension[0])
		strbuf_add_text(out, "; mallocx and its kin are seen too, by " LIBRARY_EXTENSION);
	else
		strbuf_addf(out,
			"; mallocx and its kin are not seen: " LIBRARY_EXTENSION
			" is not beside %s",
			list->library);
}

void preload_list_deinit(struct preload_list *list)
{
	strbuf_deinit(&list->text);
	loader_search_deinit(&list->search);
}
