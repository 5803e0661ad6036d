/*
 * test_lifetimes.c - the life table against fixed vectors, and against simulated streams of blocks
 * whose law of lifetimes is known. Seeds are fixed, so each run gives the same figures.
 */
#undef NDEBUG
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/stats/lifetimes.h"
#include "sample_math.h"
#include "tests/unit/tap.h"

#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))
#define MS         1e6
#define SECOND     1e9
#define WINDOW_NS  (60 * SECOND)

/* ---- vectors ---- */

static void test_table_vector(void)
{
	static const double entered[] = { 0, 0, 4, 0 }, died[] = { 10, 6, 2, 1 },
			    left[] = { 0, 2, 4, 3 }, expected[] = { .5833, .3141, .2094, .1256 };
	struct lifetimes_input in = { .births = 24 };
	struct lifetimes table;
	int j;

	/* The middle of a bucket, where half of it is left. */
	for (j = 0; j < 4; j++) {
		double middle_ns = 1.5 * ldexp(1, j + 10);

		lifetimes_add_entered(&in, middle_ns, entered[j]);
		lifetimes_add_left(&in, middle_ns, left[j]);
		in.died[j + 10] = died[j];
	}
	table = lifetimes_estimate(&in);
	CHECK(table.survival[0] == 1 && table.survival[10] == 1);
	for (j = 0; j < 4; j++)
		CHECK_NEAR(table.survival[j + 11], expected[j], 5e-5);
	CHECK(table.survival[LIFETIMES_BUCKETS] == table.survival[14]);
}

static void test_ages_inside_a_bucket(void)
{
	struct lifetimes_input in = { .births = 100 }, early = in, sum = in;

	/* Half of a bucket on, half of it is left. */
	lifetimes_add_entered(&in, 1.5 * 1024, 8);
	CHECK_NEAR(in.exposure[10], 4, 1e-12);
	CHECK_NEAR(in.net[10], 8, 0);
	lifetimes_add_left(&early, 1024 + 256, 8);
	CHECK_NEAR(early.exposure[10], -6, 1e-12);
	CHECK_NEAR(early.net[10], -8, 0);
	lifetimes_add(&sum, &early);
	CHECK(sum.births == 200 && sum.net[10] == -8);
	/* The first bucket begins at 0, the last one takes all that is older. */
	lifetimes_add_left(&early, 0, 1);
	lifetimes_add_left(&early, 1, 1);
	CHECK_NEAR(early.net[0], -2, 0);
	CHECK_NEAR(early.exposure[0], -1.5, 1e-12);
	lifetimes_add_left(&early, ldexp(1, 55), 1);
	CHECK_NEAR(early.net[LIFETIMES_BUCKETS - 1], -1, 0);
	CHECK_NEAR(early.exposure[LIFETIMES_BUCKETS - 1], 0, 0);
}

static void test_survival_between_the_edges(void)
{
	struct lifetimes_input in = { .births = 100 };
	struct lifetimes_median median;
	struct lifetimes table;

	in.died[20] = 75;
	in.died[30] = 25;
	table = lifetimes_estimate(&in);
	CHECK_NEAR(lifetimes_survival(&table, ldexp(1, 20)), 1, 0);
	CHECK_NEAR(lifetimes_survival(&table, ldexp(1, 21)), .25, 1e-12);
	CHECK_NEAR(lifetimes_survival(&table, 1.5 * ldexp(1, 20)), .5, 1e-12);
	median = lifetimes_median(&table, INFINITY, INFINITY, INTERVAL_Z95);
	CHECK_NEAR(median.ns, ldexp(sqrt(2), 20), 1);
	CHECK(median.range.lo == ldexp(1, 20) && median.range.hi == ldexp(1, 21));
	CHECK(!median.is_one_bucket);
	median = lifetimes_median(&table, INFINITY, ldexp(1, 20), INTERVAL_Z95);
	CHECK(isinf(median.ns) && median.range.lo == ldexp(1, 20) && isinf(median.range.hi));
	/* Of few cases it might as well be in a later bucket, or in the first one. */
	median = lifetimes_median(&table, 9, INFINITY, INTERVAL_Z95);
	CHECK(median.range.lo == ldexp(1, 20) && median.range.hi == ldexp(1, 31));
	median = lifetimes_median(&table, 0, INFINITY, INTERVAL_Z95);
	CHECK(median.range.lo == 0 && median.range.hi == ldexp(1, 31));
	/* All of the rest dies in one bucket: in a straight line. */
	CHECK_NEAR(lifetimes_survival(&table, 1.5 * ldexp(1, 30)), .125, 1e-12);
	CHECK_NEAR(lifetimes_survival(&table, ldexp(1, 31)), 0, 0);
	CHECK(lifetimes_survival(&table, 0) == 1 && lifetimes_survival(&table, -1) == 1);
	CHECK(lifetimes_survival(&table, 1e300) == 0);
	in.died[20] = in.died[30] = 0;
	table = lifetimes_estimate(&in);
	CHECK(isinf(lifetimes_median(&table, 100, INFINITY, INTERVAL_Z95).ns));
	in.died[0] = 100;
	table = lifetimes_estimate(&in);
	median = lifetimes_median(&table, INFINITY, INFINITY, INTERVAL_Z95);
	CHECK_NEAR(median.ns, 1, 1e-12);
	CHECK(median.is_one_bucket && median.range.lo == 0 && median.range.hi == 2);
}

/* Wherever in its bucket all die, the figure is off by at most the root of two. */
static void test_median_of_one_lifetime(void)
{
	double lifetime_ns;

	for (lifetime_ns = 1e6; lifetime_ns < 1e9; lifetime_ns *= 1.13) {
		struct lifetimes_input in = { .births = 1000 };
		struct lifetimes_median median;
		struct lifetimes table;

		in.died[ilogb(lifetime_ns)] = 1000;
		table = lifetimes_estimate(&in);
		median = lifetimes_median(&table, 1000, WINDOW_NS, INTERVAL_Z95);
		CHECK(median.is_one_bucket && median.range.lo <= lifetime_ns &&
			lifetime_ns < median.range.hi);
		CHECK(fabs(log2(median.ns / lifetime_ns)) <= .5 + 1e-9);
	}
}

/* More deaths than blocks under watch, or none of these: noise of few samples, or a hostile file.
 */
static void test_amounts_that_do_not_fit(void)
{
	struct lifetimes_input in = { .births = 1 };
	struct lifetimes table;
	int j;

	in.died[10] = 3;
	in.died[20] = 5;
	lifetimes_add_left(&in, 1e9, 7);
	table = lifetimes_estimate(&in);
	for (j = 0; j <= LIFETIMES_BUCKETS; j++)
		CHECK(table.survival[j] == (j <= 10 ? 1 : 0));
	memset(&in, 0, sizeof(in));
	table = lifetimes_estimate(&in);
	CHECK(table.survival[LIFETIMES_BUCKETS] == 1);
}

static void test_range_of_a_share(void)
{
	struct interval range = lifetimes_share_range(27.0 / 30, 30, INTERVAL_Z95);

	CHECK_NEAR(range.lo, .7438, 5e-5);
	CHECK_NEAR(range.hi, .9654, 5e-5);
	range = lifetimes_share_range(0, 12, INTERVAL_Z95);
	CHECK(range.lo == 0 && range.hi > .2 && range.hi < .25);
	range = lifetimes_share_range(1, 12, INTERVAL_Z95);
	CHECK(range.hi == 1 && range.lo > .75 && range.lo < .8);
	range = lifetimes_share_range(.5, 0, INTERVAL_Z95);
	CHECK(range.lo == 0 && range.hi == 1);
	range = lifetimes_share_range(.5, .01, INTERVAL_Z95);
	CHECK(range.lo >= 0 && range.hi <= 1 && range.lo < .1);
}

static void test_parts_of_the_rate(void)
{
	struct lifetimes_input in = { .births = 100 };
	struct lifetimes table;
	struct lifetimes_births births = { { 1000, { 800, 1300 } }, 100, WINDOW_NS };
	struct lifetimes_part young, middle;

	in.died[20] = 90;
	in.died[32] = 8;
	table = lifetimes_estimate(&in);
	young = lifetimes_dying(&table, &births, 0, LIFETIMES_YOUNG_NS, INTERVAL_Z95);
	middle = lifetimes_dying(&table, &births, LIFETIMES_MIDDLE_NS, WINDOW_NS, INTERVAL_Z95);
	CHECK_NEAR(young.share.value, .9, 1e-12);
	CHECK_NEAR(young.rate.value, 900, 1e-9);
	CHECK_NEAR(young.share.range.lo, .8256, 1e-4);
	CHECK_NEAR(young.rate.range.lo, 900 - hypot(200 * .9, 1000 * (.9 - .8256)), .2);
	CHECK_NEAR(young.rate.range.hi, 900 + hypot(300 * .9448, 1000 * (.9448 - .9)), .2);
	CHECK_NEAR(middle.rate.value, 80, 1e-9);
	CHECK(middle.rate.range.lo > 0 && middle.rate.range.lo < 50);
	/* Without an upper limit of the rate there is none of its parts, not even of none. */
	births.rate.range.hi = INFINITY;
	young = lifetimes_dying(&table, &births, ldexp(1, 25), ldexp(1, 26), INTERVAL_Z95);
	CHECK(young.rate.value == 0 && young.rate.range.lo == 0 && isinf(young.rate.range.hi));
	/* What the window is too short for is not known. */
	births.window_ns = 1e8;
	young = lifetimes_dying(&table, &births, 0, LIFETIMES_YOUNG_NS, INTERVAL_Z95);
	CHECK(isnan(young.share.value) && isnan(young.rate.range.lo) && isnan(young.rate.range.hi));
	births.window_ns = LIFETIMES_MIDDLE_NS;
	middle = lifetimes_dying(
		&table, &births, LIFETIMES_MIDDLE_NS, births.window_ns, INTERVAL_Z95);
	CHECK(isnan(middle.rate.value));
}

/* ---- simulation ---- */

static double uniform(struct sample_rng *rng)
{
	return ((double)(sample_rng_next(rng) >> 11) + .5) * 0x1p-53;
}

/* A share of the blocks lives for ever, one for mean[0] and the rest for mean[1] ns. */
struct law {
	const char *name;
	double never, first;
	double mean_ns[2];
	bool fixed; /* for exactly that long, else for an exponential time */
};

static const struct law laws[] = {
	{ "two parts", 0, .9, { 2 * MS, 5 * SECOND }, false },
	{ "exponential, short", 0, 1, { 60 * MS }, false },
	{ "exponential, long", 0, 1, { 20 * SECOND }, false },
	{ "fixed", 0, 1, { 300 * MS }, true },
	{ "fixed, long", 0, 1, { 6 * SECOND }, true },
	{ "30 % never freed", .3, 1, { 500 * MS }, false },
};

static double law_draw(const struct law *law, struct sample_rng *rng)
{
	double mean_ns;

	if (uniform(rng) < law->never)
		return INFINITY;
	mean_ns = law->mean_ns[uniform(rng) < law->first ? 0 : 1];
	return law->fixed ? mean_ns : -mean_ns * log(uniform(rng));
}

static double law_survival_of(const struct law *law, double age_ns, double mean_ns)
{
	return law->fixed ? age_ns <= mean_ns : exp(-age_ns / mean_ns);
}

static double law_survival(const struct law *law, double age_ns)
{
	double mortal = law->first * law_survival_of(law, age_ns, law->mean_ns[0]);

	if (law->first < 1)
		mortal += (1 - law->first) * law_survival_of(law, age_ns, law->mean_ns[1]);
	return law->never + (1 - law->never) * mortal;
}

/* A window of a stream of equal blocks that began history_ns before it. */
static struct lifetimes_input simulate(const struct law *law, struct sample_rng *rng,
	double window_ns, double history_ns, double births_per_second)
{
	struct lifetimes_input in = { 0 };
	double born_ns = -history_ns;

	for (;;) {
		double lifetime_ns = law_draw(law, rng), died_ns;

		born_ns -= log(uniform(rng)) * SECOND / births_per_second;
		died_ns = born_ns + lifetime_ns;
		if (born_ns > window_ns)
			return in;
		if (died_ns <= 0)
			continue;
		if (born_ns > 0)
			in.births++;
		else
			lifetimes_add_entered(&in, -born_ns, 1);
		if (died_ns <= window_ns)
			in.died[lifetime_ns < 2 ? 0 : ilogb(lifetime_ns)]++;
		else
			lifetimes_add_left(&in, window_ns - born_ns, 1);
	}
}

/* From a cold start, and with five minutes of history: within .02 of the truth. */
static void test_calibration_of_the_table(void)
{
	static const double histories_ns[] = { 0, 300 * SECOND };
	struct sample_rng rng;
	size_t i, k;
	int j;

	sample_rng_seed(&rng, 7);
	for (i = 0; i < N_ELEMS(laws); i++) {
		for (k = 0; k < N_ELEMS(histories_ns); k++) {
			struct lifetimes_input in =
				simulate(&laws[i], &rng, WINDOW_NS, histories_ns[k], 2000);
			struct lifetimes table = lifetimes_estimate(&in);
			double worst = 0;

			for (j = 20; j <= 35; j++)
				worst = fmax(worst, fabs(table.survival[j] -
							    law_survival(&laws[i], ldexp(1, j))));
			printf("# %s, %s: %.4f\n", laws[i].name, k ? "running" : "cold", worst);
			CHECK(worst <= .02);
		}
	}
}

/* Where a window ends inside a bucket, as most do: the share that outlives the window. */
static void test_windows_that_cut_a_bucket(void)
{
	static const double windows_ns[] = { .2 * SECOND, 1.2 * SECOND, 1.6 * SECOND, 12 * SECOND };
	static const double histories_ns[] = { 0, 300 * SECOND };
	struct sample_rng rng;
	size_t i, k, w;

	sample_rng_seed(&rng, 11);
	for (w = 0; w < N_ELEMS(windows_ns); w++) {
		double worst = 0;

		for (i = 0; i < N_ELEMS(laws); i++) {
			for (k = 0; k < N_ELEMS(histories_ns); k++) {
				struct lifetimes_input in;
				struct lifetimes table;
				double error;

				/* A step is not in the model of what happens inside a bucket. */
				if (laws[i].fixed)
					continue;
				in = simulate(&laws[i], &rng, windows_ns[w], histories_ns[k],
					histories_ns[k] > 0 ? 2000 : 100000);
				table = lifetimes_estimate(&in);
				error = lifetimes_survival(&table, windows_ns[w]) -
					law_survival(&laws[i], windows_ns[w]);
				worst = fmax(worst, fabs(error));
			}
		}
		printf("# window of %.1f s: %.4f\n", windows_ns[w] / SECOND, worst);
		CHECK(worst <= .02);
	}
}

static double poisson(struct sample_rng *rng, double mean)
{
	double n = 0, sum = -log(uniform(rng));

	for (; sum < mean; n++)
		sum -= log(uniform(rng));
	return n;
}

/* The range of what dies young, over samples of small blocks: all have one weight, here 1. */
static void test_cover_of_young_rates(void)
{
	static const double means[] = { 4, 10, 40, 200 }, shares[] = { .1, .5, .9, 1 };
	struct sample_rng rng;
	size_t i, j;
	int run;

	sample_rng_seed(&rng, 13);
	for (i = 0; i < N_ELEMS(means); i++) {
		for (j = 0; j < N_ELEMS(shares); j++) {
			double truth = means[i] * shares[j], covered = 0, above = 0;

			for (run = 0; run < 2000; run++) {
				double died = poisson(&rng, truth);
				double n = died + poisson(&rng, means[i] - truth);
				struct lifetimes_input in = { .births = n };
				struct lifetimes_births births = { .n = n, .window_ns = SECOND };
				struct lifetimes table;
				struct interval range;

				in.died[20] = died;
				table = lifetimes_estimate(&in);
				births.rate.value = n;
				births.rate.range.lo = interval_poisson_lo(n, INTERVAL_Z95);
				births.rate.range.hi = interval_poisson_hi(n, INTERVAL_Z95);
				range = lifetimes_dying(
					&table, &births, 0, LIFETIMES_YOUNG_NS, INTERVAL_Z95)
						.rate.range;
				covered += range.lo <= truth && truth <= range.hi;
				above += range.lo > truth;
			}
			printf("# %g samples, %g of them young: covered %.3f, above %.4f\n",
				means[i], shares[j], covered / run, above / run);
			CHECK(covered >= .935 * run);
			CHECK(above <= .035 * run);
		}
	}
}

int main(void)
{
	TAP_RUN(test_table_vector);
	TAP_RUN(test_ages_inside_a_bucket);
	TAP_RUN(test_survival_between_the_edges);
	TAP_RUN(test_median_of_one_lifetime);
	TAP_RUN(test_amounts_that_do_not_fit);
	TAP_RUN(test_range_of_a_share);
	TAP_RUN(test_parts_of_the_rate);
	TAP_RUN(test_calibration_of_the_table);
	TAP_RUN(test_windows_that_cut_a_bucket);
	TAP_RUN(test_cover_of_young_rates);
	return tap_done();
}
