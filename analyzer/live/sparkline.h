/*
 * sparkline.h - a series as a line of characters of eight heights.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_SPARKLINE_H
#define HEAPSPY_ANALYZER_LIVE_SPARKLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/strbuf.h"

/*
 * Adds a picture of values, oldest first, at most columns wide: a column is the mean of 1, 2, 4,
 * ... values, the fewest that let all fit. n_before values were dropped before the first; columns
 * begin at multiples of their width, so that the picture moves by whole columns. NAN: no value.
 * from_zero: the lowest character is 0, else it is the least value (a series that changes by less
 * than a tenth of its greatest is drawn as that flat).
 */
void sparkline_add(struct strbuf *out, const double *values, size_t n, size_t n_before, int columns,
	bool from_zero, bool ascii);

#endif
