/* suggest.c - owns the distance of words. */
#include "analyzer/suggest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"

#define WORD_MAX 128

void suggest_init(struct suggest *s, const char *wanted)
{
	memset(s, 0, sizeof(*s));
	s->wanted = wanted;
}

void suggest_deinit(struct suggest *s)
{
	free(s->best);
	s->best = NULL;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment over three rows of the usual table. */
static unsigned distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];
	size_t i, j;

	for (j = 0; j <= b_bytes; j++)
		last[j] = before[j] = (unsigned)j;
	for (i = 1; i <= a_bytes; i++) {
		unsigned *spare = before;
		int ca = tolower((unsigned char)a[i - 1]);

		row[0] = (unsigned)i;
		for (j = 1; j <= b_bytes; j++) {
			int cb = tolower((unsigned char)b[j - 1]);

			row[j] = least(last[j - 1] + (ca != cb), least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
				cb == tolower((unsigned char)a[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_bytes];
}

void suggest_offer(struct suggest *s, const char *word)
{
	size_t a = strlen(s->wanted), b = strlen(word), longer = a > b ? a : b;
	unsigned d;

	if (a == 0 || b == 0 || longer > WORD_MAX)
		return;
	d = distance(s->wanted, a, word, b);
	if (d > longer / 3 && d > 1)
		return;
	if (s->best && d >= s->best_distance)
		return;
	free(s->best);
	s->best = alloc_text(word, b);
	s->best_distance = d;
}
