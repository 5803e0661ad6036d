/* budget_lines.c - owns the lines of a budget file: their words, and what is wrong with them. */
#include "analyzer/check/budget.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/check/pattern.h"
#include "analyzer/strbuf.h"
#include "analyzer/suggest.h"

#define WORDS_MAX       5 /* of a line; none takes more than four */
#define QUOTED_MAX      60
#define WORDS_OF_BUDGET "total, peak, site, growth, no-leaks and ignore"

/* A word of a line, its quotes taken off. */
struct word {
	char *text;
	unsigned column;
};

struct parser {
	struct budget *budget;
	struct budget_errors *errors;
	unsigned line;
	struct word words[WORDS_MAX];
	size_t n_words; /* of the line; those beyond WORDS_MAX only count */
};

static void complain(struct parser *p, unsigned column, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void complain(struct parser *p, unsigned column, const char *format, ...)
{
	struct budget_error *e;
	va_list ap;

	if (p->errors->n++ >= BUDGET_ERRORS_MAX)
		return;
	e = &p->errors->first[p->errors->n - 1];
	e->line = p->line;
	e->column = column;
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
}

/* A word in quotes for an error, cut between characters. */
static const char *quote(const char *text)
{
	static char quoted[QUOTED_MAX + 8];
	size_t bytes = strlen(text);

	if (bytes > QUOTED_MAX)
		for (bytes = QUOTED_MAX; ((unsigned char)text[bytes] & 0xc0) == 0x80; bytes--)
			;
	snprintf(quoted, sizeof(quoted), "'%.*s%s'", (int)bytes, text, text[bytes] ? "..." : "");
	return quoted;
}

/* Takes the word that begins at *atp, before end. Returns false when its quotes do not close. */
static bool take_word(struct parser *p, const char **atp, const char *end, unsigned *columnp)
{
	struct word word = { .column = *columnp };
	struct strbuf text = { 0 };
	const char *at = *atp;

	if (*at == '"') {
		for (at++; at < end && *at != '"'; at++) {
			if (*at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\')) {
				at++;
				(*columnp)++;
			}
			strbuf_add_char(&text, *at);
			*columnp += ((unsigned char)*at & 0xc0) != 0x80;
		}
		*columnp += 2;
		if (at == end) {
			complain(p, word.column,
				"the quote that opens here does not close in this line");
			strbuf_deinit(&text);
			return false;
		}
		at++;
	} else {
		for (; at < end && *at != ' ' && *at != '\t'; at++) {
			strbuf_add_char(&text, *at);
			*columnp += ((unsigned char)*at & 0xc0) != 0x80;
		}
	}
	*atp = at;
	word.text = text.data ? text.data : alloc_text("", 0);
	if (p->n_words < WORDS_MAX)
		p->words[p->n_words] = word;
	else
		free(word.text);
	p->n_words++;
	return true;
}

/* Splits a line into words. Returns false when it has an error. */
static bool split(struct parser *p, const char *at, const char *end)
{
	unsigned column = 1;

	p->n_words = 0;
	for (;;) {
		while (at < end && (*at == ' ' || *at == '\t')) {
			at++;
			column++;
		}
		if (at == end || *at == '#')
			return true;
		if (!take_word(p, &at, end, &column))
			return false;
	}
}

/* Says what is wrong with a limit, as far as that can be guessed. */
static void complain_limit(struct parser *p, const struct word *word, bool of_site)
{
	double percent;

	if (budget_parse_percent(word->text, &percent))
		complain(p, word->column,
			"%s has no sign: write +%.*s for growth over the baseline",
			quote(word->text), QUOTED_MAX, word->text);
	else if (word->text[0] == '-')
		complain(p, word->column,
			"%s is below nothing: a limit is a size such as 2GiB, or +5%%",
			quote(word->text));
	else if (of_site)
		complain(p, word->column,
			"%s is no limit such as +20%% or 4MiB; a name with blanks stands in double "
			"quotes",
			quote(word->text));
	else
		complain(p, word->column, "%s is no limit: write a size such as 2GiB, or +5%%",
			quote(word->text));
}

/* Reads the words from `first` on, at least one, as limits. Returns false after an error. */
static bool take_limits(struct parser *p, size_t first, bool of_site, struct budget_limit *limit)
{
	size_t i;

	if (p->n_words <= first) {
		complain(p, p->words[0].column, "%s needs a limit: %s", p->words[0].text,
			of_site ? "write site NAME +20%, or site NAME +20% 4MiB"
				: "a size such as 2GiB, or +5% over the baseline");
		return false;
	}
	for (i = first; i < p->n_words && i < WORDS_MAX; i++) {
		struct budget_limit before = *limit;

		if (!budget_parse_limit(p->words[i].text, limit)) {
			complain_limit(p, &p->words[i], of_site);
			return false;
		}
		if ((before.has_relative && before.relative != limit->relative) ||
			(before.has_bytes && before.bytes != limit->bytes) ||
			(before.has_relative == limit->has_relative &&
				before.has_bytes == limit->has_bytes)) {
			complain(p, p->words[i].column,
				"%s is the second limit of its kind in this line: keep one",
				quote(p->words[i].text));
			return false;
		}
	}
	if (p->n_words > WORDS_MAX) {
		complain(p, p->words[0].column, "too many words in this line: two limits at most");
		return false;
	}
	limit->line = p->line;
	return true;
}

/* A limit that an earlier line has set as well. Lines of one thing add up otherwise. */
static void merge_limit(struct parser *p, const struct budget_limit *now, struct budget_limit *into)
{
	if ((now->has_relative && into->has_relative) || (now->has_bytes && into->has_bytes)) {
		complain(p, p->words[0].column, "line %u has such a limit already: keep one",
			into->line);
		return;
	}
	if (now->has_relative)
		into->relative = now->relative;
	if (now->has_bytes)
		into->bytes = now->bytes;
	into->has_relative |= now->has_relative;
	into->has_bytes |= now->has_bytes;
	into->line = now->line;
}

static void parse_whole(struct parser *p, struct budget_limit *into)
{
	struct budget_limit limit = { 0 };

	if (take_limits(p, 1, false, &limit))
		merge_limit(p, &limit, into);
}

static void parse_growth(struct parser *p)
{
	struct budget *b = p->budget;
	double growth = 0;

	if (p->n_words != 2)
		complain(p, p->words[p->n_words > 2 ? 2 : 0].column,
			"growth takes one limit such as 5MiB/h");
	else if (!budget_parse_growth(p->words[1].text, &growth))
		complain(p, p->words[1].column,
			"%s is no growth: write a size per time such as 5MiB/h (s, min, h, d)",
			quote(p->words[1].text));
	else if (b->growth_line)
		complain(p, p->words[0].column, "line %u has such a limit already: keep one",
			b->growth_line);
	else {
		b->has_growth = true;
		b->growth = growth;
		b->growth_line = p->line;
	}
}

static void parse_no_leaks(struct parser *p)
{
	if (p->n_words > 1) {
		complain(p, p->words[1].column, "%s is too much: no-leaks stands alone",
			quote(p->words[1].text));
		return;
	}
	p->budget->no_leaks = true;
	p->budget->no_leaks_line = p->line;
}

static void parse_ignore(struct parser *p)
{
	char *wrong;

	if (p->n_words != 2) {
		complain(p, p->words[p->n_words > 2 ? 2 : 0].column, "%s",
			p->n_words < 2
				? "ignore needs an expression for names, such as third_party/"
				: "ignore takes one expression: one with blanks stands in "
				  "double quotes");
		return;
	}
	if (!p->words[1].text[0]) {
		complain(p, p->words[1].column, "an empty expression would ignore every site");
		return;
	}
	wrong = budget_add_ignore(p->budget, p->words[1].text, p->line);
	if (wrong)
		complain(p, p->words[1].column, "%s is no regular expression: %s",
			quote(p->words[1].text), wrong);
	free(wrong);
}

static void parse_site(struct parser *p)
{
	struct budget *b = p->budget;
	struct budget_site site = { 0 };
	struct strbuf anchored = { 0 };
	char *wrong;
	size_t i;

	if (p->n_words < 2 || !p->words[1].text[0]) {
		complain(p, p->words[p->n_words > 1].column,
			"site needs a name and a limit: write site NAME +20%%");
		return;
	}
	if (!take_limits(p, 2, true, &site.limit))
		return;
	for (i = 0; i < b->n_sites; i++)
		if (!strcmp(b->sites[i].name, p->words[1].text)) {
			merge_limit(p, &site.limit, &b->sites[i].limit);
			return;
		}
	/* A name such as "operator[]" is meant as it stands, though as an expression it is not. */
	strbuf_addf(&anchored, "^(%s)$", p->words[1].text);
	wrong = pattern_compile(&site.regex, anchored.data);
	site.has_regex = !wrong;
	free(wrong);
	strbuf_deinit(&anchored);
	site.name = alloc_text(p->words[1].text, strlen(p->words[1].text));
	b->sites = alloc_room(b->sites, b->n_sites, &b->site_capacity, sizeof(site));
	b->sites[b->n_sites++] = site;
}

static void parse_unknown(struct parser *p)
{
	static const char *const words[] = { "total", "peak", "site", "growth", "no-leaks",
		"ignore" };
	struct suggest suggest;
	unsigned i;

	suggest_init(&suggest, p->words[0].text);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		suggest_offer(&suggest, words[i]);
	if (suggest.best)
		complain(p, p->words[0].column, "no line begins with %s; did you mean %s?",
			quote(p->words[0].text), suggest.best);
	else
		complain(p, p->words[0].column,
			"no line begins with %s; the words are " WORDS_OF_BUDGET,
			quote(p->words[0].text));
	suggest_deinit(&suggest);
}

static void parse_words(struct parser *p)
{
	const struct word *first = &p->words[0];

	if (!strcmp(first->text, "total"))
		parse_whole(p, &p->budget->total);
	else if (!strcmp(first->text, "peak"))
		parse_whole(p, &p->budget->peak);
	else if (!strcmp(first->text, "site"))
		parse_site(p);
	else if (!strcmp(first->text, "growth"))
		parse_growth(p);
	else if (!strcmp(first->text, "no-leaks"))
		parse_no_leaks(p);
	else if (!strcmp(first->text, "ignore"))
		parse_ignore(p);
	else
		parse_unknown(p);
}

static void parse_line(struct parser *p, const char *at, const char *end)
{
	size_t i;

	if (end > at && end[-1] == '\r')
		end--;
	p->n_words = 0;
	if (split(p, at, end) && p->n_words)
		parse_words(p);
	for (i = 0; i < p->n_words && i < WORDS_MAX; i++)
		free(p->words[i].text);
}

/* The first byte that is no text; its line and column go to p. Returns false when there is none. */
static bool find_no_text(
	struct parser *p, const char *text, size_t bytes, unsigned *columnp, unsigned char *bytep)
{
	size_t i = 0;

	p->line = 1;
	*columnp = 1;
	while (i < bytes) {
		unsigned char byte = (unsigned char)text[i];
		uint32_t code;
		size_t n = strbuf_utf8_decode(text + i, bytes - i, &code);

		if (n == 0 || byte == 127 || (byte < ' ' && !strchr("\t\r\n", byte)) || !byte) {
			*bytep = byte;
			return true;
		}
		i += n;
		++*columnp;
		if (byte == '\n') {
			p->line++;
			*columnp = 1;
		}
	}
	return false;
}

void budget_parse(struct budget *b, const char *text, size_t bytes, struct budget_errors *errors)
{
	struct parser p = { .budget = b, .errors = errors };
	const char *end = text + bytes;
	unsigned column;
	unsigned char byte;

	memset(b, 0, sizeof(*b));
	memset(errors, 0, sizeof(*errors));
	if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	if (find_no_text(&p, text, (size_t)(end - text), &column, &byte)) {
		complain(&p, column,
			"byte 0x%02x is no text: a budget is lines of words, such as peak 2GiB",
			byte);
		return;
	}
	for (p.line = 1; text < end; p.line++) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));

		parse_line(&p, text, line_end ? line_end : end);
		text = line_end ? line_end + 1 : end;
	}
}
