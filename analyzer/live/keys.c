/* keys.c - owns the decoding of keys. What a key does is view.c's and edit.c's. */
#include "analyzer/live/keys.h"

#include <string.h>

#include "analyzer/strbuf.h"

#define ESC 0x1b

void keys_add(struct keys *keys, const char *bytes, size_t n)
{
	if (n > sizeof(keys->bytes) - keys->n)
		n = sizeof(keys->bytes) - keys->n;
	memcpy(keys->bytes + keys->n, bytes, n);
	keys->n += n;
}

/* The key of a sequence that ends in `last`; number is the one before "~". */
static enum key_kind sequence_key(char last, int number)
{
	static const enum key_kind numbered[] = { KEY_UNKNOWN, KEY_HOME, KEY_UNKNOWN, KEY_DELETE,
		KEY_END, KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_HOME, KEY_END };

	switch (last) {
	case 'A':
		return KEY_UP;
	case 'B':
		return KEY_DOWN;
	case 'C':
		return KEY_RIGHT;
	case 'D':
		return KEY_LEFT;
	case 'H':
		return KEY_HOME;
	case 'F':
		return KEY_END;
	case '~':
		return number >= 0 && number < (int)(sizeof(numbered) / sizeof(numbered[0]))
			       ? numbered[number]
			       : KEY_UNKNOWN;
	}
	return KEY_UNKNOWN;
}

/* Length of the sequence at ESC, 0 while its end is missing. */
static size_t decode_sequence(const char *p, size_t n, struct key *key)
{
	int number = 0;
	size_t i;

	if (n < 2)
		return 0;
	key->kind = KEY_UNKNOWN;
	if (p[1] == 'O') {
		if (n < 3)
			return 0;
		key->kind = sequence_key(p[2], 0);
		return 3;
	}
	if (p[1] != '[') {
		/* ESC and a key at once: Alt, or a fast hand. The key follows by itself. */
		key->kind = KEY_ESCAPE;
		return 1;
	}
	for (i = 2; i < n; i++) {
		/* Parameters, and what stands between them and the end. */
		if (p[i] >= '0' && p[i] <= '9' && number < 100)
			number = 10 * number + (p[i] - '0');
		if (p[i] >= 0x20 && p[i] < 0x40)
			continue;
		key->kind = sequence_key(p[i], number);
		return i + 1;
	}
	return 0;
}

static size_t decode(const char *p, size_t n, bool all_is_there, struct key *key)
{
	size_t bytes;

	key->code = 0;
	switch (p[0]) {
	case '\r':
	case '\n':
		key->kind = KEY_ENTER;
		return 1;
	case 0x7f:
	case 0x08:
		key->kind = KEY_BACKSPACE;
		return 1;
	case ESC:
		bytes = decode_sequence(p, n, key);
		if (bytes || !all_is_there)
			return bytes;
		/* A sequence that breaks off is no Escape. */
		key->kind = n == 1 ? KEY_ESCAPE : KEY_UNKNOWN;
		return n;
	}
	key->kind = KEY_CHARACTER;
	bytes = strbuf_utf8_decode(p, n, &key->code);
	if (bytes)
		return bytes;
	if ((unsigned char)p[0] >= 0xc2 && (unsigned char)p[0] <= 0xf4 && n < 4 && !all_is_there)
		return 0;
	key->kind = KEY_UNKNOWN;
	return 1;
}

bool keys_next(struct keys *keys, bool all_is_there, struct key *key)
{
	size_t bytes;

	if (!keys->n)
		return false;
	/* A full buffer will never hold the end of what it begins with. */
	bytes = decode(keys->bytes, keys->n, all_is_there || keys->n == sizeof(keys->bytes), key);
	if (!bytes)
		return false;
	keys->n -= bytes;
	memmove(keys->bytes, keys->bytes + bytes, keys->n);
	return true;
}
