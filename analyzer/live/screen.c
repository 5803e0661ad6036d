/*
 * screen.c - owns the arrangement of a screen, its rule, its keys and its help. The
 * header is screen_header.c's, rows are screen_table.c's, stacks screen_stacks.c's.
 */
#include "analyzer/live/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/units.h"

/* A span of growth that is this much off a minute is said. */
#define SPAN_TOLERANCE .15

/* None wider than the narrowest screen that this is made for. */
static const char *const help_lines[] = {
	"l  g  a  d    order: live, growth, allocations, since mark",
	"m             mark now; before, the start of watching is it",
	"/             filter: functions or files like RE; Esc ends it",
	"arrows  j k   select a row, also PgUp PgDn Home End; Esc",
	"Enter         stacks of the selected row, and back",
	"w             write a snapshot file of this moment",
	"p             pause: the figures stand still",
	"q             quit; Ctrl-Z suspends, Ctrl-L paints anew",
	"",
	"Rows are by the lower end of the 95 % range, which holds for",
	"one look: of many, some show growth by chance.",
	"+/min and alloc/s are means over the last minute, or since",
	"the start. + grew, - shrank, ~ within noise; blank: nothing",
	"was seen to move.",
};
#define N_HELP_LINES (sizeof(help_lines) / sizeof(help_lines[0]))

/* From the longest to the shortest that says all that matters. */
static const char *const key_lines[] = {
	"l live  g growth  a alloc/s  |  m mark  d since mark  |  / filter  Enter stacks  "
	"w write snapshot  p pause  ? help  q quit",
	"l live  g growth  a alloc/s  |  m mark  d since mark  |  / filter  Enter stacks  p pause  "
	"? help",
	"l live g growth a alloc/s | m mark d since | / filter Enter stacks ? help q quit",
	"l live g growth a alloc d marked | / filter | ? help q quit",
	"l g a d order  / filter  ? help  q quit",
	"? help  q quit",
};
#define N_KEY_LINES (sizeof(key_lines) / sizeof(key_lines[0]))

/* Bytes of text that fill at most columns. */
static size_t fitting(const char *text, int columns)
{
	const char *p = text;

	for (; *p; p++)
		if (((unsigned char)*p & 0xc0) != 0x80 && columns-- == 0)
			break;
	return (size_t)(p - text);
}

void screen_set(struct screen_part *part, int i, enum screen_look look, const char *text)
{
	struct screen_line *line;

	if (i < 0 || i >= part->n)
		return;
	line = &part->lines[i];
	strbuf_clear(&line->text);
	strbuf_add(&line->text, text, fitting(text, part->columns));
	while (line->text.bytes && line->text.data[line->text.bytes - 1] == ' ')
		line->text.data[--line->text.bytes] = '\0';
	line->look = look;
	line->mark = TABLE_PLAIN;
}

/* Adds a part of the rule, between dashes. */
static void add_to_rule(struct strbuf *rule, int columns, const struct strbuf *words)
{
	int used = rule->data ? strbuf_columns(rule->data) : 0;

	if (!words->bytes || used + strbuf_columns(words->data) + 4 > columns)
		return;
	strbuf_addf(rule, "-- %s ", words->data);
}

static void add_filter(struct strbuf *words, const struct figures *fig, const struct view *view)
{
	if (!view->filter)
		return;
	strbuf_add_char(words, '/');
	strbuf_add_escaped(words, view->filter, strlen(view->filter));
	strbuf_add_char(words, '/');
	if (!fig->has_sites)
		return;
	strbuf_add_text(words, ": ");
	units_add_count(words, fig->sites.n_sites);
	strbuf_add_text(words, " of ");
	units_add_count(words, fig->sites.n_all);
	strbuf_add_text(words, fig->sites.n_all == 1 ? " site" : " sites");
}

/* Tenths where a refresh would not show otherwise. */
static void add_span(struct strbuf *words, double seconds)
{
	units_add_duration(words, seconds < 10 ? round(seconds * 10) * 1e8 : round(seconds) * 1e9);
}

static void add_spans(struct strbuf *words, const struct figures *fig)
{
	if (!isnan(fig->recent_s) && fabs(fig->recent_s - 60) > 60 * SPAN_TOLERANCE) {
		strbuf_add_text(words, "growth over ");
		add_span(words, fig->recent_s);
	}
	if (isnan(fig->mark_s) || (!fig->is_marked && fig->mark == fig->recent))
		return;
	strbuf_add_text(words, words->bytes ? ", " : "");
	strbuf_add_text(words, fig->is_marked    ? "mark "
			       : fig->from_files ? "first snapshot "
						 : "watched for ");
	add_span(words, fig->mark_s);
	strbuf_add_text(words, fig->is_marked || fig->from_files ? " ago" : "");
}

static void set_rule(struct screen_part *part, int i, const struct figures *fig,
	const struct view *view, const struct strbuf *summary)
{
	struct strbuf rule = { 0 }, words = { 0 };

	add_to_rule(&rule, part->columns, summary);
	if (fig) {
		add_filter(&words, fig, view);
		add_to_rule(&rule, part->columns, &words);
		strbuf_clear(&words);
		add_spans(&words, fig);
		add_to_rule(&rule, part->columns, &words);
	}
	strbuf_pad(&rule, '-', part->columns - (rule.data ? strbuf_columns(rule.data) : 0));
	screen_set(part, i, SCREEN_PLAIN, rule.data ? rule.data : "");
	strbuf_deinit(&rule);
	strbuf_deinit(&words);
}

/* The filter as it is typed, scrolled so that the cursor is on the screen. */
static void set_edit(struct screen_part *part, struct screen *screen, const struct view *view)
{
	static const char prompt[] = "filter /";
	struct strbuf before = { 0 }, text = { 0 };
	int columns, skip;
	size_t from;

	strbuf_add(&before, view->edit.text, view->edit.cursor);
	columns = (int)strlen(prompt) + strbuf_columns(before.data);
	skip = columns >= part->columns ? columns - part->columns + 1 : 0;
	from = fitting(view->edit.text, skip);
	strbuf_add_text(&text, prompt);
	strbuf_add_text(&text, view->edit.text + from);
	screen_set(part, part->n - 1, SCREEN_PLAIN, text.data);
	screen->cursor_column = columns - skip;
	strbuf_deinit(&before);
	strbuf_deinit(&text);
}

static void set_keys(struct screen_part *part, struct screen *screen, const struct view *view)
{
	size_t i = 0;

	if (view->editing && !view->message[0]) {
		set_edit(part, screen, view);
		return;
	}
	if (view->message[0]) {
		struct strbuf text = { 0 };

		strbuf_add_escaped(&text, view->message, strlen(view->message));
		screen_set(part, part->n - 1, SCREEN_WARNING, text.data);
		strbuf_deinit(&text);
		return;
	}
	while (i + 1 < N_KEY_LINES && (int)strlen(key_lines[i]) > part->columns)
		i++;
	screen_set(part, part->n - 1, SCREEN_PLAIN, key_lines[i]);
}

static void add_help(struct screen_part *part, const struct view *view, struct strbuf *summary)
{
	int i;

	screen_set(part, 0, SCREEN_BOLD, "help");
	for (i = 1; i < part->n && view->first + (size_t)i <= N_HELP_LINES; i++)
		screen_set(part, i, SCREEN_PLAIN, help_lines[view->first + (size_t)i - 1]);
	if (view->first + (size_t)part->n - 1 < N_HELP_LINES)
		strbuf_add_text(summary, "more below");
	else
		strbuf_add_text(summary, "? back");
}

/* Why there are no rows, word-wrapped. */
static void add_reason(struct screen_part *part, const char *reason)
{
	struct strbuf text = { 0 };
	const char *p;
	int i = 1;

	strbuf_add_escaped(&text, reason, strlen(reason));
	for (p = text.data; *p; i++) {
		size_t n = fitting(p, part->columns - 2), end = n;
		struct strbuf line = { 0 };

		while (p[n] && end && p[end] != ' ')
			end--;
		if (p[n] && end)
			n = end;
		strbuf_add_text(&line, "  ");
		strbuf_add(&line, p, n);
		screen_set(part, i, SCREEN_PLAIN, line.data);
		strbuf_deinit(&line);
		p += n;
		p += strspn(p, " ");
	}
	strbuf_deinit(&text);
}

static void add_body(struct screen_part *part, struct screen *screen, const struct figures *fig,
	const struct view *view, struct strbuf *summary)
{
	if (view->mode == VIEW_HELP) {
		add_help(part, view, summary);
		screen->n_scroll = N_HELP_LINES;
	} else if (!fig) {
		screen_set(part, 1, SCREEN_PLAIN, "  reading the process and its symbols ...");
	} else if (!fig->has_sites) {
		add_reason(part, fig->no_sites.text);
	} else if (view->mode == VIEW_STACKS) {
		screen->n_scroll = screen_add_stacks(part, fig, view, summary);
	} else {
		screen_add_table(part, fig, view, summary);
	}
}

void screen_init(struct screen *screen, const struct figures *fig, const struct view *view)
{
	int lines = view->lines, body = lines - VIEW_HEADER_LINES - VIEW_FOOTER_LINES;
	struct strbuf summary = { 0 };
	struct screen_part part;

	memset(screen, 0, sizeof(*screen));
	screen->lines = alloc_array((size_t)lines, sizeof(*screen->lines));
	screen->n_lines = lines;
	screen->columns = view->columns;
	screen->cursor_column = -1;
	part = (struct screen_part){ screen->lines, lines, view->columns };
	screen_add_header(&part, fig, view);
	if (body > 0) {
		part = (struct screen_part){ screen->lines + VIEW_HEADER_LINES, body,
			view->columns };
		add_body(&part, screen, fig, view, &summary);
	}
	part = (struct screen_part){ screen->lines, lines, view->columns };
	if (lines > VIEW_HEADER_LINES + VIEW_FOOTER_LINES)
		set_rule(&part, lines - 2, fig, view, &summary);
	if (lines > 1)
		set_keys(&part, screen, view);
	strbuf_deinit(&summary);
}

void screen_deinit(struct screen *screen)
{
	int i;

	for (i = 0; i < screen->n_lines; i++)
		strbuf_deinit(&screen->lines[i].text);
	free(screen->lines);
	memset(screen, 0, sizeof(*screen));
}
