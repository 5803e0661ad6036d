/* fail.c - owns how an error value is made and shown. What an error says is its caller's. */
#include "analyzer/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/strbuf.h"

int fail_set(struct fail *f, int exit_code, const char *format, ...)
{
	va_list ap;

	f->exit_code = exit_code;
	va_start(ap, format);
	vsnprintf(f->text, sizeof(f->text), format, ap);
	va_end(ap);
	return -1;
}

static bool use_color;

void fail_use_color(bool color)
{
	use_color = color;
}

static void print_lines(const char *text, bool color)
{
	struct strbuf out = { 0 };
	const char *line = text;

	for (;;) {
		const char *end = strchrnul(line, '\n');

		strbuf_add_text(&out, color ? "\033[33mheapspy: " : "heapspy: ");
		strbuf_add_escaped(&out, line, (size_t)(end - line));
		if (color)
			strbuf_add_text(&out, "\033[0m");
		strbuf_add_char(&out, '\n');
		if (!*end)
			break;
		line = end + 1;
		if (!*line) /* a newline at the end opens no line */
			break;
	}
	fwrite(out.data, 1, out.bytes, stderr);
	strbuf_deinit(&out);
}

int fail_print(const struct fail *f)
{
	print_lines(f->text, use_color);
	return f->exit_code;
}

void fail_warn(const char *format, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	print_lines(text, use_color);
}

void fail_say(const char *text)
{
	print_lines(text, false);
}
