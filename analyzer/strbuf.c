/* strbuf.c - owns string building and escaping. Formats of figures are units.c's. */
#include "analyzer/strbuf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"

void strbuf_deinit(struct strbuf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void strbuf_clear(struct strbuf *b)
{
	b->bytes = 0;
	if (b->data)
		b->data[0] = '\0';
}

static void reserve(struct strbuf *b, size_t more)
{
	size_t capacity = b->capacity ? b->capacity : 64;

	while (capacity - b->bytes <= more)
		capacity *= 2;
	if (capacity != b->capacity)
		b->data = alloc_resize(b->data, capacity, 1);
	b->capacity = capacity;
}

void strbuf_add(struct strbuf *b, const char *text, size_t bytes)
{
	reserve(b, bytes);
	memcpy(b->data + b->bytes, text, bytes);
	b->bytes += bytes;
	b->data[b->bytes] = '\0';
}

void strbuf_add_text(struct strbuf *b, const char *text)
{
	strbuf_add(b, text, strlen(text));
}

void strbuf_add_char(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_vaddf(struct strbuf *b, const char *format, va_list ap)
{
	va_list again;
	int bytes;

	va_copy(again, ap);
	reserve(b, 0);
	bytes = vsnprintf(b->data + b->bytes, b->capacity - b->bytes, format, ap);
	if (bytes > 0 && (size_t)bytes >= b->capacity - b->bytes) {
		reserve(b, (size_t)bytes);
		vsnprintf(b->data + b->bytes, b->capacity - b->bytes, format, again);
	}
	va_end(again);
	if (bytes > 0)
		b->bytes += (size_t)bytes;
}

void strbuf_addf(struct strbuf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	strbuf_vaddf(b, format, ap);
	va_end(ap);
}

void strbuf_pad(struct strbuf *b, char c, int n)
{
	while (n-- > 0)
		strbuf_add_char(b, c);
}

size_t strbuf_utf8_decode(const char *text, size_t bytes, uint32_t *codep)
{
	const uint8_t *p = (const uint8_t *)text;
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i, n;
	uint32_t code;

	if (p[0] < 0x80) {
		*codep = p[0];
		return 1;
	}
	n = p[0] >= 0xf8 ? 0 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (n == 0 || n > bytes)
		return 0;
	code = p[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*codep = code;
	return n;
}

bool strbuf_is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void strbuf_add_escaped(struct strbuf *b, const char *text, size_t bytes)
{
	size_t i = 0;

	while (i < bytes) {
		uint32_t code = 0;
		size_t n = strbuf_utf8_decode(text + i, bytes - i, &code);

		if (n && !strbuf_is_unsafe(code)) {
			strbuf_add(b, text + i, n);
			i += n;
			continue;
		}
		for (n = n ? n : 1; n; n--)
			strbuf_addf(b, "\\x%02x", (uint8_t)text[i++]);
	}
}

int strbuf_columns(const char *text)
{
	int columns = 0;

	for (; *text; text++)
		columns += ((uint8_t)*text & 0xc0) != 0x80;
	return columns;
}

static bool has_unsafe(const char *text)
{
	size_t bytes = strlen(text), i, n;

	for (i = 0; i < bytes; i += n) {
		uint32_t code = 0;

		n = strbuf_utf8_decode(text + i, bytes - i, &code);
		if (!n || strbuf_is_unsafe(code))
			return true;
	}
	return false;
}

/* $'...', as bash, zsh and ksh have it: the same bytes again, and none that a terminal obeys. */
static void add_ansi_quoted(struct strbuf *b, const char *text)
{
	strbuf_add_text(b, "$'");
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		/* In octal, which ends after three digits whatever follows. */
		if (c < ' ' || c > '~' || c == '\'' || c == '\\')
			strbuf_addf(b, "\\%03o", c);
		else
			strbuf_add_char(b, (char)c);
	}
	strbuf_add_char(b, '\'');
}

void strbuf_add_shell_word(struct strbuf *b, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_./@:+,=-";

	if (*text && strspn(text, safe) == strlen(text)) {
		strbuf_add_text(b, text);
		return;
	}
	if (has_unsafe(text)) {
		add_ansi_quoted(b, text);
		return;
	}
	strbuf_add_char(b, '\'');
	for (; *text; text++) {
		/* Nothing is special between single quotes, and so a quote must stand outside. */
		if (*text == '\'')
			strbuf_add_text(b, "'\\''");
		else
			strbuf_add_char(b, *text);
	}
	strbuf_add_char(b, '\'');
}
