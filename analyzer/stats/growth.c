/*
 * growth.c - ranges and tests of the difference of two aggregates. Which samples were born or died
 * is the caller's business, the range of a single aggregate that of interval.c.
 */
#include <math.h>
#include <stdlib.h>

#include "analyzer/stats/growth.h"

/* 1 - Phi(38) is the last that is not zero in double precision. */
#define Z_MAX           38
#define BISECTION_STEPS 60

struct growth growth_estimate(const struct growth_sides *sides, double z)
{
	struct interval born = interval_of_bytes(&sides->born, sides->born_interval_bytes, z);
	struct interval died = interval_of_bytes(&sides->died, sides->died_interval_bytes, z);
	double born_bytes = sides->born.bytes, died_bytes = sides->died.bytes;
	struct growth growth;

	growth.bytes = born_bytes - died_bytes;
	growth.range.lo = growth.bytes - hypot(born_bytes - born.lo, died.hi - died_bytes);
	growth.range.hi = growth.bytes + hypot(born.hi - born_bytes, died_bytes - died.lo);
	return growth;
}

double growth_p_value(const struct growth_sides *sides, double threshold_bytes)
{
	double below = 0, above = Z_MAX;
	int step;

	if (!(sides->born.bytes - sides->died.bytes > threshold_bytes))
		return 1;

	/* The lower limit falls as z grows: it exceeds the threshold up to one z and not after. */
	if (growth_estimate(sides, above).range.lo > threshold_bytes)
		below = above;
	for (step = 0; step < BISECTION_STEPS && below < above; step++) {
		double z = (below + above) / 2;

		if (growth_estimate(sides, z).range.lo > threshold_bytes)
			below = z;
		else
			above = z;
	}
	return erfc(below / sqrt(2)) / 2;
}

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double growth_discovery_limit(double *p_values, size_t n, double q)
{
	size_t i;

	if (n == 0)
		return -1;
	qsort(p_values, n, sizeof(*p_values), compare_doubles);
	for (i = n; i > 0; i--) {
		if (p_values[i - 1] <= q * (double)i / (double)n)
			return p_values[i - 1];
	}
	return -1;
}

double growth_resolution_bytes(uint64_t interval_bytes, double z)
{
	return interval_bytes <= 1 ? 0 : (double)interval_bytes * interval_poisson_hi(0, z);
}
