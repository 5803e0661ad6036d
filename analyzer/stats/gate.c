/*
 * gate.c - tests of totals and sites between runs, and the distribution they rest on. Which runs
 * and sites are compared, and at which limits, is the caller's business.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "analyzer/stats/gate.h"

#define SD_MIN        .01 /* runs that agree better than this do so by chance */
#define SD_SINGLE     .10
#define SPREAD_MIN    .05
#define PRIOR_DF      20
#define SPREAD_CUT    .98
#define POWER         .9
#define TWO_SIDED     .025 /* either side of a 95 % range */
#define STEPS_MAX     1000
#define DOUBLINGS_MAX 30
#define BISECTIONS    30

/*
 * The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by
 * Lentz's method; converges fast for x < (a + 1) / (a + b + 2).
 */
static double beta_fraction(double x, double a, double b)
{
	const double tiny = DBL_MIN * 1e10;
	double c = 1, d = 1 - (a + b) * x / (a + 1), value;
	int m;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	value = d;
	for (m = 1; m < STEPS_MAX; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		double step;

		d = 1 + even * d;
		c = 1 + even / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		value *= d * c;
		d = 1 + odd * d;
		c = 1 + odd / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		step = d * c;
		value *= step;
		if (fabs(step - 1) < 4 * DBL_EPSILON)
			break;
	}
	return value;
}

/* I_x(a, b), with 1 - x given as well, since it may be too small to tell from x. */
static double beta_incomplete(double x, double rest, double a, double b)
{
	double front;

	if (!(x > 0))
		return 0;
	if (!(rest > 0))
		return 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(x, a, b) / a;
	return 1 - front * beta_fraction(rest, b, a) / b;
}

double gate_student_tail(double t, double df)
{
	double square = t * t, tail;

	if (isinf(df))
		return .5 * erfc(t * M_SQRT1_2);
	if (isinf(t))
		return t > 0 ? 0 : 1;
	tail = .5 * beta_incomplete(df / (df + square), square / (df + square), df / 2, .5);
	return t < 0 ? 1 - tail : tail;
}

static double student_density(double t, double df)
{
	if (isinf(df))
		return exp(-t * t / 2) / sqrt(2 * M_PI);
	return exp(lgamma((df + 1) / 2) - lgamma(df / 2) - (df + 1) / 2 * log1p(t * t / df)) /
	       sqrt(M_PI * df);
}

double gate_student_quantile(double p, double df)
{
	double below = 0, above = 1, t, tail;
	int i;

	if (p > .5)
		return -gate_student_quantile(1 - p, df);
	while (gate_student_tail(above, df) > p && above < DBL_MAX / 4) {
		below = above;
		above *= 2;
	}
	/* Newton's method on the logarithm; a step out of the bracket halves that instead. */
	for (i = 0, t = above; i < STEPS_MAX && below < above; i++) {
		double next;

		tail = gate_student_tail(t, df);
		if (tail > p)
			below = t;
		else
			above = t;
		next = t + tail * log(tail / p) / student_density(t, df);
		if (!(next > below && next < above))
			next = (below + above) / 2;
		if (fabs(next - t) <= 4 * DBL_EPSILON * fabs(t) || next <= below || next >= above)
			break;
		t = next;
	}
	return t;
}

static double mean_log(const struct gate_runs *runs)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < runs->n; i++)
		sum += log(fmax(runs->bytes[i], 1));
	return sum / (double)runs->n;
}

static double squares_of_logs(const struct gate_runs *runs, double mean)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < runs->n; i++) {
		double off = log(fmax(runs->bytes[i], 1)) - mean;

		sum += off * off;
	}
	return sum;
}

void gate_judge_total(const struct gate_runs *base, const struct gate_runs *candidate,
	double sampling_variance, double limit, double alpha, struct gate_result *result)
{
	double base_log = mean_log(base), candidate_log = mean_log(candidate);
	double change = candidate_log - base_log, threshold = log1p(limit);
	double df = (double)(base->n + candidate->n) - 2;
	bool single = base->n < 2 || candidate->n < 2;
	double variance = fmax(SD_MIN * SD_MIN, sampling_variance), error, reach;

	if (df > 0)
		variance = fmax(variance, (squares_of_logs(base, base_log) +
						  squares_of_logs(candidate, candidate_log)) /
						  df);
	if (single) {
		variance = fmax(variance, SD_SINGLE * SD_SINGLE);
		df = INFINITY;
	}
	error = sqrt(variance * (1 / (double)base->n + 1 / (double)candidate->n));
	reach = gate_student_quantile(TWO_SIDED, df) * error;
	result->base_bytes = exp(base_log);
	result->candidate_bytes = exp(candidate_log);
	result->change = expm1(change);
	result->range = (struct interval){ expm1(change - reach), expm1(change + reach) };
	result->p_value = gate_student_tail((change - threshold) / error, df);
	result->detectable = expm1(
		threshold +
		error * (gate_student_quantile(alpha, df) + gate_student_quantile(1 - POWER, df)));
	result->detectable_bytes = result->detectable * result->base_bytes;
	result->sd = sqrt(variance);
	result->fails = result->p_value < alpha;
}

static double mean_of(const struct gate_runs *runs)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < runs->n; i++)
		sum += runs->bytes[i];
	return sum / (double)runs->n;
}

static double squares_of(const struct gate_runs *runs, double mean)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < runs->n; i++)
		sum += (runs->bytes[i] - mean) * (runs->bytes[i] - mean);
	return sum;
}

struct gate_site gate_site_of(
	const struct gate_runs *base, const struct gate_runs *candidate, double sampling_variance)
{
	size_t df = base->n + candidate->n - 2;
	struct gate_site site = { mean_of(base), mean_of(candidate), 0, sampling_variance, base->n,
		candidate->n };

	if (df)
		site.run_variance = (squares_of(base, site.base_bytes) +
					    squares_of(candidate, site.candidate_bytes)) /
				    (double)df;
	return site;
}

static double middle_of(const struct gate_site *site)
{
	return (site->base_bytes + site->candidate_bytes) / 2;
}

double gate_site_excess(const struct gate_site *site)
{
	double middle = middle_of(site);

	return middle > 0 ? (site->run_variance - site->sampling_variance) / (middle * middle) : 0;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double gate_usual_spread(double *excesses, size_t n)
{
	double sum = 0, position, cut;
	size_t i, below;

	if (!n)
		return SPREAD_MIN;
	qsort(excesses, n, sizeof(*excesses), compare_doubles);
	position = SPREAD_CUT * (double)(n - 1);
	below = (size_t)position;
	cut = excesses[below];
	if (below + 1 < n)
		cut += (position - (double)below) * (excesses[below + 1] - cut);
	for (i = 0; i < n; i++)
		sum += fmin(excesses[i], cut);
	return fmax(sqrt(fmax(sum / (double)n, 0)), SPREAD_MIN);
}

/* Variance of one run of a site. */
static double moderated(const struct gate_site *site, double usual_spread)
{
	double df = (double)(site->n_base + site->n_candidate) - 2;
	double usual = usual_spread * middle_of(site);
	double prior = site->sampling_variance + usual * usual;

	return fmax((PRIOR_DF * prior + df * site->run_variance) / (PRIOR_DF + df),
		site->sampling_variance);
}

static double student_of(const struct gate_site *site, double usual_spread, double limit)
{
	double slope = 1 + limit;
	double error = sqrt(moderated(site, usual_spread) *
			    (1 / (double)site->n_candidate + slope * slope / (double)site->n_base));
	double over = site->candidate_bytes - slope * site->base_bytes;

	if (error > 0)
		return over / error;
	return over > 0 ? INFINITY : over < 0 ? -INFINITY : 0;
}

/*
 * Range of c/b - 1: the ratios that the test itself does not refuse (Fieller, J R Stat Soc B
 * 16:175, 1954), roots of a quadratic.
 */
static struct interval ratio_range(const struct gate_site *site, double variance, double t)
{
	double b = site->base_bytes, c = site->candidate_bytes;
	double square = b * b - t * t * variance / (double)site->n_base;
	double rest = c * c - t * t * variance / (double)site->n_candidate;
	double root = sqrt(fmax(b * b * c * c - square * rest, 0));
	struct interval range = { -1, INFINITY };

	if (square > 0) {
		range.hi = (b * c + root) / square - 1;
		range.lo = fmax((b * c - root) / square - 1, -1);
	} else if (rest > 0 && (b * c + root) > 0) {
		/* The base may be nothing at all: there is no highest ratio. */
		range.lo = rest / (b * c + root) - 1;
	}
	return range;
}

/*
 * The growth in bytes at which the test would have the power, its spread growing with it;
 * INFINITY: none.
 */
static double find_detectable(const struct gate_site *site, double usual_spread, double limit,
	double least_bytes, double needed)
{
	double below = site->base_bytes, above = fmax(below * (1 + limit), below + least_bytes);
	struct gate_site grown = *site;
	int i;

	for (i = 0;; i++, above *= 2) {
		grown.candidate_bytes = above;
		if (student_of(&grown, usual_spread, limit) >= needed)
			break;
		if (i > DOUBLINGS_MAX || !(above > 0))
			return INFINITY;
	}
	for (i = 0; i < BISECTIONS; i++) {
		grown.candidate_bytes = (below + above) / 2;
		if (student_of(&grown, usual_spread, limit) >= needed)
			above = grown.candidate_bytes;
		else
			below = grown.candidate_bytes;
	}
	return fmax(above - site->base_bytes, least_bytes);
}

void gate_judge_site(const struct gate_site *site, double usual_spread, double limit,
	double least_bytes, double alpha, struct gate_result *result)
{
	double df = PRIOR_DF + (double)(site->n_base + site->n_candidate) - 2;
	double variance = moderated(site, usual_spread);
	double growth = site->candidate_bytes - site->base_bytes;

	result->base_bytes = site->base_bytes;
	result->candidate_bytes = site->candidate_bytes;
	result->change = site->base_bytes > 0 ? growth / site->base_bytes
			 : growth > 0         ? INFINITY
					      : 0;
	result->range = ratio_range(site, variance, gate_student_quantile(TWO_SIDED, df));
	result->p_value = gate_student_tail(student_of(site, usual_spread, limit), df);
	result->detectable_bytes = find_detectable(site, usual_spread, limit, least_bytes,
		gate_student_quantile(alpha, df) + gate_student_quantile(1 - POWER, df));
	result->detectable = result->detectable_bytes / site->base_bytes;
	result->sd = sqrt(variance);
	result->fails = result->p_value <= alpha && growth > 0 && growth >= least_bytes;
}
