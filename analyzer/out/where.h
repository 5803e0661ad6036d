/*
 * where.h - the place a row stands for: its column in a table, its stacks below
 * the row, and the same in JSON.
 */
#ifndef HEAPSPY_ANALYZER_WHERE_H
#define HEAPSPY_ANALYZER_WHERE_H

#include <stdint.h>

#include "analyzer/out/json.h"
#include "analyzer/out/table.h"
#include "analyzer/sites.h"

/* Columns of names and places in a list of sites, so that places line up. */
struct where_layout {
	const struct table_style *style;
	int total_columns; /* for all of it */
	int name_columns;
	int place_columns;
};

/* shown: n indices into sites. left_columns: what the other columns of the table take. */
void where_layout_init(struct where_layout *layout, const struct table_style *style,
	const struct sites *sites, const uint32_t *shown, size_t n, int left_columns);

/*
 * "function   file.c:12   (inlined into caller)" or "module+0x12  (from caller file.c:12)",
 * escaped. Names are cut to the layout, what is in parentheses is left out where it does not fit.
 */
void where_add_text(struct strbuf *out, const struct where_layout *layout, const struct site *site);

/* The argument of --focus that means a site, as a word of a shell, in quotes to stand out. */
void where_add_focus(struct strbuf *out, const struct sites *sites, const struct site *site);

/* The frames of a stack of the profile, leaf first, one a line behind indent spaces. */
void where_add_stack(struct strbuf *out, const struct table_style *style,
	const struct source_frames *sf, uint32_t stack, int indent);

/* {"function", "file", "line", "module", "inlined_into", "from": {"function", "file", "line"}}. */
void where_add_json(struct json *j, const char *key, const struct site *site);

/* Array of frames, leaf first. */
void where_add_stack_json(
	struct json *j, const char *key, const struct source_frames *sf, uint32_t stack);

#endif
