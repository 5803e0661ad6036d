/*
 * view.c - owns what keys do, and which site is selected while rows move. Drawing is
 * screen.c's; marks, filters and pauses are carried out by whoever reads the keys.
 */
#include "analyzer/live/view.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"

void view_init(struct view *view, bool ascii, const char *filter)
{
	memset(view, 0, sizeof(*view));
	view->ascii = ascii;
	view->filter = filter ? alloc_text(filter, strlen(filter)) : NULL;
	view_set_size(view, 80, 24);
}

void view_deinit(struct view *view)
{
	free(view->filter);
	free(view->rows);
	view->filter = NULL;
	view->rows = NULL;
}

size_t view_page(const struct view *view)
{
	int lines = view->lines - VIEW_HEADER_LINES - 1 - VIEW_FOOTER_LINES;

	return lines > 1 ? (size_t)lines : 1;
}

/* Brings first where the selection, or as much as there is, can be seen. */
static void scroll(struct view *view)
{
	size_t page = view_page(view);
	size_t n = view->mode == VIEW_TABLE ? view->n_rows : view->n_lines;

	if (view->mode == VIEW_TABLE && view->has_selection) {
		if (view->selected < view->first)
			view->first = view->selected;
		if (view->selected >= view->first + page)
			view->first = view->selected - page + 1;
	}
	if (view->first + page > n)
		view->first = n > page ? n - page : 0;
}

void view_set_size(struct view *view, int columns, int lines)
{
	view->columns = columns > 0 ? columns : 80;
	view->lines = lines > 0 ? lines : 24;
	scroll(view);
}

static void sort(struct view *view, const struct figures *fig)
{
	size_t i;

	view->rows = alloc_resize(view->rows, fig->n_rows + 1, sizeof(*view->rows));
	view->n_rows = figures_sort(fig, view->order, view->rows);
	for (i = 0; i < view->n_rows && view->has_selection; i++)
		if (fig->rows[view->rows[i]].key == view->selected_key) {
			view->selected = i;
			return;
		}
	/* The site has left the table: the selection stays where it was. */
	if (view->selected >= view->n_rows)
		view->selected = view->n_rows ? view->n_rows - 1 : 0;
	if (!view->n_rows)
		view->has_selection = false;
	else if (view->has_selection && view->mode == VIEW_TABLE)
		view->selected_key = fig->rows[view->rows[view->selected]].key;
}

void view_set_figures(struct view *view, const struct figures *fig)
{
	sort(view, fig);
	scroll(view);
}

const struct figures_row *view_selected(const struct view *view, const struct figures *fig)
{
	size_t i;

	if (!fig || !view->has_selection)
		return NULL;
	/* Its stacks stay on the screen when an order has no place for it. */
	for (i = 0; i < fig->n_rows; i++)
		if (fig->rows[i].key == view->selected_key)
			return &fig->rows[i];
	return NULL;
}

static void select_row(struct view *view, const struct figures *fig, size_t row)
{
	if (!view->n_rows)
		return;
	view->selected = row < view->n_rows ? row : view->n_rows - 1;
	view->selected_key = fig->rows[view->rows[view->selected]].key;
	view->has_selection = true;
	scroll(view);
}

/* Moves by rows, or scrolls by lines where there is nothing to select. */
static void move(struct view *view, const struct figures *fig, long by)
{
	size_t at = view->mode == VIEW_TABLE ? view->selected : view->first;
	size_t to = by < 0 && (size_t)-by > at ? 0 : (size_t)((long)at + by);

	if (view->mode != VIEW_TABLE) {
		view->first = to;
		scroll(view);
		return;
	}
	if (!fig)
		return;
	/* The first key selects what is at the top of the screen. */
	if (!view->has_selection && by >= -1 && by <= 1)
		to = view->first;
	select_row(view, fig, to);
}

static enum view_action show_mode(struct view *view, enum view_mode mode)
{
	view->mode = view->mode == mode ? VIEW_TABLE : mode;
	view->first = 0;
	/* Not known before it is drawn; scroll() must not pull back until then. */
	view->n_lines = 0;
	scroll(view);
	return VIEW_NOTHING;
}

static enum view_action set_order(
	struct view *view, const struct figures *fig, enum figures_order order)
{
	if (view->mode == VIEW_HELP)
		show_mode(view, VIEW_HELP);
	view->order = order;
	if (!view->has_selection)
		view->first = 0;
	if (fig)
		view_set_figures(view, fig);
	return VIEW_NOTHING;
}

static enum view_action accept_filter(struct view *view)
{
	char reason[120];
	regex_t regex;
	int code = regcomp(&regex, view->edit.text, REG_EXTENDED | REG_NOSUB);

	if (code) {
		/* What was typed stays, to be mended. */
		regerror(code, &regex, reason, sizeof(reason));
		snprintf(view->message, sizeof(view->message), "no regular expression: %s", reason);
		return VIEW_NOTHING;
	}
	regfree(&regex);
	view->editing = false;
	free(view->filter);
	view->filter = view->edit.bytes ? alloc_text(view->edit.text, view->edit.bytes) : NULL;
	view->first = 0;
	return VIEW_SET_FILTER;
}

static enum view_action key_of_edit(struct view *view, const struct key *key)
{
	if (key->kind == KEY_ENTER)
		return accept_filter(view);
	if (key->kind == KEY_ESCAPE || (key->kind == KEY_BACKSPACE && !view->edit.bytes))
		view->editing = false;
	else
		edit_key(&view->edit, key);
	return VIEW_NOTHING;
}

static enum view_action key_of_character(
	struct view *view, uint32_t code, const struct figures *fig)
{
	switch (code) {
	case 'q':
		return VIEW_QUIT;
	case 'l':
		return set_order(view, fig, FIGURES_BY_LIVE);
	case 'g':
		return set_order(view, fig, FIGURES_BY_GROWTH);
	case 'a':
		return set_order(view, fig, FIGURES_BY_ALLOCATED);
	case 'd':
		return set_order(view, fig, FIGURES_BY_MARK);
	case 'm':
		return VIEW_MARK;
	case 'p':
		return VIEW_PAUSE;
	case 'w':
		return VIEW_WRITE;
	case '/':
		view->editing = true;
		edit_begin(&view->edit, view->filter ? view->filter : "");
		return VIEW_NOTHING;
	case '?':
	case 'h':
		return show_mode(view, VIEW_HELP);
	case 'j':
		move(view, fig, 1);
		return VIEW_NOTHING;
	case 'k':
		move(view, fig, -1);
		return VIEW_NOTHING;
	case ' ':
		move(view, fig, (long)view_page(view));
		return VIEW_NOTHING;
	case KEYS_CTRL('L'):
		return VIEW_REPAINT;
	}
	return VIEW_NOTHING;
}

/* One step back: from stacks or help, from the filter, from the selection. */
static enum view_action leave(struct view *view, const struct figures *fig)
{
	if (view->mode == VIEW_TABLE && view->filter) {
		free(view->filter);
		view->filter = NULL;
		view->first = 0;
		return VIEW_SET_FILTER;
	}
	if (view->mode == VIEW_TABLE) {
		view->has_selection = false;
		view->selected = view->first;
	} else {
		show_mode(view, VIEW_TABLE);
		if (fig)
			view_set_figures(view, fig);
	}
	return VIEW_NOTHING;
}

enum view_action view_key(struct view *view, const struct key *key, const struct figures *fig)
{
	view->message[0] = '\0';
	if (view->editing)
		return key_of_edit(view, key);
	switch (key->kind) {
	case KEY_CHARACTER:
		return key_of_character(view, key->code, fig);
	case KEY_UP:
		move(view, fig, -1);
		break;
	case KEY_DOWN:
		move(view, fig, 1);
		break;
	case KEY_PAGE_UP:
		move(view, fig, -(long)view_page(view));
		break;
	case KEY_PAGE_DOWN:
		move(view, fig, (long)view_page(view));
		break;
	case KEY_HOME:
		move(view, fig, -(long)(view->selected + view->first));
		break;
	case KEY_END:
		move(view, fig, (long)(view->n_rows + view->n_lines));
		break;
	case KEY_ENTER:
		if (view->mode != VIEW_TABLE)
			return leave(view, fig);
		if (!fig || !view->n_rows)
			break;
		if (!view->has_selection)
			select_row(view, fig, view->first);
		return show_mode(view, VIEW_STACKS);
	case KEY_ESCAPE:
		return leave(view, fig);
	default:
		break;
	}
	return VIEW_NOTHING;
}
