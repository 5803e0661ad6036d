/*
 * name_difference.c - owns the choice of what must be said of names with one
 * short text. What is left out of a name, and where, name.c says.
 *
 * The names are put side by side, argument by argument, from the left. An
 * argument is worth showing if it tells apart names that those before it do
 * not: an allocator that follows from the type before it says nothing new.
 */
#include "analyzer/symbols/name_difference.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/symbols/name.h"
#include "analyzer/symbols/name_piece.h"

/* More than these, and the arguments are shown in one piece, or not at all. */
enum { DEPTH_MAX = 16, COLUMNS_MAX = 64 };

static const char gap[] = "\xe2\x80\xa6";

struct namesake {
	char *name; /* short */
	struct name_part parts[NAME_PARTS_MAX];
	size_t n_parts;
	char *out;      /* what is made of it; a gap is thrice as long as the least it stands for */
	size_t length;  /* of out */
	uint32_t class; /* equal: not told apart by what is shown so far */
};

struct comparison {
	struct namesake *list;
	size_t n;
	uint32_t n_classes;
	size_t *order; /* for refine() */
};

/* One part or argument of every name. */
struct column {
	const struct comparison *comparison;
	struct name_piece *pieces;
};

static size_t length_of(struct name_piece piece)
{
	return (size_t)(piece.end - piece.from);
}

static int compare_pieces(struct name_piece x, struct name_piece y)
{
	size_t n = length_of(x) < length_of(y) ? length_of(x) : length_of(y);
	int order = memcmp(x.from, y.from, n);

	return order ? order : (length_of(x) > length_of(y)) - (length_of(x) < length_of(y));
}

static int by_class(const void *a, const void *b, void *data)
{
	const struct column *column = data;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	uint32_t x = column->comparison->list[i].class, y = column->comparison->list[j].class;

	return x != y ? (x > y) - (x < y) : compare_pieces(column->pieces[i], column->pieces[j]);
}

static bool all_equal(const struct comparison *c, const struct name_piece *pieces)
{
	for (size_t i = 1; i < c->n; i++) {
		if (compare_pieces(pieces[0], pieces[i]) != 0)
			return false;
	}
	return true;
}

/* Splits the classes where pieces differ inside one. False: none is split. */
static bool refine(struct comparison *c, struct name_piece *pieces)
{
	struct column column = { c, pieces };
	uint32_t n_before = c->n_classes, next = 0, before = 0;

	if (all_equal(c, pieces))
		return false;
	for (size_t i = 0; i < c->n; i++)
		c->order[i] = i;
	qsort_r(c->order, c->n, sizeof(*c->order), by_class, &column);
	for (size_t i = 0; i < c->n; i++) {
		struct namesake *at = &c->list[c->order[i]];

		if (i && (at->class != before ||
				 compare_pieces(pieces[c->order[i]], pieces[c->order[i - 1]]) != 0))
			next++;
		before = at->class;
		at->class = next;
	}
	c->n_classes = next + 1;
	return c->n_classes > n_before;
}

static void put(struct namesake *to, const char *from, size_t n)
{
	memcpy(to->out + to->length, from, n);
	to->length += n;
}

static void put_text(struct namesake *to, const char *text)
{
	put(to, text, strlen(text));
}

static bool ends_with(const struct namesake *to, const char *text)
{
	size_t n = strlen(text);

	return to->length >= n && memcmp(to->out + to->length - n, text, n) == 0;
}

/* An argument in full, but without what a reader would not write. */
static void put_argument(struct namesake *to, struct name_piece piece)
{
	static const struct {
		const char *from, *to;
	} words[] = { { "std::__cxx11::basic_string<char, std::char_traits<char>, "
			"std::allocator<char> >",
			      "std::string" },
		{ "std::__cxx11::", "std::" }, { "std::__1::", "std::" }, { ", ", "," },
		{ "> >", ">>" } };

	while (piece.from < piece.end) {
		size_t n = 1;
		const char *text = NULL;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !text; i++) {
			if (length_of(piece) >= strlen(words[i].from) &&
				strncmp(piece.from, words[i].from, strlen(words[i].from)) == 0) {
				n = strlen(words[i].from);
				text = words[i].to;
			}
		}
		/* The second of "> >" may be the first of the next. */
		if (text && strcmp(text, ">>") == 0) {
			text = ">";
			n = 2;
		}
		put(to, text ? text : piece.from, text ? strlen(text) : n);
		piece.from += n;
	}
}

/* The argument lists of pieces that differ in nothing else; false: they do. */
static bool find_lists(
	const struct comparison *c, const struct name_piece *pieces, struct name_piece *lists)
{
	struct name_piece first = { 0 };

	for (size_t i = 0; i < c->n; i++) {
		const char *open = name_piece_find(pieces[i], '<');
		struct name_piece head = { pieces[i].from, open }, tail;

		lists[i] = name_piece_inside(pieces[i], open);
		if (!open || length_of(lists[i]) == 0)
			return false;
		tail = (struct name_piece){ lists[i].end, pieces[i].end };
		if (i == 0)
			first = tail;
		if (compare_pieces(tail, first) != 0 ||
			compare_pieces(head,
				(struct name_piece){ pieces[0].from, lists[0].from - 1 }) != 0)
			return false;
	}
	return true;
}

static bool put_lists(struct comparison *c, const struct name_piece *lists, unsigned depth);

/* Adds what tells pieces apart, or a gap to all. False: a gap. */
static bool put_column(struct comparison *c, struct name_piece *pieces, unsigned depth)
{
	struct name_piece *lists = calloc(c->n, sizeof(*lists));
	bool told = false, nested = lists && depth < DEPTH_MAX && !all_equal(c, pieces) &&
				    find_lists(c, pieces, lists);

	if (nested) {
		for (size_t i = 0; i < c->n; i++)
			put(&c->list[i], pieces[i].from, (size_t)(lists[i].from - pieces[i].from));
		told = put_lists(c, lists, depth + 1);
		for (size_t i = 0; i < c->n; i++) {
			if (told)
				put_argument(&c->list[i],
					(struct name_piece){ lists[i].end, pieces[i].end });
			else
				c->list[i].length -= (size_t)(lists[i].from - pieces[i].from);
		}
	} else if (refine(c, pieces)) {
		told = true;
		for (size_t i = 0; i < c->n; i++)
			put_argument(&c->list[i], pieces[i]);
	}
	free(lists);
	return told;
}

/* Adds what tells argument lists apart. False, and nothing added: nothing does. */
static bool put_lists(struct comparison *c, const struct name_piece *lists, unsigned depth)
{
	size_t *before = calloc(c->n, sizeof(*before));
	struct name_piece *pieces = calloc(c->n, sizeof(*pieces));
	bool told = false, more = before && pieces;

	for (size_t i = 0; i < c->n && more; i++)
		before[i] = c->list[i].length;
	for (int column = 0; column < COLUMNS_MAX && more; column++) {
		more = false;
		for (size_t i = 0; i < c->n; i++) {
			struct namesake *at = &c->list[i];

			pieces[i] = name_piece_argument(lists[i], column);
			more |= length_of(pieces[i]) > 0;
			if (length_of(pieces[i]) && column)
				put_text(at, ",");
		}
		if (!more)
			break;
		if (put_column(c, pieces, depth)) {
			told = true;
			continue;
		}
		for (size_t i = 0; i < c->n; i++) {
			struct namesake *at = &c->list[i];

			if (length_of(pieces[i]) == 0)
				continue;
			if (ends_with(at, "\xe2\x80\xa6,"))
				at->length--;
			else
				put_text(at, gap);
		}
	}
	for (size_t i = 0; i < c->n && before && !told; i++)
		c->list[i].length = before[i];
	free(before);
	free(pieces);
	return told;
}

/* Whether the same was left out of all names, and at the same places. */
static bool parts_agree(const struct comparison *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct namesake *at = &c->list[i];

		if (!at->name || !at->out || at->n_parts != c->list[0].n_parts)
			return false;
		for (size_t k = 0; k < at->n_parts; k++) {
			if (at->parts[k].at != c->list[0].parts[k].at ||
				*at->parts[k].from != *c->list[0].parts[k].from)
				return false;
		}
	}
	return true;
}

/* Puts part k back into all names if it tells some apart; else what stands for it. */
static void put_part(
	struct comparison *c, size_t k, struct name_piece *lists, struct name_difference *names)
{
	bool is_template = *c->list[0].parts[k].from == '<';

	for (size_t i = 0; i < c->n; i++) {
		const struct name_part *part = &c->list[i].parts[k];

		lists[i] = (struct name_piece){ part->from + 1, part->from + part->length - 1 };
		put_text(&c->list[i], is_template ? "<" : "(");
	}
	if (put_lists(c, lists, 0)) {
		for (size_t i = 0; i < c->n; i++) {
			struct namesake *at = &c->list[i];

			put_text(at, is_template ? ">" : ")");
			names[i].end = at->length;
		}
		return;
	}
	for (size_t i = 0; i < c->n; i++) {
		if (is_template)
			put_text(&c->list[i], ">");
		else
			c->list[i].length--;
	}
}

static void put_all(struct comparison *c, struct name_piece *lists, struct name_difference *names)
{
	size_t n_parts = c->list[0].n_parts, done = 0;

	for (size_t k = 0; k <= n_parts; k++) {
		const struct name_part *part = k < n_parts ? &c->list[0].parts[k] : NULL;

		for (size_t i = 0; i < c->n; i++) {
			struct namesake *at = &c->list[i];
			size_t end = part ? part->at : strlen(at->name);

			put(at, at->name + done, end - done);
			if (names[i].end == 0)
				names[i].from = at->length;
		}
		if (!part)
			break;
		put_part(c, k, lists, names);
		done = part->at + (*part->from == '<' ? strlen("<>") : 0);
	}
	for (size_t i = 0; i < c->n; i++) {
		put(&c->list[i], "", 1);
		if (names[i].end == 0)
			names[i].from = 0;
	}
}

void name_difference(const char *const *full, size_t n, struct name_difference *names)
{
	struct comparison c = { .list = calloc(n, sizeof(*c.list)),
		.n = n,
		.n_classes = 1,
		.order = calloc(n, sizeof(*c.order)) };
	struct name_piece *lists = calloc(n, sizeof(*lists));

	memset(names, 0, n * sizeof(*names));
	for (size_t i = 0; i < n && c.list; i++) {
		struct namesake *at = &c.list[i];

		at->name = name_shorten_parts(full[i], at->parts, &at->n_parts);
		at->out = malloc(strlen(gap) * (strlen(full[i]) + 1));
	}
	if (c.list && c.order && lists && parts_agree(&c))
		put_all(&c, lists, names);
	for (size_t i = 0; i < n && c.list; i++) {
		struct namesake *at = &c.list[i];

		names[i].text = at->length ? at->out : at->name;
		free(at->length ? at->name : at->out);
	}
	free(c.list);
	free(c.order);
	free(lists);
}
