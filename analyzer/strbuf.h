/*
 * strbuf.h - a growing byte string, and text made safe for a terminal.
 *
 * All zero is an empty one. data is NULL or NUL-terminated at bytes.
 */
#ifndef HEAPSPY_ANALYZER_STRBUF_H
#define HEAPSPY_ANALYZER_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
	char *data;
	size_t bytes;
	size_t capacity;
};

void strbuf_deinit(struct strbuf *b);

/* Empties b and keeps its memory. */
void strbuf_clear(struct strbuf *b);

void strbuf_add(struct strbuf *b, const char *text, size_t bytes);
void strbuf_add_text(struct strbuf *b, const char *text);
void strbuf_add_char(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *b, const char *format, va_list ap);

/* Adds c n times; n below 1 adds nothing. */
void strbuf_pad(struct strbuf *b, char c, int n);

/*
 * Adds text as a terminal may see it: control characters, bytes that are no
 * UTF-8 and characters that turn the writing direction come as \xNN.
 */
void strbuf_add_escaped(struct strbuf *b, const char *text, size_t bytes);

/*
 * Adds text as one word of a POSIX shell: as it is where that is safe, else in single quotes; with
 * characters that a terminal must not see as $'...', which bash, zsh and ksh know.
 */
void strbuf_add_shell_word(struct strbuf *b, const char *text);

/*
 * Decodes the UTF-8 character at text, bytes (at least 1) long at most.
 * Returns its length and sets *codep, or returns 0 when there is none.
 */
size_t strbuf_utf8_decode(const char *text, size_t bytes, uint32_t *codep);

/* Whether a character steers a terminal, or the direction of the text around it. Below 0x10000. */
bool strbuf_is_unsafe(uint32_t code);

/* Columns that UTF-8 text takes on a terminal, one a character. */
int strbuf_columns(const char *text);

#endif
