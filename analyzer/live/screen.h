/*
 * screen.h - what `heapspy live` shows: a pure function from figures and view to
 * lines of text. How they reach a terminal is paint.h's.
 *
 *	header, two lines	which process, how it is profiled; live, RSS, allocations
 *	column titles
 *	rows			or the stacks of one, or the help
 *	a rule			what is not shown, the filter, the mark
 *	keys			or a message, or the filter as it is typed
 *
 * On narrow terminals columns and parts of the header are left out, the least important ones
 * first; nothing is wider than the view and there are exactly as many lines as it has.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_SCREEN_H
#define HEAPSPY_ANALYZER_LIVE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/live/figures.h"
#include "analyzer/live/view.h"
#include "analyzer/out/table.h"
#include "analyzer/strbuf.h"

enum screen_look { SCREEN_PLAIN, SCREEN_BOLD, SCREEN_DIM, SCREEN_SELECTED, SCREEN_WARNING };

struct screen_line {
	struct strbuf text; /* UTF-8 without control characters */
	enum screen_look look;
	enum table_color mark; /* of the character at column 1 */
};

struct screen {
	struct screen_line *lines;
	int n_lines, columns;
	int cursor_column; /* in the last line; -1: no cursor */
	size_t n_scroll;   /* lines of stacks or help, shown or not: view.n_lines of the next key */
};

/* fig NULL: the first reading is not there yet. screen_deinit() frees. */
void screen_init(struct screen *screen, const struct figures *fig, const struct view *view);

void screen_deinit(struct screen *screen);

/* For the files that make a part of a screen: its lines. */
struct screen_part {
	struct screen_line *lines;
	int n, columns;
};

/* Sets a line of a part to text, cut to the width; i outside the part is ignored. */
void screen_set(struct screen_part *part, int i, enum screen_look look, const char *text);

/* Both lines of the header. */
void screen_add_header(
	struct screen_part *part, const struct figures *fig, const struct view *view);

/* Titles and rows; summary gets words about what is not shown. */
void screen_add_table(struct screen_part *part, const struct figures *fig, const struct view *view,
	struct strbuf *summary);

/* The stacks of the selected row, from line view.first on; returns how many lines there are. */
size_t screen_add_stacks(struct screen_part *part, const struct figures *fig,
	const struct view *view, struct strbuf *summary);

#endif
