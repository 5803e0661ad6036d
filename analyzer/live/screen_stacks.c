/* screen_stacks.c - owns the list of a row's stacks. Their text is out/where.c's. */
#include "analyzer/live/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/where.h"
#include "analyzer/units.h"

#define STACKS_MAX 64

/* " (383..443)" beside the figure, which factor scales as well. */
static void add_range(struct strbuf *out, const struct figures *fig, enum figures_order order,
	uint32_t stack, double factor)
{
	struct interval range = figures_stack_range(fig, order, stack);

	if (fig->ranking.exact)
		return;
	strbuf_add_text(out, " (");
	units_add_range(out, range.lo * factor, range.hi * factor,
		figures_stack_bytes(fig, order, stack) * factor);
	strbuf_add_char(out, ')');
}

/* "408 MiB (381..437) live", "+3.1 MiB (2..4.5) in 60 s": a stack in the order of the view. */
static void add_weight(
	struct strbuf *out, const struct figures *fig, enum figures_order order, uint32_t stack)
{
	double bytes = figures_stack_bytes(fig, order, stack);
	double per_second = isnan(fig->recent_s) ? 0 : 1 / fig->recent_s;

	switch (order) {
	case FIGURES_BY_LIVE:
		units_add_bytes(out, bytes);
		add_range(out, fig, order, stack, 1);
		strbuf_addf(out, " live, %.0f sample%s", fig->ranking.stacks[stack].samples,
			fig->ranking.stacks[stack].samples == 1 ? "" : "s");
		break;
	case FIGURES_BY_ALLOCATED:
		units_add_bytes(out, bytes * per_second);
		strbuf_add_text(out, "/s");
		add_range(out, fig, order, stack, per_second);
		strbuf_add_text(out, " allocated");
		break;
	default:
		strbuf_add_text(out, bytes > 0 ? "+" : "");
		units_add_bytes(out, bytes);
		add_range(out, fig, order, stack, 1);
		strbuf_add_text(out, order == FIGURES_BY_MARK ? " since the mark" : " in ");
		if (order == FIGURES_BY_GROWTH)
			units_add_duration(
				out, isnan(fig->recent_s) ? 0 : round(fig->recent_s) * 1e9);
		break;
	}
}

static void add_title(struct strbuf *out, const struct figures *fig, const struct site *site,
	size_t n_all, const struct view *view)
{
	struct table_style style = { .columns = view->columns };
	struct site copy = *site;
	struct sites one = { .sites = &copy, .n_sites = 1 };
	struct where_layout layout;
	uint32_t index = 0;

	strbuf_addf(out, " %zu stack%s of ", n_all, n_all == 1 ? "" : "s");
	copy.inlined_into = NULL;
	copy.from = NULL;
	copy.n_callers = 0;
	where_layout_init(&layout, &style, &one, &index, 1, strbuf_columns(out->data));
	where_add_text(out, &layout, &copy);
}

/* Splits text into lines and shows those from view->first on; returns how many there are. */
static size_t show_lines(struct screen_part *part, const struct view *view, const char *text)
{
	size_t n = 0, first = view->first, page = (size_t)part->n - 1;
	const char *p, *end;

	for (p = text; *p; p = end + 1, n++)
		end = strchr(p, '\n');
	if (first + page > n)
		first = n > page ? n - page : 0;
	for (p = text, n = 0; *p; p = end + 1, n++) {
		end = strchr(p, '\n');
		if (n >= first && n < first + page) {
			char *line = alloc_text(p, (size_t)(end - p));

			screen_set(part, (int)(n - first) + 1, SCREEN_PLAIN, line);
			free(line);
		}
	}
	return n;
}

size_t screen_add_stacks(struct screen_part *part, const struct figures *fig,
	const struct view *view, struct strbuf *summary)
{
	struct table_style style = { .columns = view->columns };
	const struct figures_row *row = view_selected(view, fig);
	struct strbuf text = { 0 }, title = { 0 };
	uint32_t stacks[STACKS_MAX];
	size_t i, n, n_all, n_lines;

	strbuf_add_text(summary, "Enter back");
	if (!row) {
		screen_set(part, 1, SCREEN_PLAIN, "  This site is not there any more.");
		return 0;
	}
	n = figures_best_stacks(fig, view->order, row, stacks, STACKS_MAX, &n_all);
	add_title(&title, fig, &fig->sites.sites[row->group], n_all, view);
	screen_set(part, 0, SCREEN_BOLD, title.data);
	for (i = 0; i < n; i++) {
		strbuf_add_text(&text, "   ");
		add_weight(&text, fig, view->order, stacks[i]);
		strbuf_add_char(&text, '\n');
		where_add_stack(&text, &style, &fig->frames, stacks[i], 5);
	}
	if (n_all > n)
		strbuf_addf(&text, "   (%zu more stacks)\n", n_all - n);
	n_lines = show_lines(part, view, text.data ? text.data : "");
	if (!n)
		screen_set(part, 1, SCREEN_PLAIN, "  None has a part in this figure.");
	if (n_lines > view_page(view)) {
		strbuf_add_text(summary, ", arrows scroll ");
		units_add_count(summary, n_lines);
		strbuf_add_text(summary, " lines");
	}
	strbuf_deinit(&text);
	strbuf_deinit(&title);
	return n_lines;
}
