/*
 * zigzag.h - the shape of a series: how often it swings, and whether it rose in one go.
 * Pure functions; safe in any thread.
 */
#ifndef HEAPSPY_STATS_ZIGZAG_H
#define HEAPSPY_STATS_ZIGZAG_H

#include <stddef.h>

struct zigzag {
	unsigned rises, falls; /* swings of at least the threshold, by turns */
};

/*
 * Counts the swings of n values: a swing ends at the extreme from which the series goes back by
 * at least `threshold` (> 0), and counts once it has itself gone so far.
 */
struct zigzag zigzag_count(const double *values, size_t n, double threshold);

struct zigzag_rise {
	double rise;     /* values[to] - values[from]; 0: none */
	size_t from, to; /* from <= to */
};

/*
 * The largest rise between two points at most `span` apart on the axis `at` (ascending); two
 * neighbours may always be further apart. Of equal rises the shortest, then the first.
 */
struct zigzag_rise zigzag_steepest(const double *values, const double *at, size_t n, double span);

#endif
