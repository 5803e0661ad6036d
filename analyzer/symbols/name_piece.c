/*
 * name_piece.c - owns the splitting of full names at brackets and commas. What
 * the parts mean is left to name.c, callback.c and name_difference.c.
 */
#include "analyzer/symbols/name_piece.h"

#include <stddef.h>
#include <stdbool.h>
#include <string.h>

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *name_piece_behind(const char *p)
{
	char open = *p, close = open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : '>';
	unsigned depth = 0, parentheses = 0;

	for (; *p; p++) {
		if (open == '<') {
			if (*p == '(')
				parentheses++;
			else if (*p == ')' && parentheses)
				parentheses--;
			if (parentheses || (*p == '>' && p[-1] == '-'))
				continue;
			if (starts_with(p, "operator<") || starts_with(p, "operator>")) {
				p += strlen("operator<");
				while (p[0] == '<' || p[0] == '>' || p[0] == '=')
					p++;
				p--;
				continue;
			}
		}
		if (*p == open)
			depth++;
		else if (*p == close && --depth == 0)
			return p + 1;
	}
	return NULL;
}

const char *name_piece_find(struct name_piece piece, char c)
{
	const char *p = piece.from;

	while (p < piece.end) {
		const char *behind;

		if (*p == c)
			return p;
		behind = strchr("<([{", *p) ? name_piece_behind(p) : NULL;
		p = behind && behind <= piece.end ? behind : p + 1;
	}
	return NULL;
}

struct name_piece name_piece_trim(struct name_piece piece)
{
	while (piece.from < piece.end && *piece.from == ' ')
		piece.from++;
	while (piece.from < piece.end && piece.end[-1] == ' ')
		piece.end--;
	return piece;
}

struct name_piece name_piece_inside(struct name_piece piece, const char *p)
{
	const char *behind = p ? name_piece_behind(p) : NULL;

	if (!behind || behind > piece.end)
		return (struct name_piece){ piece.end, piece.end };
	return (struct name_piece){ p + 1, behind - 1 };
}

struct name_piece name_piece_argument(struct name_piece list, int n)
{
	for (int i = 0;; i++) {
		const char *comma = name_piece_find(list, ',');

		if (n == NAME_PIECE_LAST ? !comma : i == n)
			return name_piece_trim(
				(struct name_piece){ list.from, comma ? comma : list.end });
		if (!comma)
			return (struct name_piece){ list.end, list.end };
		list.from = comma + 1;
	}
}
