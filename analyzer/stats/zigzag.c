/* zigzag.c - owns swings and steps of a series. What they mean is trend.c's. */
#include "analyzer/stats/zigzag.h"

struct zigzag zigzag_count(const double *values, size_t n, double threshold)
{
	struct zigzag swings = { 0, 0 };
	double low = n ? values[0] : 0, high = low;
	int direction = 0;
	size_t i;

	for (i = 1; i < n; i++) {
		double value = values[i];

		/* Before the first swing both extremes count, later the one it runs to. */
		if (value > high && direction >= 0)
			high = value;
		if (value < low && direction <= 0)
			low = value;
		if (direction <= 0 && value - low >= threshold) {
			swings.rises++;
			direction = 1;
			high = value;
		} else if (direction >= 0 && high - value >= threshold) {
			swings.falls++;
			direction = -1;
			low = value;
		}
	}
	return swings;
}

struct zigzag_rise zigzag_steepest(const double *values, const double *at, size_t n, double span)
{
	struct zigzag_rise best = { 0, 0, 0 };
	size_t i, k;

	for (i = 0; i + 1 < n; i++) {
		for (k = i + 1; k < n && (k == i + 1 || at[k] - at[i] <= span); k++) {
			double rise = values[k] - values[i];

			if (rise > best.rise ||
				(rise == best.rise && rise > 0 &&
					at[k] - at[i] < at[best.to] - at[best.from]))
				best = (struct zigzag_rise){ rise, i, k };
		}
	}
	return best;
}
