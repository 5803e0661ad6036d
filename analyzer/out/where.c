/* where.c - owns how places and stacks are written. Which place a row has is sites.c's. */
#include "analyzer/out/where.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/site_names.h"
#include "analyzer/symbols/name.h"

#define NAME_COLUMNS_MIN  20
#define PLACE_COLUMNS_MIN 22
#define CUT_COLUMNS_MIN   8 /* of table_add_cut() */

/* The most a place takes: more where the terminal is wide. */
static int place_columns_max(const struct table_style *style)
{
	int columns = style->columns / 5;

	return columns > PLACE_COLUMNS_MIN ? columns : PLACE_COLUMNS_MIN;
}

/* "module+0xoffset" is cut in the module only: half an offset is none. */
static void add_cut_name(struct strbuf *out, const char *name, int columns)
{
	const char *offset = strstr(name, "+0x");
	struct strbuf module = { 0 };

	if (!offset || offset[3 + strspn(offset + 3, "0123456789abcdef")]) {
		table_add_cut(out, name, columns);
		return;
	}
	strbuf_add(&module, name, (size_t)(offset - name));
	table_add_cut(out, module.data, columns - (int)strlen(offset));
	strbuf_add_text(out, offset);
	strbuf_deinit(&module);
}

/* Cut before and behind [from, end), which is why the name is longer than others. */
static void add_cut_around(
	struct strbuf *out, const char *name, size_t from, size_t end, int columns)
{
	struct strbuf head = { 0 }, middle = { 0 }, tail = { 0 };
	int left, room;

	strbuf_add(&head, name, from);
	strbuf_add(&middle, name + from, end - from);
	strbuf_add_text(&tail, name + end);
	left = columns - strbuf_columns(middle.data);
	if (left < CUT_COLUMNS_MIN + 3 || strbuf_columns(name) <= columns) {
		table_add_cut(out, name, columns);
	} else {
		/* The end of a name tells more than its scopes. */
		room = left - (tail.bytes ? strbuf_columns(tail.data) : 0);
		if (room < CUT_COLUMNS_MIN)
			room = left < 2 * CUT_COLUMNS_MIN ? 3 : CUT_COLUMNS_MIN;
		if (head.bytes && strbuf_columns(head.data) <= room)
			room = strbuf_columns(head.data);
		if (room < CUT_COLUMNS_MIN && head.bytes > (size_t)room)
			strbuf_add_text(out, "...");
		else
			table_add_cut(out, head.data ? head.data : "", room);
		strbuf_add_escaped(out, middle.data, middle.bytes);
		table_add_cut(out, tail.data ? tail.data : "", left - room);
	}
	strbuf_deinit(&head);
	strbuf_deinit(&middle);
	strbuf_deinit(&tail);
}

static void add_name(
	struct strbuf *out, const struct table_style *style, const char *function, int columns)
{
	char *name = style->full_names ? NULL : name_shorten(function);

	if (style->full_names)
		strbuf_add_escaped(out, function, strlen(function));
	else
		add_cut_name(out, name ? name : function, columns);
	free(name);
}

/* "file.c:12", or the module where there is no line. */
static void add_place(struct strbuf *out, const struct table_style *style, const char *function,
	const char *file, uint32_t line, const char *module, int columns)
{
	struct strbuf text = { 0 };
	const char *path = file ? file : module;

	/* A name like "libfoo.so+0x12" says the module itself. */
	if (!file && strstr(function, "+0x"))
		return;
	if (!style->full_names)
		path = source_frames_base_name(path);
	strbuf_add_text(&text, path);
	if (file && line)
		strbuf_addf(&text, ":%u", line);
	if (text.bytes && style->full_names)
		strbuf_add_escaped(out, text.data, text.bytes);
	else if (text.bytes)
		table_add_cut(out, text.data, columns);
	strbuf_deinit(&text);
}

/* Spaces before a place that turned out to be empty. */
static void strip_gap(struct strbuf *out)
{
	while (out->bytes && out->data[out->bytes - 1] == ' ')
		out->data[--out->bytes] = '\0';
}

/* By module the module is the name, and there is no place. */
static bool is_module_row(const struct site *site)
{
	return !site->function[0];
}

static void add_site_name(
	struct strbuf *out, const struct table_style *style, const struct site *site, int columns)
{
	const char *module = site->module[0] ? site->module : "<no module>";

	if (site->distinct && !style->full_names)
		add_cut_around(
			out, site->distinct, site->distinct_from, site->distinct_end, columns);
	else if (!is_module_row(site))
		add_name(out, style, site->function, columns);
	else if (style->full_names)
		strbuf_add_escaped(out, module, strlen(module));
	else
		table_add_cut(out, source_frames_base_name(module), columns);
}

static void add_site_place(
	struct strbuf *out, const struct table_style *style, const struct site *site, int columns)
{
	if (!is_module_row(site))
		add_place(
			out, style, site->function, site->file, site->line, site->module, columns);
}

void where_layout_init(struct where_layout *layout, const struct table_style *style,
	const struct sites *sites, const uint32_t *shown, size_t n, int left_columns)
{
	struct strbuf text = { 0 };
	size_t i;
	int columns;

	layout->style = style;
	layout->total_columns = style->columns - left_columns;
	layout->name_columns = layout->place_columns = 0;
	for (i = 0; i < n; i++) {
		strbuf_clear(&text);
		add_site_place(&text, style, &sites->sites[shown[i]], place_columns_max(style));
		columns = text.data ? strbuf_columns(text.data) : 0;
		if (columns > layout->place_columns)
			layout->place_columns = columns;
		strbuf_clear(&text);
		add_site_name(&text, style, &sites->sites[shown[i]], style->columns);
		columns = text.data ? strbuf_columns(text.data) : 0;
		if (columns > layout->name_columns)
			layout->name_columns = columns;
	}
	/* What a long name pushes off the screen is the name's own middle, not the place. */
	columns = layout->total_columns - layout->place_columns - 2;
	if (columns < NAME_COLUMNS_MIN)
		columns = NAME_COLUMNS_MIN;
	if (layout->name_columns > columns && !style->full_names)
		layout->name_columns = columns;
	strbuf_deinit(&text);
}

/* Adds note to text behind two spaces where there is room for all of it, and empties note. */
static void add_note(struct strbuf *text, const struct where_layout *layout, struct strbuf *note)
{
	int left = layout->total_columns - strbuf_columns(text->data) - 2;

	if (layout->style->full_names || strbuf_columns(note->data) <= left) {
		strbuf_add_text(text, "  ");
		strbuf_add(text, note->data, note->bytes);
	}
	strbuf_clear(note);
}

static void add_caller(
	struct strbuf *note, const struct table_style *style, const struct site *site)
{
	const struct symbol_frame *from = site->from;

	strbuf_add_text(note, "(from ");
	if (from) {
		add_name(note, style, from->function, INT_MAX);
		strbuf_add_char(note, ' ');
		add_place(note, style, "", from->file, from->line, "", INT_MAX);
	} else {
		strbuf_addf(note, "%zu callers", site->n_callers);
	}
	strbuf_add_char(note, ')');
}

void where_add_text(struct strbuf *out, const struct where_layout *layout, const struct site *site)
{
	const struct table_style *style = layout->style;
	struct strbuf text = { 0 }, note = { 0 };
	int pad;

	add_site_name(&text, style, site, layout->name_columns);
	/* Full names are of any length: padded to the longest, most rows would be spaces. */
	pad = style->full_names ? 0 : layout->name_columns - strbuf_columns(text.data);
	strbuf_pad(&text, ' ', pad + 2);
	add_site_place(&text, style, site, layout->place_columns);
	strip_gap(&text);
	if (site->inlined_into && !is_module_row(site)) {
		strbuf_add_text(&note, "(inlined into ");
		add_name(&note, style, site->inlined_into, INT_MAX);
		strbuf_add_char(&note, ')');
		add_note(&text, layout, &note);
	}
	if (site->from || site->n_callers > 1) {
		add_caller(&note, style, site);
		add_note(&text, layout, &note);
	}
	strbuf_add(out, text.data, text.bytes);
	strbuf_deinit(&text);
	strbuf_deinit(&note);
}

void where_add_focus(struct strbuf *out, const struct sites *sites, const struct site *site)
{
	char *pattern = site_names_pattern(sites, site);
	struct strbuf word = { 0 };

	strbuf_add_shell_word(&word, pattern);
	if (word.data[0] == '\'')
		strbuf_add_escaped(out, word.data, word.bytes);
	else
		strbuf_addf(out, "'%s'", word.data);
	strbuf_deinit(&word);
	free(pattern);
}

void where_add_stack(struct strbuf *out, const struct table_style *style,
	const struct source_frames *sf, uint32_t stack_index, int indent)
{
	const struct profile_stack *stack = &sf->profile->stacks[stack_index];
	int place_columns = place_columns_max(style);
	int room = style->columns - indent - place_columns - 2;
	uint32_t i, j;

	for (i = 0; i < stack->n_frames; i++) {
		const struct source_address *address = source_frames_at(sf, stack, i);

		for (j = 0; j < address->n_frames; j++) {
			const struct symbol_frame *frame = &address->frames[j];

			strbuf_pad(out, ' ', indent);
			add_name(out, style, frame->function, room);
			strbuf_add_text(out, "  ");
			add_place(out, style, frame->function, frame->file, frame->line,
				source_frames_module_path(sf, address->module), place_columns);
			strip_gap(out);
			strbuf_add_text(out, frame->inlined ? "  (inlined)\n" : "\n");
		}
	}
	if (stack->flags & (HEAPSPY_STACK_CUT | HEAPSPY_STACK_TRUNCATED | HEAPSPY_STACK_FOLDED)) {
		strbuf_pad(out, ' ', indent);
		strbuf_addf(out, "... (%s)\n",
			stack->flags & HEAPSPY_STACK_FOLDED ? "shortened: the state was full"
			: stack->flags & HEAPSPY_STACK_CUT  ? "cut at the depth limit"
							    : "ends at code that cannot be walked");
	}
}

static void add_frame_json(struct json *j, const char *key, const char *function, const char *file,
	uint32_t line, const char *module)
{
	json_object_begin(j, key);
	json_text(j, "function", function[0] ? function : NULL);
	json_text(j, "file", file);
	if (line)
		json_unsigned(j, "line", line);
	else
		json_text(j, "line", NULL);
	json_text(j, "module", module[0] ? module : NULL);
}

void where_add_json(struct json *j, const char *key, const struct site *site)
{
	bool module_row = is_module_row(site);

	add_frame_json(j, key, site->function, module_row ? NULL : site->file,
		module_row ? 0 : site->line, site->module);
	json_text(j, "inlined_into", module_row ? NULL : site->inlined_into);
	if (site->from) {
		json_object_begin(j, "from");
		json_text(j, "function", site->from->function);
		json_text(j, "file", site->from->file);
		json_unsigned(j, "line", site->from->line);
		json_object_end(j);
	} else {
		json_text(j, "from", NULL);
	}
	json_object_end(j);
}

void where_add_stack_json(
	struct json *j, const char *key, const struct source_frames *sf, uint32_t stack_index)
{
	const struct profile_stack *stack = &sf->profile->stacks[stack_index];
	uint32_t i, k;

	json_array_begin(j, key);
	for (i = 0; i < stack->n_frames; i++) {
		const struct source_address *address = source_frames_at(sf, stack, i);

		for (k = 0; k < address->n_frames; k++) {
			const struct symbol_frame *frame = &address->frames[k];

			add_frame_json(j, NULL, frame->function, frame->file, frame->line,
				source_frames_module_path(sf, address->module));
			json_bool(j, "inlined", frame->inlined);
			json_object_end(j);
		}
	}
	json_array_end(j);
}
