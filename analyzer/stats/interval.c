/*
 * interval.c - confidence intervals of bytes and counts of one aggregate. Differences of two
 * aggregates are left to growth.c.
 */
#include <math.h>

#include "analyzer/stats/interval.h"

/* Widest spread of sampled sizes at which the interval of the count still covers. */
#define COUNT_SIZE_SPREAD 4

double interval_poisson_lo(double k, double z)
{
	double root;

	if (!(k > 0))
		return 0;
	root = 1 - 1 / (9 * k) - z / (3 * sqrt(k));
	return root > 0 ? k * root * root * root : 0;
}

double interval_poisson_hi(double k, double z)
{
	double next = (k > 0 ? k : 0) + 1;
	double root = 1 - 1 / (9 * next) + z / (3 * sqrt(next));

	return next * root * root * root;
}

struct interval interval_of_bytes(
	const struct aggregate *sum, uint64_t largest_interval_bytes, double z)
{
	double r = (double)largest_interval_bytes;
	struct interval range = { sum->bytes, sum->bytes };
	double m, base;

	if (largest_interval_bytes <= 1)
		return range;
	m = sum->variance / r / r;
	base = sum->bytes - sum->variance / r;
	range.lo = fmax(sum->size_bytes, base + r * interval_poisson_lo(m, z));
	range.hi = base + r * interval_poisson_hi(m, z);
	return range;
}

struct interval interval_of_count(
	const struct aggregate *sum, uint64_t largest_interval_bytes, double z)
{
	struct interval range = { sum->count, sum->count };
	double weight, k;

	if (largest_interval_bytes <= 1)
		return range;
	if (!(sum->samples > 0)) {
		range.lo = 0;
		range.hi = INFINITY;
		return range;
	}
	/* Without variance every block is so large that none goes unseen. */
	if (sum->count_variance > 0) {
		weight = sum->count_variance / sum->count;
		k = sum->count / weight;
		range.lo = fmax(sum->samples, weight * interval_poisson_lo(k, z));
		range.hi = weight * interval_poisson_hi(k, z);
	}
	if (interval_count_is_rough(sum))
		range.hi = INFINITY;
	return range;
}

bool interval_count_is_rough(const struct aggregate *sum)
{
	return sum->samples > 0 && sum->size_max > COUNT_SIZE_SPREAD * fmax(sum->size_min, 1);
}
