/* paint.c - owns the escape sequences of a frame. Entering and leaving is terminal.c's. */
#include "analyzer/live/paint.h"

#include <string.h>

#define RESET "\033[0m"

static bool same_line(const struct screen_line *a, const struct screen_line *b)
{
	return a->look == b->look && a->mark == b->mark && a->text.bytes == b->text.bytes &&
	       (!a->text.bytes || !memcmp(a->text.data, b->text.data, a->text.bytes));
}

static const char *look_of(const struct screen_line *line, bool color)
{
	switch (line->look) {
	case SCREEN_BOLD:
		return "\033[1m";
	case SCREEN_DIM:
		return "\033[2m";
	case SCREEN_SELECTED:
		return "\033[7m";
	case SCREEN_WARNING:
		return color ? "\033[33m" : "\033[1m";
	case SCREEN_PLAIN:
		break;
	}
	return "";
}

static void add_line(
	struct strbuf *out, int row, const struct screen_line *line, int columns, bool color)
{
	struct table_style style = { .color = color };
	const char *text = line->text.data ? line->text.data : "";
	const char *look = look_of(line, color);
	int used = strbuf_columns(text);

	strbuf_addf(out, "\033[%d;1H%s", row + 1, look);
	/* The marker is the second character, and rows begin with two of one byte. */
	if (line->mark != TABLE_PLAIN && line->look == SCREEN_PLAIN && line->text.bytes > 2) {
		char marker[2] = { text[1], '\0' };

		strbuf_add(out, text, 1);
		table_add_colored(out, &style, line->mark, marker);
		strbuf_add_text(out, text + 2);
	} else {
		strbuf_add_text(out, text);
	}
	if (line->look == SCREEN_SELECTED)
		strbuf_pad(out, ' ', columns - used);
	if (look[0])
		strbuf_add_text(out, RESET);
	/* Behind a full line the cursor still stands on its last character. */
	if (used < columns && line->look != SCREEN_SELECTED)
		strbuf_add_text(out, "\033[K");
}

void paint_add(
	struct strbuf *out, const struct screen *now, const struct screen *before, bool color)
{
	int i;

	if (before && (before->columns != now->columns || before->n_lines != now->n_lines))
		before = NULL;
	if (before ? before->cursor_column >= 0 : now->cursor_column < 0)
		strbuf_add_text(out, before && now->cursor_column >= 0 ? "" : "\033[?25l");
	for (i = 0; i < now->n_lines; i++)
		if (!before || !same_line(&now->lines[i], &before->lines[i]))
			add_line(out, i, &now->lines[i], now->columns, color);
	if (now->cursor_column < 0)
		return;
	/* What was written has moved it. */
	if (out->bytes || !before || before->cursor_column != now->cursor_column)
		strbuf_addf(out, "\033[%d;%dH", now->n_lines, now->cursor_column + 1);
	if (!before || before->cursor_column < 0)
		strbuf_add_text(out, "\033[?25h");
}
