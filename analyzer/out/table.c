/* table.c - owns columns, cutting and colour of text output. Its words are the other files' of
 * out/. */
#include "analyzer/out/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "analyzer/alloc.h"

#define COLUMNS_PIPED 120
#define COLUMNS_MIN   60

void table_init(struct table *t, const char *align)
{
	memset(t, 0, sizeof(*t));
	t->align = align;
	t->n_columns = strlen(align);
	t->widths = alloc_array(t->n_columns, sizeof(*t->widths));
}

void table_deinit(struct table *t)
{
	size_t i;

	for (i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->widths);
	memset(t, 0, sizeof(*t));
}

void table_add(struct table *t, const char *text)
{
	size_t column = t->n_cells % t->n_columns;
	int columns = strbuf_columns(text);

	t->cells = alloc_room(t->cells, t->n_cells, &t->capacity, sizeof(*t->cells));
	t->cells[t->n_cells++] = alloc_text(text, strlen(text));
	if (columns > t->widths[column])
		t->widths[column] = columns;
}

void table_add_buffer(struct table *t, struct strbuf *b)
{
	table_add(t, b->data ? b->data : "");
	strbuf_clear(b);
}

void table_set_last(struct table *t, size_t row, struct strbuf *b)
{
	char **cell = &t->cells[row * t->n_columns + t->n_columns - 1];

	free(*cell);
	*cell = alloc_text(b->data ? b->data : "", b->bytes);
	strbuf_clear(b);
}

void table_add_colored(struct strbuf *out, const struct table_style *style, enum table_color color,
	const char *text)
{
	static const char *const codes[] = { "", "\033[1;31m", "\033[32m", "\033[2m" };

	if (!style->color || color == TABLE_PLAIN) {
		strbuf_add_text(out, text);
		return;
	}
	strbuf_addf(out, "%s%s\033[0m", codes[color], text);
}

void table_render(const struct table *t, size_t row, int indent, const struct table_style *style,
	enum table_color color, struct strbuf *out)
{
	size_t column;

	strbuf_pad(out, ' ', indent);
	for (column = 0; column < t->n_columns; column++) {
		const char *text = t->cells[row * t->n_columns + column];
		int pad = t->widths[column] - strbuf_columns(text);

		if (column)
			strbuf_add_text(out, "  ");
		if (t->align[column] == 'r')
			strbuf_pad(out, ' ', pad);
		table_add_colored(out, style, column ? TABLE_PLAIN : color, text);
		if (t->align[column] == 'l' && column + 1 < t->n_columns)
			strbuf_pad(out, ' ', pad);
	}
	while (out->bytes && out->data[out->bytes - 1] == ' ')
		out->data[--out->bytes] = '\0';
	strbuf_add_char(out, '\n');
}

int table_left_columns(const struct table *t, int indent)
{
	int columns = indent;
	size_t i;

	for (i = 0; i + 1 < t->n_columns; i++)
		columns += t->widths[i] + 2;
	return columns;
}

/* Bytes of the first n characters of UTF-8 text. */
static size_t bytes_of(const char *text, int n)
{
	const char *p = text;

	while (*p && (n > 0 || ((unsigned char)*p & 0xc0) == 0x80)) {
		n -= ((unsigned char)*p & 0xc0) != 0x80;
		p++;
		if (n == 0 && ((unsigned char)*p & 0xc0) != 0x80)
			break;
	}
	return (size_t)(p - text);
}

void table_add_cut(struct strbuf *out, const char *text, int columns)
{
	struct strbuf safe = { 0 };
	int have, front;

	strbuf_add_escaped(&safe, text, strlen(text));
	have = safe.data ? strbuf_columns(safe.data) : 0;
	if (columns < 8)
		columns = 8;
	if (have <= columns) {
		strbuf_add(out, safe.data ? safe.data : "", safe.bytes);
	} else {
		/* The end of a name tells more than its scopes. */
		front = (columns - 3) / 3;
		strbuf_add(out, safe.data, bytes_of(safe.data, front));
		strbuf_add_text(out, "...");
		strbuf_add_text(out, safe.data + bytes_of(safe.data, have - (columns - 3 - front)));
	}
	strbuf_deinit(&safe);
}

struct table_style table_style_of(int fd, const char *color_mode)
{
	struct table_style style = { .columns = COLUMNS_PIPED };
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool terminal = isatty(fd);
	struct winsize size;

	if (terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col)
		style.columns = size.ws_col > COLUMNS_MIN ? size.ws_col : COLUMNS_MIN;
	style.color = !strcmp(color_mode, "always") ||
		      (!strcmp(color_mode, "auto") && terminal && !(no_color && *no_color) &&
			      !(term && !strcmp(term, "dumb")));
	return style;
}
