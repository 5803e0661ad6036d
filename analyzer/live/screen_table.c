/*
 * screen_table.c - owns the columns of the table: which there are, in which order, and
 * which of them a narrow terminal does without. How a place is written is out/where.c's.
 */
#include "analyzer/live/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/where.h"
#include "analyzer/units.h"

#define INDENT        3  /* selection, marker, space */
#define WHERE_COLUMNS 22 /* fewer, and a column of figures goes */
#define PLACE_COLUMNS 40 /* fewer, and the name stands alone */
#define COLUMNS_MAX   6

enum figure { LIVE, RECENT, MARK, ALLOCATED, N_FIGURES, RANGE };

/* The least a column takes, so that it does not move with its figures: see width_of(). */
static const int widths[] = {
	[LIVE] = 8, [RECENT] = 10, [MARK] = 10, [ALLOCATED] = 8, [RANGE] = 10
};
static const char *const titles[] = {
	[LIVE] = "live", [RECENT] = "+/min", [MARK] = "since mark", [ALLOCATED] = "alloc/s"
};
/* The figure an order sorts by comes first, with its range. */
static const enum figure main_figures[] = { [FIGURES_BY_LIVE] = LIVE,
	[FIGURES_BY_GROWTH] = RECENT,
	[FIGURES_BY_MARK] = MARK,
	[FIGURES_BY_ALLOCATED] = ALLOCATED };
/* Those that go first are last. */
static const enum figure importance[N_FIGURES] = { LIVE, RECENT, MARK, ALLOCATED };

/* Growth needs room for signs in its range; the sign of noise stands before it when it leads. */
static int width_of(enum figure figure, enum figures_order order)
{
	bool by_growth = order == FIGURES_BY_GROWTH || order == FIGURES_BY_MARK;

	if (figure == RECENT && order == FIGURES_BY_GROWTH)
		return widths[RECENT] - 1;
	return widths[figure] + (figure == RANGE && by_growth);
}

struct layout {
	enum figure columns[COLUMNS_MAX];
	int n;
	char align[COLUMNS_MAX + 2];
};

static void choose_columns(struct layout *layout, const struct view *view)
{
	enum figure first = main_figures[view->order];
	int i, left = INDENT + width_of(first, view->order) + 2 + width_of(RANGE, view->order) + 2;
	bool shown[N_FIGURES] = { false };

	for (i = 0; i < N_FIGURES; i++) {
		if (importance[i] == first)
			continue;
		left += width_of(importance[i], view->order) + 2;
		if (left + WHERE_COLUMNS > view->columns)
			break;
		shown[importance[i]] = true;
	}
	layout->columns[0] = first;
	layout->columns[1] = RANGE;
	layout->n = 2;
	for (i = 0; i < N_FIGURES; i++)
		if (shown[i])
			layout->columns[layout->n++] = (enum figure)i;
	memset(layout->align, 'r', (size_t)layout->n);
	memcpy(layout->align + layout->n, "l", 2);
}

static void add_change(
	struct strbuf *text, const struct figures_change *change, double factor, bool is_main)
{
	if (change->is_still || isnan(factor))
		return;
	if (change->verdict == COMPARE_NOISE && !is_main)
		strbuf_add_char(text, '~');
	units_add_bytes(text, change->growth.bytes * factor);
}

/* Per minute, from a growth since the recent moment. */
static double per_minute(const struct figures *fig)
{
	return 60 / fig->recent_s;
}

static void add_cell(struct strbuf *text, const struct figures *fig, const struct figures_row *row,
	enum figure figure, bool is_main)
{
	switch (figure) {
	case LIVE:
		if (row->live.samples > 0)
			units_add_bytes(text, row->live.bytes);
		break;
	case RECENT:
		add_change(text, &row->recent, per_minute(fig), is_main);
		break;
	case MARK:
		add_change(text, &row->since_mark, isnan(fig->mark_s) ? NAN : 1, is_main);
		break;
	default:
		if (row->allocated.samples > 0)
			units_add_bytes(text, row->allocated.bytes / fig->recent_s);
		break;
	}
}

static void add_range(struct strbuf *text, const struct figures *fig, const struct figures_row *row,
	enum figures_order order)
{
	struct interval range = row->live_range;
	double figure = row->live.bytes, factor = 1;

	if (order == FIGURES_BY_GROWTH || order == FIGURES_BY_MARK) {
		const struct figures_change *change =
			order == FIGURES_BY_MARK ? &row->since_mark : &row->recent;

		range = change->growth.range;
		figure = change->growth.bytes;
		factor = order == FIGURES_BY_MARK ? 1 : per_minute(fig);
	} else if (order == FIGURES_BY_ALLOCATED) {
		range = row->allocated_range;
		figure = row->allocated.bytes;
		factor = 1 / fig->recent_s;
	}
	if (fig->ranking.exact)
		strbuf_add_text(text, "exact");
	else
		units_add_range(text, range.lo * factor, range.hi * factor, figure * factor);
}

static void add_titles(struct table *t, const struct layout *layout, const struct figures *fig,
	enum figures_order order)
{
	int i;

	for (i = 0; i < layout->n; i++)
		table_add(t, layout->columns[i] != RANGE ? titles[layout->columns[i]]
			     : fig->ranking.exact        ? "range"
							 : "95 % range");
	table_add(t, "where");
	for (i = 0; i < layout->n; i++)
		if (t->widths[i] < width_of(layout->columns[i], order))
			t->widths[i] = width_of(layout->columns[i], order);
}

static void add_row(struct table *t, const struct layout *layout, const struct figures *fig,
	const struct view *view, const struct figures_row *row)
{
	struct strbuf text = { 0 };
	int i;

	for (i = 0; i < layout->n; i++) {
		if (layout->columns[i] == RANGE)
			add_range(&text, fig, row, view->order);
		else
			add_cell(&text, fig, row, layout->columns[i], i == 0);
		table_add_buffer(t, &text);
	}
	table_add(t, "");
	strbuf_deinit(&text);
}

/* Copies of the shown sites, without what there is no room for. */
static struct site *copy_sites(
	const struct figures *fig, const struct view *view, size_t n, bool has_place)
{
	struct site *sites = alloc_array(n, sizeof(*sites));
	size_t i;

	for (i = 0; i < n; i++) {
		const struct figures_row *row = &fig->rows[view->rows[view->first + i]];

		sites[i] = fig->sites.sites[row->group];
		if (has_place || !sites[i].function[0])
			continue;
		sites[i].file = sites[i].inlined_into = NULL;
		sites[i].from = NULL;
		sites[i].module = "";
		sites[i].n_callers = 0;
	}
	return sites;
}

static void set_places(
	struct table *t, const struct figures *fig, const struct view *view, size_t n)
{
	struct table_style style = { .columns = view->columns };
	int left = table_left_columns(t, INDENT);
	bool has_place = view->columns - left >= PLACE_COLUMNS;
	struct sites shown = { .sites = copy_sites(fig, view, n, has_place), .n_sites = n };
	uint32_t *index = alloc_array(n, sizeof(*index));
	struct where_layout layout;
	struct strbuf text = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		index[i] = (uint32_t)i;
	where_layout_init(&layout, &style, &shown, index, n, left);
	for (i = 0; i < n; i++) {
		where_add_text(&text, &layout, &shown.sites[i]);
		table_set_last(t, i + 1, &text);
	}
	strbuf_deinit(&text);
	free(index);
	free(shown.sites);
}

/* Marker and colour of a row in the orders that are about growth. */
static char marker_of(
	const struct figures_row *row, enum figures_order order, enum table_color *color)
{
	const struct figures_change *change = order == FIGURES_BY_MARK     ? &row->since_mark
					      : order == FIGURES_BY_GROWTH ? &row->recent
									   : NULL;

	*color = TABLE_PLAIN;
	if (!change)
		return ' ';
	*color = change->verdict == COMPARE_GREW     ? TABLE_RED
		 : change->verdict == COMPARE_SHRANK ? TABLE_GREEN
						     : TABLE_DIM;
	return change->verdict == COMPARE_GREW     ? '+'
	       : change->verdict == COMPARE_SHRANK ? '-'
						   : '~';
}

static void set_row(struct screen_part *part, int i, const struct table *t,
	const struct figures_row *row, const struct view *view, bool is_selected)
{
	struct table_style style = { .columns = view->columns };
	struct strbuf text = { 0 };
	enum table_color color;
	char marker = marker_of(row, view->order, &color);

	strbuf_add_char(&text, is_selected ? '>' : ' ');
	strbuf_add_char(&text, marker);
	table_render(t, (size_t)i, INDENT - 2, &style, TABLE_PLAIN, &text);
	/* The newline of a rendered row. */
	text.data[--text.bytes] = '\0';
	screen_set(part, i, is_selected ? SCREEN_SELECTED : SCREEN_PLAIN, text.data);
	part->lines[i].mark = color;
	strbuf_deinit(&text);
}

/* What an order has no rows for, in words. */
static void set_nothing(
	struct screen_part *part, const struct figures *fig, const struct view *view)
{
	bool since_mark = view->order == FIGURES_BY_MARK;
	struct strbuf text = { 0 };

	strbuf_add_text(&text, "  ");
	if (view->order == FIGURES_BY_LIVE) {
		strbuf_add_text(&text, "Nothing was sampled.");
	} else if (isnan(since_mark ? fig->mark_s : fig->recent_s)) {
		strbuf_add_text(&text,
			fig->ended   ? "The process has ended: there is nothing to compare with."
			: since_mark ? "Marked; waiting for the next reading."
				     : "Waiting for a second reading.");
	} else if (view->order == FIGURES_BY_ALLOCATED) {
		strbuf_add_text(&text, "No allocation was sampled.");
	} else {
		strbuf_add_text(&text, "No change seen");
		if (!fig->ranking.exact) {
			strbuf_add_text(&text, " (resolution +-");
			units_add_bytes(&text,
				growth_resolution_bytes(fig->ranking.interval_bytes, INTERVAL_Z95));
			strbuf_add_char(&text, ')');
		}
		strbuf_add_char(&text, '.');
	}
	screen_set(part, 1, SCREEN_PLAIN, text.data);
	strbuf_deinit(&text);
}

/* The sites that hold something and did not move, which have no rows here. */
static void add_unchanged(struct strbuf *out, const struct figures *fig, const struct view *view)
{
	size_t i, n = 0;

	for (i = 0; i < fig->n_rows; i++)
		n += fig->rows[i].live.samples > 0 &&
		     (view->order == FIGURES_BY_MARK ? fig->rows[i].since_mark.is_still
						     : fig->rows[i].recent.is_still);
	if (!n)
		return;
	strbuf_add_text(out, out->bytes ? ", " : "");
	units_add_count(out, n);
	strbuf_add_text(out, " unchanged");
}

/* The rows that are not on the screen: how many, and what they hold. */
static void add_summary(
	struct strbuf *out, const struct figures *fig, const struct view *view, size_t n_shown)
{
	struct aggregate rest = { 0 };
	struct interval range;
	size_t i, n = view->n_rows - n_shown;

	if (view->first || view->has_selection) {
		units_add_count(out, view->first + 1);
		strbuf_add_text(out, "..");
		units_add_count(out, view->first + n_shown);
		strbuf_add_text(out, " of ");
		units_add_count(out, view->n_rows);
	} else if (n) {
		units_add_count(out, n);
		strbuf_addf(out, " more site%s", n == 1 ? "" : "s");
	}
	if (view->order == FIGURES_BY_GROWTH || view->order == FIGURES_BY_MARK)
		add_unchanged(out, fig, view);
	if (!n || view->order != FIGURES_BY_LIVE)
		return;
	for (i = 0; i < view->n_rows; i++)
		if (i < view->first || i >= view->first + n_shown)
			estimate_add(&rest, &fig->rows[view->rows[i]].live);
	range = interval_of_bytes(&rest, fig->ranking.interval_bytes, INTERVAL_Z95);
	strbuf_add_text(out, view->first || view->has_selection ? ", others " : ", ");
	units_add_bytes(out, rest.bytes);
	if (fig->ranking.exact)
		return;
	strbuf_add_text(out, " (");
	units_add_range(out, range.lo, range.hi, rest.bytes);
	strbuf_add_char(out, ')');
}

void screen_add_table(struct screen_part *part, const struct figures *fig, const struct view *view,
	struct strbuf *summary)
{
	size_t n = view->n_rows - view->first, i;
	struct strbuf text = { 0 };
	struct layout layout;
	struct table_style style = { .columns = view->columns };
	struct table t;

	if (n > (size_t)part->n - 1)
		n = (size_t)part->n - 1;
	choose_columns(&layout, view);
	table_init(&t, layout.align);
	add_titles(&t, &layout, fig, view->order);
	for (i = 0; i < n; i++)
		add_row(&t, &layout, fig, view, &fig->rows[view->rows[view->first + i]]);
	set_places(&t, fig, view, n);
	table_render(&t, 0, INDENT, &style, TABLE_PLAIN, &text);
	text.data[--text.bytes] = '\0';
	screen_set(part, 0, SCREEN_BOLD, text.data);
	for (i = 0; i < n; i++)
		set_row(part, (int)i + 1, &t, &fig->rows[view->rows[view->first + i]], view,
			view->has_selection && view->selected == view->first + i);
	if (n)
		add_summary(summary, fig, view, n);
	else
		set_nothing(part, fig, view);
	strbuf_deinit(&text);
	table_deinit(&t);
}
