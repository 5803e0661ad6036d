/*
 * test_gate.c - the CI gate: Student's t against tables, the gate against a worked case, and its
 * rates of false alarms and of changes found, simulated from fixed seeds.
 */
#undef NDEBUG
#include <math.h>
#include <stdlib.h>

#include "analyzer/stats/gate.h"
#include "sample_math.h"
#include "tests/unit/tap.h"

#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))
#define MIB        1048576.0
#define R_BYTES    524288.0
#define RUNS_MAX   5
#define SITES      200

static struct sample_rng rng;

/* The unit interval without its ends. */
static double uniform(void)
{
	return ((double)(sample_rng_next(&rng) >> 11) + .5) * 0x1p-53;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

/* Knuth's method for small means, rounding of the normal distribution for large ones. */
static double poisson(double mean)
{
	double product = uniform(), limit = exp(-mean);
	int n = 0;

	if (mean > 200)
		return fmax(nearbyint(mean + sqrt(mean) * normal()), 0);
	for (; product > limit; n++)
		product *= uniform();
	return n;
}

static void test_student_quantiles(void)
{
	/* Upper points from tables; the first row of each df is that of the gate. */
	static const struct {
		double p, df, t, digit;
	} rows[] = { { .01, 4, 3.747, 5e-4 }, { .01, 8, 2.896, 5e-4 }, { .0025, 4, 5.598, 5e-4 },
		{ .0025, 8, 3.833, 5e-4 }, { .025, 1, 12.706, 5e-4 }, { .025, 2, 4.303, 5e-4 },
		{ .05, 3, 2.353, 5e-4 }, { .025, 10, 2.228, 5e-4 }, { .01, 24, 2.492, 5e-4 },
		{ .005, 120, 2.617, 5e-4 }, { .025, INFINITY, 1.959964, 5e-7 },
		{ .0025, INFINITY, 2.807034, 5e-7 }, { .1, 5, 1.476, 5e-4 } };
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		double t = gate_student_quantile(rows[i].p, rows[i].df);

		CHECK_NEAR(t, rows[i].t, 1.02 * rows[i].digit);
		CHECK_NEAR(gate_student_tail(t, rows[i].df) / rows[i].p, 1, 1e-11);
		CHECK_NEAR(gate_student_quantile(1 - rows[i].p, rows[i].df), -t, 1e-9 * t);
	}
	CHECK(gate_student_quantile(.5, 7) < 1e-12);
}

/* One and two degrees of freedom, and four, have closed forms, good also far out. */
static void test_student_tails_against_closed_forms(void)
{
	static const double ts[] = { 1e-9, .1, 1, 2, 5.6, 38, 1e3, 1e6 };
	size_t i;

	for (i = 0; i < N_ELEMS(ts); i++) {
		double t = ts[i], root = sqrt(t * t + 2), s = t / sqrt(4 + t * t);
		/* 1 - s of the last, without the loss of digits. */
		double rest = 4 / (4 + t * t) / (1 + s);

		CHECK_NEAR(gate_student_tail(t, 1) / (atan2(1, t) / M_PI), 1, 1e-12);
		CHECK_NEAR(gate_student_tail(t, 2) / (1 / (root * (root + t))), 1, 1e-12);
		CHECK_NEAR(gate_student_tail(t, 4) / (rest * rest * (2 + s) / 4), 1, 1e-12);
		CHECK_NEAR(gate_student_tail(-t, 4) + gate_student_tail(t, 4), 1, 1e-15);
	}
	CHECK(gate_student_tail(0, 3) == .5);
	CHECK(gate_student_tail(INFINITY, 3) == 0 && gate_student_tail(-INFINITY, 3) == 1);
	CHECK_NEAR(gate_student_tail(2, 1e8), gate_student_tail(2, INFINITY), 1e-7);
}

static void test_total_vector(void)
{
	static const double b[] = { 100, 103, 101 }, c[] = { 118, 121, 115 };
	struct gate_runs base = { b, 3 }, candidate = { c, 3 };
	struct gate_result r;
	double error;

	gate_judge_total(&base, &candidate, .02 * .02, .05, .01, &r);
	CHECK_NEAR(log1p(r.change), .15213, 5e-6);
	CHECK_NEAR(r.sd, .02089, 5e-6);
	error = r.sd * sqrt(2. / 3);
	CHECK_NEAR(log1p(r.change) - 3.747 * error, .08822, 1e-5);
	CHECK(r.fails);
	/* p at the border of what passes, and the range on either side of the figure. */
	CHECK_NEAR(r.p_value, gate_student_tail((.15213 - log(1.05)) / error, 4), 1e-6);
	CHECK(r.range.lo < r.change && r.change < r.range.hi);
	CHECK_NEAR(log1p(r.range.hi), .15213 + 2.776445 * error, 1e-5);
	/* The same runs exchanged have shrunk by as much. */
	gate_judge_total(&candidate, &base, .02 * .02, .05, .01, &r);
	CHECK(!r.fails && r.p_value > .99);
	CHECK_NEAR(log1p(r.change), -.15213, 5e-6);
	/* A sampling variance above that of the runs widens. */
	gate_judge_total(&base, &candidate, .05 * .05, .05, .01, &r);
	CHECK_NEAR(r.sd, .05, 1e-12);
	CHECK(!r.fails);
}

static void test_total_of_runs_that_agree(void)
{
	static const double b[] = { 1000, 1000, 1000 }, c[] = { 1100, 1100, 1100 };
	struct gate_runs base = { b, 3 }, candidate = { c, 3 };
	struct gate_result r;

	gate_judge_total(&base, &candidate, 0, .05, .0025, &r);
	CHECK_NEAR(r.sd, .01, 1e-15);
	/* ln 1.1 - 5.598 * .01 * sqrt(2/3) = .0496 > ln 1.05 = .0488 */
	CHECK(r.fails);
	CHECK_NEAR(r.change, .1, 1e-12);
	gate_judge_total(&base, &base, 0, .05, .0025, &r);
	CHECK(!r.fails && r.change == 0);
	/* Nine in ten of such changes exceed the threshold that just fails. */
	CHECK_NEAR(log1p(r.detectable), log(1.05) + (5.5976 + 1.5332) * .01 * sqrt(2. / 3), 1e-5);
}

static void test_single_runs(void)
{
	static const double b[] = { 1000 }, c[] = { 1500 }, d[] = { 1600 };
	struct gate_runs base = { b, 1 }, less = { c, 1 }, more = { d, 1 };
	struct gate_result r;

	/* ln 1.05 + 2.807 * .1 * sqrt 2 = .4458: fails from +56 % on. */
	gate_judge_total(&base, &less, 0, .05, .0025, &r);
	CHECK(!r.fails);
	CHECK_NEAR(r.sd, .1, 1e-15);
	gate_judge_total(&base, &more, 0, .05, .0025, &r);
	CHECK(r.fails);
	/* One against three: what spread there is to see counts, if it is larger. */
	gate_judge_total(&(struct gate_runs){ (const double[]){ 500, 1000, 2000 }, 3 }, &more, 0,
		.05, .0025, &r);
	CHECK_NEAR(r.sd, log(2), 1e-12);
	CHECK(!r.fails);
}

static void test_total_of_nothing(void)
{
	static const double zero[] = { 0, 0, 0 }, some[] = { 1e6, 1e6, 1e6 };
	struct gate_runs none = { zero, 3 }, candidate = { some, 3 };
	struct gate_result r;

	gate_judge_total(&none, &none, 0, .05, .0025, &r);
	CHECK(!r.fails && r.change == 0);
	gate_judge_total(&none, &candidate, 0, .05, .0025, &r);
	CHECK(r.fails && isfinite(r.change));
}

static void test_site_by_hand(void)
{
	static const double b[] = { 100 * MIB, 104 * MIB, 96 * MIB };
	static const double c[] = { 200 * MIB, 210 * MIB, 190 * MIB };
	struct gate_runs base = { b, 3 }, candidate = { c, 3 };
	struct gate_site site = gate_site_of(&base, &candidate, 75 * MIB * MIB);
	struct gate_result r;
	double var, error;

	CHECK_NEAR(site.run_variance / (MIB * MIB), (32 + 200) / 4., 1e-9);
	CHECK_NEAR(gate_site_excess(&site), (58. - 75) / (150 * 150), 1e-12);
	gate_judge_site(&site, .05, .2, 4 * MIB, .005, &r);
	var = (20 * (75 + 7.5 * 7.5) + 4 * 58) / 24;
	CHECK_NEAR(r.sd, sqrt(var) * MIB, 1);
	error = sqrt(var * (1 + 1.44) / 3);
	CHECK_NEAR(r.p_value / gate_student_tail((200 - 120) / error, 24), 1, 1e-9);
	CHECK(r.fails && r.change == 1);
	/* At the ends of the range the test is just at its edge, by the definition of the range. */
	CHECK_NEAR((200 - (1 + r.range.lo) * 100) / sqrt(var * (1 + pow(1 + r.range.lo, 2)) / 3),
		gate_student_quantile(.025, 24), 1e-6);
	CHECK_NEAR((200 - (1 + r.range.hi) * 100) / sqrt(var * (1 + pow(1 + r.range.hi, 2)) / 3),
		-gate_student_quantile(.025, 24), 1e-6);
	/* As certain as can be, and yet less than what matters. */
	gate_judge_site(&site, .05, .2, 101 * MIB, .005, &r);
	CHECK(!r.fails);
	CHECK(r.detectable_bytes == 101 * MIB);
}

static void test_site_from_nothing(void)
{
	static const double b[] = { 0, 0, 0 }, c[] = { 30 * MIB, 28 * MIB, 32 * MIB };
	struct gate_runs base = { b, 3 }, candidate = { c, 3 };
	struct gate_site site = gate_site_of(&base, &candidate, 8 * MIB * MIB);
	struct gate_result r;

	gate_judge_site(&site, .05, .2, 4 * MIB, .005, &r);
	CHECK(r.fails && isinf(r.change) && isinf(r.range.hi) && r.range.lo > 0);
	site = gate_site_of(&candidate, &base, 8 * MIB * MIB);
	gate_judge_site(&site, .05, .2, 4 * MIB, .005, &r);
	CHECK(!r.fails && r.change == -1 && r.p_value > .5);
	site = gate_site_of(&base, &base, 0);
	gate_judge_site(&site, .05, .2, 0, .005, &r);
	CHECK(!r.fails && r.change == 0);
}

/* What is called detectable is found in 9 of 10 cases, and a spread without bound finds nothing. */
static void test_site_detectable(void)
{
	struct gate_site site = { 100 * MIB, 100 * MIB, 25 * MIB * MIB, 50 * MIB * MIB, 3, 3 };
	struct gate_result r, grown;

	gate_judge_site(&site, .05, .2, 4 * MIB, 1e-5, &r);
	CHECK(r.detectable > .2 && r.detectable < 1);
	site.candidate_bytes += r.detectable_bytes;
	gate_judge_site(&site, .05, .2, 4 * MIB, 1e-5, &grown);
	CHECK(grown.fails);
	CHECK_NEAR((grown.candidate_bytes - 120 * MIB) / (grown.sd * sqrt(2.44 / 3)),
		gate_student_quantile(1e-5, 24) + gate_student_quantile(.1, 24), 1e-6);
	site.candidate_bytes = 100 * MIB;
	gate_judge_site(&site, 2, .2, 4 * MIB, 1e-5, &r);
	CHECK(isinf(r.detectable) && isinf(r.detectable_bytes));
}

static void test_usual_spread(void)
{
	double none[1], low[] = { -.01, .001, 0 }, outlier[SITES];
	size_t i;

	CHECK(gate_usual_spread(none, 0) == .05);
	CHECK(gate_usual_spread(low, 3) == .05);
	CHECK(low[0] == -.01 && low[2] == .001);
	for (i = 0; i < SITES; i++)
		outlier[i] = i < SITES / 100 ? 100 : .04;
	CHECK_NEAR(gate_usual_spread(outlier, SITES), .2, 1e-12);
}

/* Alarms of one total among n gates at run-to-run spread cv, in n tries. */
static int total_alarms(int n, size_t k, double cv, double change, double alpha)
{
	double b[RUNS_MAX], c[RUNS_MAX];
	struct gate_runs base = { b, k }, candidate = { c, k };
	struct gate_result r;
	int i, n_alarms = 0;
	size_t j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < k; j++) {
			b[j] = 1e9 * exp(cv * normal());
			c[j] = 1e9 * (1 + change) * exp(cv * normal());
		}
		gate_judge_total(&base, &candidate, 0, .05, alpha, &r);
		n_alarms += r.fails;
	}
	return n_alarms;
}

static void test_totals_calibrated(void)
{
	static const double cvs[] = { .01, .03, .06, .10 };
	size_t k, i;
	int n;

	sample_rng_seed(&rng, 901);
	for (k = 3; k <= 5; k += 2) {
		for (i = 0; i < N_ELEMS(cvs); i++) {
			n = total_alarms(1000, k, cvs[i], 0, .01);
			printf("# total, k = %zu, spread %2.0f %%: %d false alarms in 1000\n", k,
				100 * cvs[i], n);
			CHECK(n <= 10);
		}
		n = total_alarms(1000, k, .03, .05, .01);
		printf("# total, k = %zu, spread  3 %%, at the limit: %d alarms in 1000\n", k, n);
		CHECK(n <= 20);
		n = total_alarms(1000, k, .03, .20, .01);
		printf("# total, k = %zu, spread  3 %%, +20 %%: %d found in 1000\n", k, n);
		CHECK(n >= (k == 3 ? 650 : 950));
	}
}

/* The change that is called detectable is found in about nine of ten. */
static void test_total_detectable_is_found(void)
{
	double b[3], c[3];
	struct gate_runs base = { b, 3 }, candidate = { c, 3 };
	struct gate_result r;
	double detectable =
		exp(log(1.05) + (gate_student_quantile(.01, 4) + gate_student_quantile(.1, 4)) *
					.03 * sqrt(2. / 3));
	int i, n = 0;
	size_t j;

	sample_rng_seed(&rng, 902);
	for (i = 0; i < 2000; i++) {
		for (j = 0; j < 3; j++) {
			b[j] = exp(20 + .03 * normal());
			c[j] = detectable * exp(20 + .03 * normal());
		}
		gate_judge_total(&base, &candidate, 0, .05, .01, &r);
		n += r.fails;
	}
	printf("# change called detectable, k = 3: %d found in 2000\n", n);
	CHECK(n >= 1560 && n <= 1960);
}

/* The estimate of a site of small blocks that holds bytes. */
static double sampled(double bytes)
{
	return R_BYTES * poisson(bytes / R_BYTES);
}

/*
 * One comparison of SITES sites of 4 MiB..4 GiB, one of 256 MiB (the last) changed by the factor
 * and grown by 8 MiB. Returns how many of the others are called grown.
 */
static int family(size_t k, double cv, bool uneven, double factor, bool *foundp)
{
	static struct gate_site sites[SITES];
	static double excesses[SITES];
	double b[RUNS_MAX], c[RUNS_MAX], spread;
	struct gate_result r;
	int n_alarms = 0;
	size_t i, j, n = 0, n_tested = 0;

	for (i = 0; i < SITES; i++) {
		bool changed = i == SITES - 1;
		double size = changed ? 256 * MIB : 4 * MIB * pow(2, 10 * uniform());
		double grown = changed && factor != 1 ? factor * size + 8 * MIB : size;
		double own = uneven ? cv * (.2 + 1.6 * uniform()) : cv, mean = 0;

		for (j = 0; j < k; j++) {
			b[j] = sampled(size * exp(own * normal()));
			c[j] = sampled(grown * exp(own * normal()));
			mean += (b[j] + c[j]) / (2 * (double)k);
		}
		sites[i] = gate_site_of(
			&(struct gate_runs){ b, k }, &(struct gate_runs){ c, k }, R_BYTES * mean);
		if (mean >= 16 * R_BYTES)
			excesses[n++] = gate_site_excess(&sites[i]);
		n_tested += 2 * (double)k * mean >= 16 * R_BYTES;
	}
	spread = gate_usual_spread(excesses, n);
	for (i = 0; i < SITES; i++) {
		gate_judge_site(&sites[i], spread, .2, 8 * R_BYTES, .005 / (double)n_tested, &r);
		if (i == SITES - 1)
			*foundp = r.fails;
		else
			n_alarms += r.fails;
	}
	return n_alarms;
}

static void test_families_calibrated(void)
{
	static const struct {
		size_t k;
		double cv;
		bool uneven;
		int found; /* at least, of 100 */
	} rows[] = { { 3, .02, false, 95 }, { 3, .05, false, 90 }, { 3, .10, false, 40 },
		{ 3, .10, true, 0 }, { 3, .20, true, 0 }, { 5, .05, false, 95 },
		{ 5, .10, true, 80 }, { 2, .05, false, 50 } };
	size_t i;
	int n, n_alarms, n_found;
	bool found;

	sample_rng_seed(&rng, 903);
	for (i = 0; i < N_ELEMS(rows); i++) {
		for (n = n_alarms = n_found = 0; n < 100; n++) {
			n_alarms += family(rows[i].k, rows[i].cv, rows[i].uneven, 1, &found) > 0;
			family(rows[i].k, rows[i].cv, rows[i].uneven, 2, &found);
			n_found += found;
		}
		printf("# %d sites, k = %zu, spread %2.0f %%%s: %d of 100 families with a false "
		       "alarm, x2 + 8 MiB found %d times\n",
			SITES, rows[i].k, 100 * rows[i].cv, rows[i].uneven ? " (uneven)" : "",
			n_alarms, n_found);
		CHECK(n_alarms <= 3);
		CHECK(n_found >= rows[i].found);
	}
}

int main(void)
{
	TAP_RUN(test_student_quantiles);
	TAP_RUN(test_student_tails_against_closed_forms);
	TAP_RUN(test_total_vector);
	TAP_RUN(test_total_of_runs_that_agree);
	TAP_RUN(test_single_runs);
	TAP_RUN(test_total_of_nothing);
	TAP_RUN(test_site_by_hand);
	TAP_RUN(test_site_from_nothing);
	TAP_RUN(test_site_detectable);
	TAP_RUN(test_usual_spread);
	TAP_RUN(test_totals_calibrated);
	TAP_RUN(test_total_detectable_is_found);
	TAP_RUN(test_families_calibrated);
	return tap_done();
}
