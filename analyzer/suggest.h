/*
 * suggest.h - "did you mean": the one of many words that is nearest to a mistyped one.
 */
#ifndef HEAPSPY_ANALYZER_SUGGEST_H
#define HEAPSPY_ANALYZER_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *wanted;
	char *best; /* nearest word so far; NULL while none is near enough */
	size_t best_distance;
};

void suggest_init(struct suggest *s, const char *wanted);
void suggest_deinit(struct suggest *s);

/*
 * Offers a word, which is copied when it is the nearest so far. Words of more
 * than 128 bytes, and those that differ in more than a third of the longer one,
 * are not near. Distance: insertions, deletions, replacements and swaps of neighbours,
 * case ignored.
 */
void suggest_offer(struct suggest *s, const char *word);

#endif
