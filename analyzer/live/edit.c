/* edit.c - owns the editing of a line. What the line is for is view.c's. */
#include "analyzer/live/edit.h"

#include <stdio.h>
#include <string.h>

static bool inside(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void edit_begin(struct edit *edit, const char *text)
{
	snprintf(edit->text, sizeof(edit->text), "%s", text);
	edit->bytes = edit->cursor = strlen(edit->text);
}

static size_t left_of(const struct edit *edit, size_t at)
{
	if (at)
		at--;
	while (at && inside(edit->text[at]))
		at--;
	return at;
}

static size_t right_of(const struct edit *edit, size_t at)
{
	if (at < edit->bytes)
		at++;
	while (at < edit->bytes && inside(edit->text[at]))
		at++;
	return at;
}

static size_t word_left_of(const struct edit *edit, size_t at)
{
	while (at && edit->text[at - 1] == ' ')
		at--;
	while (at && edit->text[at - 1] != ' ')
		at--;
	return at;
}

static void erase(struct edit *edit, size_t from, size_t to)
{
	memmove(edit->text + from, edit->text + to, edit->bytes + 1 - to);
	edit->bytes -= to - from;
	edit->cursor = from;
}

static void insert(struct edit *edit, uint32_t code)
{
	char utf8[4];
	size_t n = 0;

	if (code < 0x80) {
		utf8[n++] = (char)code;
	} else {
		int shift = code < 0x800 ? 6 : code < 0x10000 ? 12 : 18;

		utf8[n++] = (char)(0xff << (7 - shift / 6) | (int)(code >> shift));
		while ((shift -= 6) >= 0)
			utf8[n++] = (char)(0x80 | (code >> shift & 0x3f));
	}
	if (edit->bytes + n >= sizeof(edit->text))
		return;
	memmove(edit->text + edit->cursor + n, edit->text + edit->cursor,
		edit->bytes + 1 - edit->cursor);
	memcpy(edit->text + edit->cursor, utf8, n);
	edit->bytes += n;
	edit->cursor += n;
}

static bool edit_character(struct edit *edit, uint32_t code)
{
	switch (code) {
	case KEYS_CTRL('A'):
		edit->cursor = 0;
		return true;
	case KEYS_CTRL('E'):
		edit->cursor = edit->bytes;
		return true;
	case KEYS_CTRL('U'):
		erase(edit, 0, edit->cursor);
		return true;
	case KEYS_CTRL('W'):
		erase(edit, word_left_of(edit, edit->cursor), edit->cursor);
		return true;
	}
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	insert(edit, code);
	return true;
}

bool edit_key(struct edit *edit, const struct key *key)
{
	switch (key->kind) {
	case KEY_CHARACTER:
		return edit_character(edit, key->code);
	case KEY_LEFT:
		edit->cursor = left_of(edit, edit->cursor);
		return true;
	case KEY_RIGHT:
		edit->cursor = right_of(edit, edit->cursor);
		return true;
	case KEY_HOME:
		edit->cursor = 0;
		return true;
	case KEY_END:
		edit->cursor = edit->bytes;
		return true;
	case KEY_BACKSPACE:
		erase(edit, left_of(edit, edit->cursor), edit->cursor);
		return true;
	case KEY_DELETE:
		erase(edit, edit->cursor, right_of(edit, edit->cursor));
		return true;
	default:
		return false;
	}
}
