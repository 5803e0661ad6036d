/*
 * view.h - how somebody looks at the figures: order, selection, filter, and what a
 * key changes of these. Knows no terminal.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_VIEW_H
#define HEAPSPY_ANALYZER_LIVE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/live/edit.h"
#include "analyzer/live/figures.h"
#include "analyzer/live/keys.h"

/* Lines of a screen that are neither rows nor their titles: header, rule, keys. */
#define VIEW_HEADER_LINES 2
#define VIEW_FOOTER_LINES 2

enum view_mode { VIEW_TABLE, VIEW_STACKS, VIEW_HELP };

/* What the caller has to do after a key. */
enum view_action {
	VIEW_NOTHING,
	VIEW_QUIT,
	VIEW_MARK,
	VIEW_SET_FILTER,
	VIEW_PAUSE,
	VIEW_WRITE,
	VIEW_REPAINT
};

struct view {
	int columns, lines;
	bool ascii;
	enum figures_order order;
	enum view_mode mode;
	bool paused;
	bool editing;      /* the filter is being typed */
	struct edit edit;  /* the filter as typed so far */
	char *filter;      /* in force; NULL: none */
	char message[160]; /* shown until the next key; "" none */
	uint32_t *rows;    /* indices into figures.rows, in order */
	size_t n_rows;
	bool has_selection;
	uint64_t selected_key; /* its site, wherever that stands */
	size_t selected;       /* its place in rows, or that of what took its place */
	size_t first;          /* first row, or line of stacks or help, on the screen */
	size_t n_lines;        /* of stacks or help; set with the screen */
};

void view_init(struct view *view, bool ascii, const char *filter);
void view_deinit(struct view *view);

void view_set_size(struct view *view, int columns, int lines);

/* Rows, or lines, that fit between titles and rule. */
size_t view_page(const struct view *view);

/* New figures: sorts them, and finds the selected site again. */
void view_set_figures(struct view *view, const struct figures *fig);

/* fig NULL: there are none yet. */
enum view_action view_key(struct view *view, const struct key *key, const struct figures *fig);

/* The selected row; NULL: none. */
const struct figures_row *view_selected(const struct view *view, const struct figures *fig);

#endif
