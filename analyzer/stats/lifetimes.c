/*
 * lifetimes.c - the life table and what is read off it. Which blocks were born, died or live on is
 * the caller's business, ranges of their bytes that of interval.c.
 */
#include <math.h>
#include <stddef.h>

#include "analyzer/stats/lifetimes.h"

#define ONE_BUCKET .9 /* of the blocks die in one bucket: nothing tells where in it */

/* The bucket of an age, and which part of it the age has passed. */
static int bucket_of(double age_ns, double *passedp)
{
	double start;
	int j = 0;

	if (age_ns >= 2)
		j = ilogb(age_ns);
	if (j >= LIFETIMES_BUCKETS)
		j = LIFETIMES_BUCKETS - 1;
	start = j ? ldexp(1, j) : 0;
	*passedp = fmin(1, fmax(0, age_ns - start) / (ldexp(2, j) - start));
	return j;
}

void lifetimes_add_entered(struct lifetimes_input *in, double age_ns, double amount)
{
	double passed;
	int j = bucket_of(age_ns, &passed);

	in->net[j] += amount;
	in->exposure[j] += amount * (1 - passed);
}

void lifetimes_add_left(struct lifetimes_input *in, double age_ns, double amount)
{
	double passed;
	int j = bucket_of(age_ns, &passed);

	in->net[j] -= amount;
	in->exposure[j] -= amount * (1 - passed);
}

void lifetimes_add(struct lifetimes_input *sum, const struct lifetimes_input *part)
{
	int j;

	sum->births += part->births;
	for (j = 0; j < LIFETIMES_BUCKETS; j++) {
		sum->died[j] += part->died[j];
		sum->net[j] += part->net[j];
		sum->exposure[j] += part->exposure[j];
	}
}

struct lifetimes lifetimes_estimate(const struct lifetimes_input *in)
{
	struct lifetimes table = { { 1 } };
	double at = in->births;
	int j;

	for (j = 0; j < LIFETIMES_BUCKETS; j++) {
		double risk = at + in->exposure[j], dying = 0;

		/* Estimates of few samples may say that more died than were there. */
		if (in->died[j] > 0)
			dying = in->died[j] < risk ? in->died[j] / risk : 1;
		table.survival[j + 1] = table.survival[j] * (1 - dying);
		at += in->net[j] - in->died[j];
	}
	return table;
}

double lifetimes_survival(const struct lifetimes *table, double age_ns)
{
	double passed, before, after;
	int j;

	if (!(age_ns > 0))
		return 1;
	j = bucket_of(age_ns, &passed);
	before = table->survival[j];
	after = table->survival[j + 1];
	if (after > 0)
		return before * pow(after / before, passed);
	return before * (1 - passed);
}

/* The bucket within which survival falls to a share; LIFETIMES_BUCKETS: nowhere. */
static int bucket_of_share(const struct lifetimes *table, double share)
{
	int j = 0;

	while (j < LIFETIMES_BUCKETS && table->survival[j + 1] > share)
		j++;
	return j;
}

struct lifetimes_median lifetimes_median(
	const struct lifetimes *table, double n, double limit_ns, double z)
{
	const double never = INFINITY;
	struct lifetimes_median median = { never, { never, never }, false };
	double error = n > 0 ? z / (2 * sqrt(n)) : .5, before, after, passed;
	int j = bucket_of_share(table, .5), first = bucket_of_share(table, fmin(1, .5 + error));
	int last = bucket_of_share(table, fmax(0, .5 - error));

	if (first < LIFETIMES_BUCKETS)
		median.range.lo = first ? ldexp(1, first) : 0;
	if (last < LIFETIMES_BUCKETS)
		median.range.hi = ldexp(2, last);
	if (!(median.range.lo <= limit_ns))
		median.range.lo = limit_ns;
	if (!(median.range.hi <= limit_ns))
		median.range.hi = never;
	if (j == LIFETIMES_BUCKETS)
		return median;
	before = table->survival[j];
	after = table->survival[j + 1];
	median.is_one_bucket = before >= ONE_BUCKET && after <= 1 - ONE_BUCKET;
	passed = after > 0 ? log(before / .5) / log(before / after) : (before - .5) / before;
	median.ns = j ? ldexp(exp2(passed), j) : 2 * passed;
	if (median.ns > limit_ns)
		median.ns = never;
	return median;
}

struct interval lifetimes_share_range(double share, double n, double z)
{
	struct interval range = { 0, 1 };
	double middle, half;

	if (!(n > 0))
		return range;
	middle = (share + z * z / (2 * n)) / (1 + z * z / n);
	half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
	/* At the ends the formula gives the end itself, but for rounding. */
	if (share > 0)
		range.lo = fmax(0, middle - half);
	if (share < 1)
		range.hi = fmin(1, middle + half);
	return range;
}

struct lifetimes_part lifetimes_dying(const struct lifetimes *table,
	const struct lifetimes_births *births, double from_ns, double to_ns, double z)
{
	const struct lifetimes_figure *rate = &births->rate;
	const struct lifetimes_figure none = { NAN, { NAN, NAN } };
	struct lifetimes_part part = { none, none };
	struct interval *range = &part.share.range;
	double share, value;

	if (!(from_ns < to_ns) || to_ns > births->window_ns)
		return part;
	share = fmax(0, lifetimes_survival(table, from_ns) - lifetimes_survival(table, to_ns));
	value = rate->value * share;
	*range = lifetimes_share_range(share, births->n, z);
	part.share.value = share;
	part.rate.value = value;
	part.rate.range.lo = value - hypot((rate->value - rate->range.lo) * share,
					     rate->value * (share - range->lo));
	part.rate.range.lo = fmax(0, part.rate.range.lo);
	/* Of a share that was found 0 in few cases, more births would find more. */
	part.rate.range.hi = INFINITY;
	if (!isinf(rate->range.hi))
		part.rate.range.hi = value + hypot((rate->range.hi - rate->value) * range->hi,
						     rate->value * (range->hi - share));
	return part;
}
