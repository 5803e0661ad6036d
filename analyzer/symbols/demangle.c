/*
 * demangle.c - owns the use of libiberty, and the limits that a hostile name
 * needs. Remembering the result is left to intern.c.
 */
#include "analyzer/symbols/demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/intern.h"

/*
 * Substitutions let a name of n bytes stand for 2^n bytes of text, and the
 * printer cannot be stopped through its return value. It keeps its state on
 * the stack, so leaving it by longjmp loses nothing (a few bytes of a Rust
 * punycode identifier at worst).
 */
enum { MANGLED_MAX_BYTES = 32 * 1024, TEXT_MAX_BYTES = 64 * 1024 };

struct text {
	jmp_buf too_long;
	size_t length;
	char bytes[TEXT_MAX_BYTES];
};

static void append(const char *piece, size_t piece_bytes, void *opaque)
{
	struct text *text = opaque;

	if (piece_bytes >= sizeof(text->bytes) - text->length)
		longjmp(text->too_long, 1);
	/* An empty piece may have no address. */
	if (piece_bytes)
		memcpy(text->bytes + text->length, piece, piece_bytes);
	text->length += piece_bytes;
}

/*
 * D's demangler cannot be stopped at all. Each back reference repeats at most
 * what came before it, so their number and the length bound its output.
 */
enum { D_MAX_BYTES = 1024, D_MAX_REFERENCES = 12 };

static bool is_d(const char *name)
{
	return name[0] == '_' && name[1] == 'D' &&
	       ((name[2] >= '0' && name[2] <= '9') || strcmp(name, "_Dmain") == 0);
}

bool demangle_is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R' || is_d(name));
}

/* From malloc, or NULL. */
static char *demangle_d(const char *name)
{
	unsigned n_references = 0;

	for (const char *p = name; *p; p++) {
		n_references += *p == 'Q';
		if (p - name > D_MAX_BYTES || n_references > D_MAX_REFERENCES)
			return NULL;
	}
	return dlang_demangle(name, DMGL_PARAMS | DMGL_DLANG);
}

static const char *name_of_d(struct intern *pool, const char *name)
{
	char *text = demangle_d(name);
	const char *result = text && text[0] ? intern_string(pool, text) : NULL;

	free(text);
	return result ? result : name;
}

/* True with the text in text->bytes, terminated. */
static bool print(const char *name, struct text *text)
{
	const int options = DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP;
	bool ok;

	if (setjmp(text->too_long) != 0)
		return false;
	/* Rust first: its older scheme is also valid C++ with a hash at the end. */
	text->length = 0;
	ok = rust_demangle_callback(name, options, append, text);
	if (!ok) {
		text->length = 0;
		ok = cplus_demangle_v3_callback(name, options, append, text);
	}
	text->bytes[text->length] = '\0';
	return ok && text->length > 0;
}

const char *demangle_name(struct intern *pool, const char *name)
{
	struct interned *entry = intern_entry(pool, name);
	struct text *text;

	if (!entry)
		return NULL;
	if (entry->demangled)
		return entry->demangled;
	entry->demangled = entry->text;
	if (!demangle_is_mangled(name) || strlen(name) > MANGLED_MAX_BYTES)
		return entry->demangled;
	if (is_d(name))
		return entry->demangled = name_of_d(pool, entry->text);
	text = malloc(sizeof(*text));
	if (!text)
		return entry->demangled;
	if (print(entry->text, text)) {
		const char *demangled = intern_string(pool, text->bytes);

		if (demangled)
			entry->demangled = demangled;
	}
	free(text);
	return entry->demangled;
}
