/*
 * table.h - text in columns, for a terminal or a pipe.
 *
 * Cells are added row by row; a row is rendered once all widths are known, so
 * that a caller can put other lines between rows. The last column is open: it is
 * neither padded nor cut here.
 */
#ifndef HEAPSPY_ANALYZER_TABLE_H
#define HEAPSPY_ANALYZER_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/strbuf.h"

/* How output may look. */
struct table_style {
	bool color;
	bool full_names; /* nothing is shortened or cut */
	int columns;     /* width to fit into */
};

enum table_color { TABLE_PLAIN, TABLE_RED, TABLE_GREEN, TABLE_DIM };

struct table {
	const char *align; /* by column: 'l' or 'r' */
	size_t n_columns;
	int *widths;
	char **cells; /* n_rows * n_columns; filled in order */
	size_t n_cells, capacity;
};

/* align: one 'l' or 'r' for each column; must outlive t. */
void table_init(struct table *t, const char *align);
void table_deinit(struct table *t);

/* Adds the next cell; rows follow each other. */
void table_add(struct table *t, const char *text);

/* Adds the text of b as a cell and empties b. */
void table_add_buffer(struct table *t, struct strbuf *b);

/* Replaces the open last cell of a row by the text of b, and empties b. */
void table_set_last(struct table *t, size_t row, struct strbuf *b);

/*
 * Renders a row behind indent spaces, two spaces between columns, none at the end, and
 * a newline. color applies to the first column.
 */
void table_render(const struct table *t, size_t row, int indent, const struct table_style *style,
	enum table_color color, struct strbuf *out);

/* Columns taken by all but the last column, gaps and indent included. */
int table_left_columns(const struct table *t, int indent);

/* Adds text in a color, when style has any. */
void table_add_colored(struct strbuf *out, const struct table_style *style, enum table_color color,
	const char *text);

/*
 * Cuts text in its middle to at most columns (at least 8) columns, "..." in between;
 * a shorter text stays. Escapes what a terminal must not see either way.
 */
void table_add_cut(struct strbuf *out, const char *text, int columns);

/*
 * The style for a stream: color_mode is "auto", "always" or "never"; auto means a terminal,
 * NO_COLOR unset or empty, and TERM not "dumb". Columns are the terminal's, else 120.
 */
struct table_style table_style_of(int fd, const char *color_mode);

#endif
