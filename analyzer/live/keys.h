/*
 * keys.h - bytes from a terminal to keys. Takes the sequences of xterm and its kin,
 * in normal and application mode.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_KEYS_H
#define HEAPSPY_ANALYZER_LIVE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_kind {
	KEY_CHARACTER, /* code is the character; control characters but those below too */
	KEY_UP,
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_HOME,
	KEY_END,
	KEY_DELETE,
	KEY_BACKSPACE,
	KEY_ENTER,
	KEY_ESCAPE,
	KEY_UNKNOWN, /* a sequence that means nothing here */
};

struct key {
	enum key_kind kind;
	uint32_t code;
};

#define KEYS_CTRL(letter) ((letter)&0x1f)

struct keys {
	char bytes[128];
	size_t n;
};

/* Adds what was read; what finds no room is dropped. */
void keys_add(struct keys *keys, const char *bytes, size_t n);

/*
 * Takes the next key out. all_is_there: no more bytes follow at once, so that a lone
 * ESC is the Escape key and not the start of a sequence. Returns false when there is no key, or
 * the bytes so far are the start of one.
 */
bool keys_next(struct keys *keys, bool all_is_there, struct key *key);

#endif
