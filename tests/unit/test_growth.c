/* test_growth.c - ranges of growth, p-values and discoveries, against fixed vectors. */
#undef NDEBUG
#include <math.h>

#include "analyzer/stats/growth.h"
#include "sample_math.h"
#include "tests/unit/tap.h"

#define R512K      UINT64_C(524288)
#define UNIT_512K  16
#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))

static void add(struct aggregate *sum, int n, uint64_t size_bytes, uint64_t interval_bytes)
{
	struct estimate_sample sample = { size_bytes, interval_bytes, 0 };

	while (n-- > 0)
		estimate_add_sample(sum, &sample, interval_bytes, UNIT_512K);
}

static struct growth_sides sides_of(int n_born, uint64_t born_size, int n_died, uint64_t died_size)
{
	struct growth_sides sides = { .born_interval_bytes = R512K, .died_interval_bytes = R512K };

	add(&sides.born, n_born, born_size, R512K);
	add(&sides.died, n_died, died_size, R512K);
	return sides;
}

static void test_growth_vectors(void)
{
	static const struct {
		int n_born, n_died;
		uint64_t born_size, died_size;
		double bytes, lo, hi, p, p_digit;
	} rows[] = {
		{ 6, 0, 4096, 4096, 3158032, 385604, 6859369, .01255, 5e-6 },
		{ 10, 2, 4096, 4096, 4210709, 342760, 8707629, .01612, 5e-6 },
		{ 40, 20, 256, 256, 10488320, 2212555, 19103979, .00618, 5e-6 },
		{ 1, 1, 8 << 20, 4 << 20, 4192897, 2257162, 6116010, .000444, 5e-7 },
	};
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		struct growth_sides sides = sides_of(
			rows[i].n_born, rows[i].born_size, rows[i].n_died, rows[i].died_size);
		struct growth growth = growth_estimate(&sides, INTERVAL_Z95);

		/* Up to half a byte of rounding for each sample. */
		CHECK_NEAR(growth.bytes, rows[i].bytes, 20);
		CHECK_NEAR(growth.range.lo, rows[i].lo, 20);
		CHECK_NEAR(growth.range.hi, rows[i].hi, 20);
		CHECK_NEAR(growth_p_value(&sides, 0), rows[i].p, 1.02 * rows[i].p_digit);
	}
}

static void test_p_values_of_births_alone(void)
{
	static const struct {
		int n;
		double p, p_digit;
	} rows[] = { { 5, .0249, 5e-5 }, { 10, .00101, 5e-6 }, { 15, 4.88e-5, 5e-8 },
		{ 20, 2.7e-6, 5e-8 } };
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		struct growth_sides sides = sides_of(rows[i].n, 16, 0, 0);

		CHECK_NEAR(growth_p_value(&sides, 0), rows[i].p, 1.02 * rows[i].p_digit);
	}
}

static void test_p_value_and_range_agree(void)
{
	struct growth_sides sides = sides_of(12, 1000, 3, 1000);
	/* Two-sided 95 % leaves 2.5 % below the lower limit. */
	double lo = growth_estimate(&sides, INTERVAL_Z95).range.lo;

	CHECK_NEAR(growth_p_value(&sides, lo), .025, 1e-6);
	CHECK(growth_p_value(&sides, lo + 1e5) > .025);
	CHECK(growth_p_value(&sides, lo - 1e5) < .025);
}

static void test_p_value_at_the_edges(void)
{
	struct growth_sides sides = sides_of(0, 0, 0, 0);

	CHECK(growth_p_value(&sides, 0) == 1);
	CHECK(growth_p_value(&sides, -1) <= .5);
	sides = sides_of(3, 4096, 3, 4096);
	CHECK(growth_p_value(&sides, 0) == 1);
	sides = sides_of(3, 4096, 4, 4096);
	CHECK(growth_p_value(&sides, 0) == 1);
	/* The least growth there is: uncertain, hence near one half. */
	sides = sides_of(100, 4096, 100, 4095);
	CHECK(growth_p_value(&sides, 0) <= .5);
	CHECK(growth_p_value(&sides, 0) > .4);
	/* What is not a number is no evidence. */
	sides.born.variance = NAN;
	CHECK(growth_p_value(&sides, 0) == .5);
	sides.born.bytes = NAN;
	CHECK(growth_p_value(&sides, 0) == 1);
}

static void test_exact_interval_is_certain(void)
{
	struct growth_sides sides = { .born_interval_bytes = 1, .died_interval_bytes = 1 };
	struct growth growth;

	add(&sides.born, 2, 100, 1);
	add(&sides.died, 1, 50, 1);
	growth = growth_estimate(&sides, INTERVAL_Z95);
	CHECK(growth.bytes == 150 && growth.range.lo == 150 && growth.range.hi == 150);
	CHECK(growth_p_value(&sides, 0) < 1e-300);
	CHECK(growth_p_value(&sides, 150) == 1);
	CHECK(growth_resolution_bytes(1, INTERVAL_Z95) == 0);
	CHECK(growth_resolution_bytes(0, INTERVAL_Z95) == 0);
}

static void test_nothing_seen_has_the_resolution_of_the_interval(void)
{
	struct growth_sides sides = sides_of(0, 0, 0, 0);
	struct growth growth = growth_estimate(&sides, INTERVAL_Z95);

	CHECK(growth.bytes == 0);
	CHECK_NEAR(growth.range.hi, 1923095, 1);
	CHECK_NEAR(growth.range.lo, -1923095, 1);
	CHECK(growth_resolution_bytes(R512K, INTERVAL_Z95) == growth.range.hi);
}

/* Two processes may have been sampled at different intervals. */
static void test_each_side_has_its_interval(void)
{
	struct growth_sides sides = { .born_interval_bytes = 4 * R512K,
		.died_interval_bytes = R512K };
	struct growth growth = growth_estimate(&sides, INTERVAL_Z95);

	CHECK_NEAR(growth.range.hi, 4 * 1923095, 4);
	CHECK_NEAR(growth.range.lo, -1923095, 1);
}

static void test_discoveries(void)
{
	double five[] = { .6, .011, .0002, .04, .009 };
	double none[] = { .5, .06, .9 };
	double ties[] = { .03, .03, .03, .9 };
	double step_up[] = { .04, .045, .05 };

	CHECK(growth_discovery_limit(five, 5, .05) == .04);
	CHECK(five[0] == .0002 && five[4] == .6);
	CHECK(growth_discovery_limit(none, 3, .05) == -1);
	CHECK(growth_discovery_limit(ties, 4, .05) == .03);
	/* None but the last is below its own line, and yet all are discoveries. */
	CHECK(growth_discovery_limit(step_up, 3, .05) == .05);
	CHECK(growth_discovery_limit(NULL, 0, .05) == -1);
}

int main(void)
{
	TAP_RUN(test_growth_vectors);
	TAP_RUN(test_p_values_of_births_alone);
	TAP_RUN(test_p_value_and_range_agree);
	TAP_RUN(test_p_value_at_the_edges);
	TAP_RUN(test_exact_interval_is_certain);
	TAP_RUN(test_nothing_seen_has_the_resolution_of_the_interval);
	TAP_RUN(test_each_side_has_its_interval);
	TAP_RUN(test_discoveries);
	return tap_done();
}
