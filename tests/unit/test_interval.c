/* test_interval.c - Byar's limits and the ranges of bytes and counts, against fixed vectors. */
#undef NDEBUG
#include <math.h>

#include "analyzer/stats/interval.h"
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

static void test_poisson_limits(void)
{
	static const struct {
		double k, lo, hi;
	} rows[] = { { 0, 0, 3.6680 }, { .3, 0, 4.2790 }, { 1, .0131, 5.5638 },
		{ 2, .2246, 7.2209 }, { 5, 1.6113, 11.6682 }, { 10, 4.7874, 18.3915 },
		{ 100, 81.3621, 121.6279 } };
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		CHECK_NEAR(interval_poisson_lo(rows[i].k, INTERVAL_Z95), rows[i].lo, 5.1e-5);
		CHECK_NEAR(interval_poisson_hi(rows[i].k, INTERVAL_Z95), rows[i].hi, 5.1e-5);
	}
	CHECK(interval_poisson_lo(-1, INTERVAL_Z95) == 0);
	CHECK(interval_poisson_hi(-1, INTERVAL_Z95) == interval_poisson_hi(0, INTERVAL_Z95));
}

/* Rounding weights to whole bytes and the variance to its unit moves a limit by a few bytes. */
static void test_ranges_of_bytes(void)
{
	struct aggregate seven = { 0 }, mixed = { 0 }, large = { 0 }, none = { 0 };
	struct interval range;

	add(&seven, 7, 4096, R512K);
	range = interval_of_bytes(&seven, R512K, INTERVAL_Z95);
	CHECK_NEAR(seven.bytes, 3684370.7, 4);
	CHECK_NEAR(seven.variance / 0x1p38, 6.999964, 2e-6);
	CHECK_NEAR(range.lo, 1484691, 6);
	CHECK_NEAR(range.hi, 7576292, 6);

	add(&mixed, 3, 65536, R512K);
	add(&mixed, 2, 1 << 20, R512K);
	range = interval_of_bytes(&mixed, R512K, INTERVAL_Z95);
	CHECK_NEAR(mixed.bytes, 4098608.8, 3);
	CHECK_NEAR(mixed.variance / 0x1p38, 4.444220, 2e-6);
	CHECK_NEAR(range.lo, 2454067, 6);
	CHECK_NEAR(range.hi, 7472759, 6);

	add(&large, 1, 64 << 20, R512K);
	range = interval_of_bytes(&large, R512K, INTERVAL_Z95);
	CHECK(range.lo == 67108864);
	CHECK_NEAR(range.hi, 69031959, 1);

	range = interval_of_bytes(&none, R512K, INTERVAL_Z95);
	CHECK(range.lo == 0);
	CHECK_NEAR(range.hi, 1923095, 1);
}

static void test_exact_interval_has_no_width(void)
{
	struct aggregate sum = { 0 };
	struct interval range;

	range = interval_of_bytes(&sum, 1, INTERVAL_Z95);
	CHECK(range.lo == 0 && range.hi == 0);
	range = interval_of_count(&sum, 1, INTERVAL_Z95);
	CHECK(range.lo == 0 && range.hi == 0);

	add(&sum, 3, 16, 1);
	add(&sum, 2, 1000000, 1);
	range = interval_of_bytes(&sum, 1, INTERVAL_Z95);
	CHECK(range.lo == 2000048 && range.hi == 2000048);
	range = interval_of_count(&sum, 1, INTERVAL_Z95);
	CHECK(range.lo == 5 && range.hi == 5);
}

static void test_wider_at_higher_confidence(void)
{
	struct aggregate sum = { 0 };
	struct interval range, last = { 1e18, 0 };
	int i;

	add(&sum, 5, 4096, R512K);
	for (i = 0; i <= 38; i++) {
		range = interval_of_bytes(&sum, R512K, i);
		CHECK(range.lo <= last.lo && range.hi > last.hi);
		last = range;
	}
	CHECK(last.lo == 5 * 4096);
}

static void test_ranges_of_counts(void)
{
	struct aggregate one_size = { 0 }, spread = { 0 }, none = { 0 }, huge = { 0 };
	struct aggregate two = { 0 };
	struct interval range;
	double weight, k;

	add(&one_size, 10, 4096, R512K);
	range = interval_of_count(&one_size, R512K, INTERVAL_Z95);
	/* q/p blocks a step, 10/q steps. */
	weight = 16383.91667 / 128.500651;
	k = 1285.00651 / weight;
	CHECK_NEAR(one_size.count, 1285.00651, .01);
	CHECK_NEAR(range.lo, weight * interval_poisson_lo(k, INTERVAL_Z95), .1);
	CHECK_NEAR(range.hi, weight * interval_poisson_hi(k, INTERVAL_Z95), .1);
	CHECK(!interval_count_is_rough(&one_size));

	/* Four times the size is still one kind, a little more is not. */
	spread = one_size;
	add(&spread, 1, 16384, R512K);
	CHECK(!interval_count_is_rough(&spread));
	CHECK(isfinite(interval_of_count(&spread, R512K, INTERVAL_Z95).hi));
	add(&spread, 1, 16385, R512K);
	CHECK(interval_count_is_rough(&spread));
	range = interval_of_count(&spread, R512K, INTERVAL_Z95);
	CHECK(range.lo >= 12 && range.lo < spread.count);
	CHECK(isinf(range.hi));

	/* Nothing sampled, nothing known. */
	CHECK(!interval_count_is_rough(&none));
	range = interval_of_count(&none, R512K, INTERVAL_Z95);
	CHECK(range.lo == 0 && isinf(range.hi));

	/* Blocks that were seen do exist. */
	add(&two, 2, 524288, R512K);
	range = interval_of_count(&two, R512K, INTERVAL_Z95);
	CHECK(range.lo == 2 && range.hi > two.count);

	/* Blocks that cannot be missed. */
	add(&huge, 3, 64 << 20, R512K);
	range = interval_of_count(&huge, R512K, INTERVAL_Z95);
	CHECK(range.lo == 3 && range.hi == 3);
}

int main(void)
{
	TAP_RUN(test_poisson_limits);
	TAP_RUN(test_ranges_of_bytes);
	TAP_RUN(test_exact_interval_has_no_width);
	TAP_RUN(test_wider_at_higher_confidence);
	TAP_RUN(test_ranges_of_counts);
	return tap_done();
}
