/*
 * name.c - owns the shortening of demangled names: one pass over the text, by
 * brackets and a few words, no grammar. Which functions to hide is left to
 * fold.c, making names fit a column to the printing code.
 *
 * The output never grows beyond the input: everything written is a copy of
 * something read, and "<>" stands for at least "<" and ">".
 */
#include "analyzer/symbols/name.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/name_piece.h"

struct shortener {
	char *out;
	size_t length;
	bool template_marks; /* write <> for template arguments */
	struct name_part parts[NAME_PARTS_MAX];
	size_t n_parts;
};

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void put(struct shortener *to, const char *from, size_t n)
{
	memcpy(to->out + to->length, from, n);
	to->length += n;
}

static bool ends_with(const struct shortener *to, const char *suffix)
{
	size_t n = strlen(suffix);

	return to->length >= n && memcmp(to->out + to->length - n, suffix, n) == 0;
}

/* Notes that the bracket at p, up to end, belongs at the end of what is written so far. */
static void leave_out(struct shortener *to, const char *p, const char *end)
{
	if (to->n_parts < NAME_PARTS_MAX)
		to->parts[to->n_parts++] = (struct name_part){ to->length, p, (size_t)(end - p) };
	if (*p == '<' && to->template_marks)
		put(to, "<>", 2);
}

/* Template arguments: p is at '<'. */
static const char *skip_template(struct shortener *to, const char *p)
{
	const char *end = name_piece_behind(p);

	if (!end) {
		put(to, p, strlen(p));
		return p + strlen(p);
	}
	leave_out(to, p, end);
	return end;
}

/* "{lambda(int)#1}": p is at '{'. Everything but parameters and template arguments is copied. */
static const char *copy_braces(struct shortener *to, const char *p)
{
	const char *end = name_piece_behind(p);

	if (!end)
		end = p + strlen(p);
	while (p < end) {
		const char *behind = *p == '(' || *p == '<' ? name_piece_behind(p) : NULL;

		if (behind && behind <= end) {
			leave_out(to, p, behind);
			p = behind;
			continue;
		}
		put(to, p++, 1);
	}
	return end;
}

/*
 * A parameter, a primitive type or a slice is nobody's in particular: then the
 * trait tells whose function it is. Returns p, or the byte before the trait.
 */
static const char *skip_pathless_type(const char *p, const char *end)
{
	const char *as = strstr(p, " as ");

	if (!as || as >= end || memmem(p, (size_t)(as - p), "::", 2))
		return p;
	return as + strlen(" as ") - 1;
}

/* Rust's "<Type as Trait>" at the start of a name: p is at '<'. */
static const char *copy_rust_type(struct shortener *to, const char *p)
{
	const char *end = name_piece_behind(p);

	if (!end) {
		put(to, p, strlen(p));
		return p + strlen(p);
	}
	if (to->template_marks)
		put(to, p, 1);
	else
		p = skip_pathless_type(p, end);
	for (p++; p < end - 1;) {
		if (!to->template_marks && starts_with(p, " as "))
			return end;
		if (*p == '<') {
			const char *behind = name_piece_behind(p);

			if (behind && behind < end) {
				p = skip_template(to, p);
				continue;
			}
		}
		put(to, p++, 1);
	}
	if (to->template_marks)
		put(to, p, 1);
	return end;
}

/* p is behind the word "operator"; copies what makes up the operator's name. */
static const char *copy_operator(struct shortener *to, const char *p)
{
	static const char *const signs[] = { "()", "[]", "<=>", "<<=", ">>=", "->*", "<<", ">>",
		"<=", ">=", "->", "==", "!=", "&&", "||", "++", "--",
		"+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", "<", ">", "=", "!", "+", "-", "*",
		"/", "%", "^", "&", "|", "~", "," };

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (!starts_with(p, signs[i]))
			continue;
		put(to, p, strlen(signs[i]));
		p += strlen(signs[i]);
		/* A space keeps "operator< <int>" apart from "operator<<". */
		if (!starts_with(p, " <"))
			return p;
		if (to->template_marks)
			put(to, p, 1);
		return p + 1;
	}
	/* new, delete[], co_await, "" _x, or a type to convert to: up to the parameters. */
	while (*p && *p != '(') {
		if (starts_with(p, " [clone ") || starts_with(p, "[abi:"))
			break;
		if (*p == '<') {
			p = skip_template(to, p);
			continue;
		}
		put(to, p++, 1);
	}
	return p;
}

/* Behind a parameter list: skips " const" and its kind. */
static const char *skip_qualifiers(const char *p)
{
	static const char *const words[] = { " const", " volatile", " &&", " &", " noexcept",
		" restrict" };
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (starts_with(p, words[i])) {
				p += strlen(words[i]);
				more = true;
			}
		}
	}
	return p;
}

/* p is at '('. Returns where to go on, or the end of the name. */
static const char *handle_parenthesis(struct shortener *to, const char *p)
{
	const char *behind = name_piece_behind(p);
	const char *end = behind ? behind : p + strlen(p);
	const char *after;

	/* Go's "main.(*Server).Run" has its receiver in there. */
	if (starts_with(p, "(anonymous namespace)") || ends_with(to, ".")) {
		put(to, p, (size_t)(end - p));
		return end;
	}
	/* The return type decltype(...), and the space before the name proper. */
	if (ends_with(to, "decltype"))
		return end;
	if (behind)
		leave_out(to, p, end);
	after = skip_qualifiers(end);
	return starts_with(after, "::") ? after : after + strlen(after);
}

size_t name_without_clone(const char *name, size_t length)
{
	static const char *const marks[] = { "constprop", "isra", "part", "cold", "lto_priv",
		"llvm", "localalias", "clone", "unlikely", "warm", "ipa_cp", "simdclone" };

	for (;;) {
		size_t dot = length, n;
		bool known = false;

		while (dot > 0 && name[dot - 1] != '.')
			dot--;
		if (dot <= 1)
			return length;
		n = length - dot;
		for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
			known |= n == strlen(marks[i]) && memcmp(name + dot, marks[i], n) == 0;
		if (!known && (n == 0 || strspn(name + dot, "0123456789") < n))
			return length;
		length = dot - 1;
	}
}

static const char *skip_inline_namespace(const struct shortener *to, const char *p)
{
	static const char *const names[] = { "__cxx11::", "__1::", "__ndk1::" };

	if (!ends_with(to, "std::") || (to->length > 5 && is_word(to->out[to->length - 6])))
		return p;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (starts_with(p, names[i]))
			return p + strlen(names[i]);
	}
	return p;
}

static void shorten(struct shortener *to, const char *full)
{
	const char *p = full;

	if (*p == '<')
		p = copy_rust_type(to, p);
	while (*p) {
		bool at_word = p == full || !is_word(p[-1]);

		if (at_word && starts_with(p, "operator") && !is_word(p[strlen("operator")])) {
			put(to, p, strlen("operator"));
			p = copy_operator(to, p + strlen("operator"));
		} else if (*p == '<') {
			p = skip_template(to, p);
		} else if (*p == '(') {
			p = handle_parenthesis(to, p);
		} else if (*p == '{') {
			p = copy_braces(to, p);
		} else if (*p == '[') {
			const char *end = name_piece_behind(p);

			if (!end)
				end = p + strlen(p);
			if (!starts_with(p, "[abi:"))
				put(to, p, (size_t)(end - p));
			p = end;
		} else if (starts_with(p, " [clone ")) {
			break;
		} else if (*p == ' ') {
			/* What came so far is a return type, or "virtual thunk to". */
			to->length = to->n_parts = 0;
			p++;
		} else {
			const char *behind = at_word ? skip_inline_namespace(to, p) : p;

			if (behind == p)
				put(to, p++, 1);
			p = behind > p ? behind : p;
		}
	}
	to->length = name_without_clone(to->out, to->length);
}

/* "LazyCompile:*grow server.js:12:3": a word of the run time's, and a name in its own style. */
static bool is_of_runtime(const char *full)
{
	const char *p = full;

	while (is_word(*p))
		p++;
	return p > full && p[0] == ':' && p[1] && p[1] != ':';
}

/* The result is in to->out, from malloc; NULL when out of memory. */
static char *make(struct shortener *to, const char *full)
{
	to->out = malloc(strlen(full) + 1);
	if (!to->out)
		return NULL;
	if (!is_of_runtime(full))
		shorten(to, full);
	if (to->length == 0) {
		put(to, full, strlen(full));
		to->n_parts = 0;
	}
	to->out[to->length] = '\0';
	return to->out;
}

char *name_shorten(const char *full)
{
	struct shortener to = { .template_marks = true };

	return make(&to, full);
}

char *name_shorten_parts(const char *full, struct name_part parts[NAME_PARTS_MAX], size_t *n_partsp)
{
	struct shortener to = { .template_marks = true };
	char *name = make(&to, full);

	/* A mark of a clone may have been cut off behind them. */
	while (to.n_parts && to.parts[to.n_parts - 1].at > to.length)
		to.n_parts--;
	memcpy(parts, to.parts, sizeof(to.parts));
	*n_partsp = to.n_parts;
	return name;
}

char *name_identity(const char *full)
{
	struct shortener to = { .template_marks = false };

	return make(&to, full);
}
