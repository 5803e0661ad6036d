/* sparkline.c - owns the drawing of small series. Which series is its caller's. */
#include "analyzer/live/sparkline.h"

#include <math.h>
#include <stdlib.h>

#include "analyzer/alloc.h"

#define HEIGHTS     8
/* Part of the greatest value that the heights span at least. */
#define SPAN_SHARE  .1
#define FLAT_HEIGHT 4.5

static const char *const blocks[HEIGHTS] = { "\u2581", "\u2582", "\u2583", "\u2584", "\u2585",
	"\u2586", "\u2587", "\u2588" };
static const char *const signs[HEIGHTS] = { " ", ".", ":", "-", "=", "+", "*", "#" };

/* Means of step values each, from a multiple of step on; returns how many. */
static size_t shrink(const double *values, size_t n, size_t n_before, size_t step, double *means)
{
	size_t i, n_means = 0, in_mean = 0;
	double sum = 0;

	for (i = 0; i < n; i++) {
		if (!isnan(values[i])) {
			sum += values[i];
			in_mean++;
		}
		if ((n_before + i + 1) % step && i + 1 < n)
			continue;
		means[n_means++] = in_mean ? sum / (double)in_mean : NAN;
		sum = 0;
		in_mean = 0;
	}
	return n_means;
}

/* The range of heights: *lop is the lowest, *hip the highest. */
static void choose_scale(const double *means, size_t n, bool from_zero, double *lop, double *hip)
{
	double lo = INFINITY, hi = -INFINITY, missing;
	size_t i;

	for (i = 0; i < n; i++) {
		lo = fmin(lo, means[i]);
		hi = fmax(hi, means[i]);
	}
	if (from_zero)
		lo = 0;
	missing = SPAN_SHARE * hi - (hi - lo);
	if (missing > 0) {
		/* The middle of a height, so that noise does not make it two. */
		lo -= missing * FLAT_HEIGHT / HEIGHTS;
		hi += missing * (HEIGHTS - FLAT_HEIGHT) / HEIGHTS;
	}
	*lop = lo;
	*hip = hi;
}

void sparkline_add(struct strbuf *out, const double *values, size_t n, size_t n_before, int columns,
	bool from_zero, bool ascii)
{
	double *means = alloc_array(n, sizeof(*means)), lo, hi;
	size_t i, n_means, step = 1;

	if (columns < 1 || !n) {
		free(means);
		return;
	}
	while ((n_means = shrink(values, n, n_before, step, means)) > (size_t)columns)
		step *= 2;
	choose_scale(means, n_means, from_zero, &lo, &hi);
	for (i = 0; i < n_means; i++) {
		int height = 0;

		if (isnan(means[i])) {
			strbuf_add_char(out, ' ');
			continue;
		}
		if (hi > lo)
			height = (int)((means[i] - lo) / (hi - lo) * HEIGHTS);
		if (height < 0)
			height = 0;
		if (height >= HEIGHTS)
			height = HEIGHTS - 1;
		strbuf_add_text(out, ascii ? signs[height] : blocks[height]);
	}
	free(means);
}
