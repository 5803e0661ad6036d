/*
 * test_sample_math.c - gaps, weights and thinning against libm, against fixed vectors, and by
 * counting. All seeds are fixed; a tolerance of 4 standard deviations says so where it is used.
 */
#undef NDEBUG
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "sample_math.h"
#include "tests/unit/tap.h"

#define R512K      UINT64_C(524288)
#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))

/* 1..2^bits - 1, each power of two as likely as the next, so that every magnitude is met. */
static uint64_t any_magnitude(struct sample_rng *rng, unsigned bits)
{
	uint64_t top = UINT64_C(1) << sample_rng_next(rng) % bits;

	return top + (sample_rng_next(rng) & (top - 1));
}

static long double probability(uint64_t size, uint64_t interval_bytes)
{
	return interval_bytes <= 1
		       ? 1
		       : -expm1l(-(long double)(size ? size : 1) / (long double)interval_bytes);
}

static void test_generator_is_splitmix64(void)
{
	static const uint64_t expected[] = { UINT64_C(6457827717110365317),
		UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
		UINT64_C(4593380528125082431), UINT64_C(16408922859458223821) };
	struct sample_rng rng = { 1234567 };
	size_t i;

	for (i = 0; i < N_ELEMS(expected); i++)
		CHECK(sample_rng_next(&rng) == expected[i]);
	CHECK(sizeof(rng) == 8);
}

/* Neighbouring seeds: every output bit is set in half of the first draws, 4 sd either way. */
static void test_neighbouring_seeds_are_unrelated(void)
{
	enum { N_SEEDS = 10000 };
	int ones[64] = { 0 }, flips[64] = { 0 };
	uint64_t last = 0;
	int seed, bit;

	for (seed = 0; seed < N_SEEDS; seed++) {
		struct sample_rng rng;
		uint64_t draw;

		sample_rng_seed(&rng, (uint64_t)seed);
		draw = sample_rng_next(&rng);
		for (bit = 0; bit < 64; bit++) {
			ones[bit] += draw >> bit & 1;
			flips[bit] += (draw ^ last) >> bit & 1;
		}
		last = draw;
	}
	for (bit = 0; bit < 64; bit++) {
		CHECK_NEAR(ones[bit], N_SEEDS / 2, 4 * 50);
		CHECK_NEAR(flips[bit], N_SEEDS / 2, 4 * 50);
	}
}

static void test_tables_hold_logarithms_and_powers(void)
{
	int i;

	for (i = 0; i < 64; i++) {
		long double c = ldexpl((long double)sample_log_table[i].reciprocal_q63, -63);

		CHECK_NEAR((double)fabsl(c - 128.0L / (65 + i)), 0, 0x1p-62);
		CHECK_NEAR((double)fabsl(
				   ldexpl((long double)sample_log_table[i].log_q64, -64) - logl(c)),
			0, 0x1p-62);
		CHECK_NEAR((double)fabsl(ldexpl((long double)sample_exp2_table[i], -64) -
					 exp2l(-i / 64.0L)),
			0, 0x1p-62);
	}
}

static void check_gap(uint64_t random64, uint64_t interval_bytes)
{
	long double u = ldexpl((long double)random64 + 1, -64);
	/* -ln of a number near 1: from the exact complement, 2^64 - 1 - random64. */
	long double log_u = random64 >> 63
				    ? -log1pl(-ldexpl((long double)(UINT64_MAX - random64), -64))
				    : -logl(u);
	long double expected = floorl(log_u * (long double)interval_bytes);
	long double gap = (long double)sample_gap_bytes(random64, interval_bytes);

	CHECK_NEAR((double)(gap - expected), 0, (double)(1 + expected * 1e-9L));
}

static void test_gap_agrees_with_libm(void)
{
	static const uint64_t intervals[] = { 2, 3, 64, 1000, R512K, R512K + 1, UINT64_C(1) << 33,
		SAMPLE_INTERVAL_MAX };
	struct sample_rng rng;
	uint64_t r;
	size_t i;
	int n, bit;

	sample_rng_seed(&rng, 1);
	for (i = 0; i < N_ELEMS(intervals); i++) {
		for (n = 0; n < 20000; n++)
			check_gap(sample_rng_next(&rng), intervals[i]);
		/* U around every power of two, and close to 1. */
		for (bit = 0; bit < 64; bit++) {
			r = UINT64_C(1) << bit;
			check_gap(r - 2, intervals[i]);
			check_gap(r - 1, intervals[i]);
			check_gap(r, intervals[i]);
			check_gap(UINT64_MAX - r, intervals[i]);
			check_gap(UINT64_MAX - r + 1, intervals[i]);
		}
		check_gap(0, intervals[i]);
		CHECK(sample_gap_bytes(UINT64_MAX, intervals[i]) == 0);
	}
	for (n = 0; n < 200000; n++)
		check_gap(sample_rng_next(&rng) >> (n & 31), 1 + any_magnitude(&rng, 49));
}

/* In relative terms: a large interval makes the whole-byte floor invisible. */
static void test_gap_relative_error(void)
{
	struct sample_rng rng;
	double worst = 0;
	int n;

	sample_rng_seed(&rng, 2);
	for (n = 0; n < 500000; n++) {
		uint64_t random64 = sample_rng_next(&rng);
		long double expected =
			random64 >> 63 ? -log1pl(-ldexpl((long double)(UINT64_MAX - random64), -64))
				       : -logl(ldexpl((long double)random64 + 1, -64));
		long double got =
			ldexpl((long double)sample_gap_bytes(random64, SAMPLE_INTERVAL_MAX), -50);

		if (expected > 1e-5L)
			worst = fmax(worst, (double)fabsl(got / expected - 1));
	}
	printf("# gap: worst relative error %.3g\n", worst);
	CHECK(worst < 1e-9);
}

/* Mean and variance of 4 million gaps within 4 sd: 1 and 1 in units of R (8 in the 4th moment). */
static void test_gap_is_exponential(void)
{
	enum { N_GAPS = 4000000 };
	struct sample_rng rng;
	double sum = 0, sum2 = 0, tail = 0;
	int n;

	sample_rng_seed(&rng, 3);
	for (n = 0; n < N_GAPS; n++) {
		double gap = ((double)sample_gap_bytes(sample_rng_next(&rng), R512K) + .5) /
			     (double)R512K;

		sum += gap;
		sum2 += (gap - 1) * (gap - 1);
		tail += gap > 5;
	}
	CHECK_NEAR(sum / N_GAPS, 1, 4 / sqrt(N_GAPS));
	CHECK_NEAR(sum2 / N_GAPS, 1, 4 * sqrt(8.0 / N_GAPS));
	CHECK_NEAR(tail / N_GAPS, exp(-5), 4 * sqrt(exp(-5) / N_GAPS));
}

static void test_interval_of_one_samples_everything(void)
{
	uint64_t interval;
	int64_t left;

	for (interval = 0; interval <= 1; interval++) {
		static const uint64_t sizes[] = { 0, 1, 16, R512K, UINT64_C(1) << 47 };
		size_t i;

		left = (int64_t)sample_gap_bytes(12345, interval);
		CHECK(left == 0);
		for (i = 0; i < N_ELEMS(sizes); i++) {
			struct sample_weight w = sample_weight(sizes[i], interval, 0);

			CHECK(left - (int64_t)sample_length(sizes[i]) < 0);
			CHECK(w.bytes == sizes[i]);
			CHECK(w.count_1024 == SAMPLE_COUNT_UNIT);
			CHECK(w.variance == 0);
		}
	}
	CHECK(sample_gap_bytes(0, 1) == 0);
}

static void test_weights_at_512_kib(void)
{
	static const struct {
		uint64_t size;
		double p, b, v, c, vc;
	} rows[] = {
		{ 1, 1.907346814e-06, 524288.5, 2.748779069e11, 524288.5, 2.748779069e11 },
		{ 16, 3.051711247e-05, 524296, 2.748779069e11, 32768.5, 1073741824 },
		{ 4096, 0.00778206174, 526338.6667, 2.748765088e11, 128.500651, 16383.91667 },
		{ 65536, 0.1175030974, 557738.489, 2.745202724e11, 8.510413955, 63.91673173 },
		{ 524288, 0.6321205588, 829411.4037, 2.530728306e11, 1.581976707, 0.9206735942 },
		{ 1048576, 0.8646647168, 1212696.644, 1.990285539e11, 1.156517643, 0.1810154152 },
		{ 4194304, 0.9996645374, 4195711.504, 5.905482434e9, 1.000335575, 0.0003356878 },
	};
	size_t i;

	CHECK(sample_variance_unit_log2(R512K) == 16);
	for (i = 0; i < N_ELEMS(rows); i++) {
		struct sample_weight fine = sample_weight(rows[i].size, R512K, 0);
		struct sample_weight coarse = sample_weight(rows[i].size, R512K, 16);
		double c = rows[i].c;

		/* To the digits of the row, or to the unit of the field. */
		CHECK_NEAR((double)fine.bytes, rows[i].b, .5 + 1e-9 * rows[i].b);
		CHECK_NEAR((double)fine.variance, rows[i].v, .5 + 2e-9 * rows[i].v);
		CHECK_NEAR((double)coarse.variance, rows[i].v / 65536, .5001);
		CHECK_NEAR((double)fine.count_1024 / 1024, c, .5001 / 1024 + 2e-9 * c);
		CHECK_NEAR(1 / c, rows[i].p, 1e-9);
		CHECK_NEAR(c * (c - 1) / rows[i].vc, 1, 1e-6);
	}
}

static void test_weights_agree_with_libm(void)
{
	struct sample_rng rng;
	double worst_b = 0, worst_c = 0, worst_v = 0, worst_chance = 0;
	int n;

	sample_rng_seed(&rng, 4);
	for (n = 0; n < 1000000; n++) {
		uint64_t size = any_magnitude(&rng, 48), interval = any_magnitude(&rng, 50);
		unsigned doublings = (unsigned)(sample_rng_next(&rng) % 18);
		unsigned unit = sample_variance_unit_log2(interval >> doublings);
		struct sample_weight w;
		long double x, p, b, c, v, chance;

		/* Half of the time within the range where neither limit holds. */
		if (n & 1)
			size = 1 + interval / 64 * (sample_rng_next(&rng) % 4096) % SAMPLE_SIZE_MAX;
		if (size > SAMPLE_SIZE_MAX)
			size = SAMPLE_SIZE_MAX;
		w = sample_weight(size, interval, unit);
		x = (long double)size / (long double)interval;
		p = probability(size, interval);
		b = (long double)size / p;
		c = 1024 / p;
		v = interval <= 1 ? 0 : ldexpl(b * b * expl(-x), -(int)unit);
		chance = interval <= 1 ? 0 : b * b * expl(-x) / (long double)interval;
		worst_b = fmax(
			worst_b, (double)(fabsl((long double)w.bytes - b) / (.5L + 1e-9L * b)));
		worst_c = fmax(worst_c,
			(double)(fabsl((long double)w.count_1024 - c) / (.5626L + 1e-9L * c)));
		worst_v = fmax(
			worst_v, (double)(fabsl((long double)w.variance - v) / (.5L + 1e-9L * v)));
		worst_chance = fmax(worst_chance,
			(double)(fabsl((long double)w.chance - chance) / (1 + 2e-9L * chance)));
		CHECK(w.chance <= w.bytes);
	}
	printf("# weights: error over tolerance, bytes %.3f, count %.3f, variance %.3f, chance "
	       "%.3f\n",
		worst_b, worst_c, worst_v, worst_chance);
	CHECK(worst_chance <= 1.0001);
	CHECK(worst_b <= 1.0001);
	CHECK(worst_c <= 1.0001);
	CHECK(worst_v <= 1.0001);
}

static void test_weights_at_the_edges(void)
{
	struct sample_weight w = sample_weight(0, R512K, 16);

	/* No bytes, but a block: counted as if of one byte. */
	CHECK(w.bytes == 0);
	CHECK(w.variance == 0);
	CHECK(w.count_1024 == sample_weight(1, R512K, 16).count_1024);

	w = sample_weight(1, SAMPLE_INTERVAL_MAX, 78);
	CHECK(w.bytes == SAMPLE_INTERVAL_MAX + 1 || w.bytes == SAMPLE_INTERVAL_MAX);
	CHECK(w.count_1024 == (SAMPLE_INTERVAL_MAX << 10) + 512);
	CHECK(w.variance == UINT64_C(1) << 22);

	w = sample_weight(SAMPLE_SIZE_MAX, 2, 0);
	CHECK(w.bytes == SAMPLE_SIZE_MAX && w.count_1024 == 1024 && w.variance == 0);

	/* Beyond the range: as at its end, never undefined. */
	w = sample_weight(UINT64_MAX, UINT64_MAX, 78);
	CHECK(w.bytes == sample_weight(SAMPLE_SIZE_MAX, SAMPLE_INTERVAL_MAX, 78).bytes);
	CHECK(sample_gap_bytes(0, UINT64_MAX) == sample_gap_bytes(0, SAMPLE_INTERVAL_MAX));

	/* More than a word holds: the variance stops. */
	CHECK(sample_weight(16, SAMPLE_INTERVAL_MAX, 0).variance == UINT64_MAX);
}

static void test_variance_unit(void)
{
	unsigned i;

	CHECK(sample_variance_unit_log2(0) == 0);
	CHECK(sample_variance_unit_log2(1) == 0);
	CHECK(sample_variance_unit_log2(4095) == 0);
	CHECK(sample_variance_unit_log2(4096) == 2);
	CHECK(sample_variance_unit_log2(SAMPLE_INTERVAL_MAX) == 78);
	/* A small block's variance, R^2, keeps at least 22 bits wherever there are so many. */
	for (i = 11; i <= 50; i++) {
		uint64_t r = UINT64_C(1) << i;

		CHECK(sample_weight(1, r, sample_variance_unit_log2(r)).variance >= (1u << 22) - 1);
	}
	/* Twenty doublings do not reach the end of the word. */
	CHECK(sample_weight(1, (R512K * 2 - 1) << 19, 16).variance < UINT64_MAX);
}

static void test_gaps_and_weights_leave_errno(void)
{
	errno = 77;
	sample_weight(123, 457, 0);
	sample_gap_bytes(99, R512K);
	sample_belongs(1, 2, 3, 4);
	CHECK(errno == 77);
}

static void test_keep_vectors(void)
{
	static const struct {
		uint64_t size;
		double keep;
	} rows[] = { { 16, .50000381 }, { 4096, .50097656 }, { 262144, .56217650 },
		{ 524288, .62245933 }, { 1048576, .73105858 }, { 4194304, .98201379 } };
	uint64_t threshold;
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		double keep = (double)sample_keep_threshold(rows[i].size, R512K, 2 * R512K);

		CHECK_NEAR(keep / 0x1p32, rows[i].keep, 5.1e-9);
	}
	CHECK(sample_keep_threshold(4096, R512K, R512K) == SAMPLE_KEEP_ALL);
	CHECK(sample_keep_threshold(4096, R512K, 1) == SAMPLE_KEEP_ALL);
	CHECK(sample_keep_threshold(0, 1, 1) == SAMPLE_KEEP_ALL);
	CHECK(sample_keep_threshold(UINT64_C(1) << 40, R512K, 2 * R512K) == SAMPLE_KEEP_ALL);
	CHECK(sample_belongs(UINT32_MAX, UINT64_C(1) << 40, R512K, 2 * R512K));
	CHECK(!sample_belongs(UINT32_MAX, 4096, R512K, 2 * R512K));
	CHECK(sample_belongs(0, 4096, R512K, R512K << 20));
	/* u counts from 0: the threshold itself is the first that does not belong. */
	threshold = sample_keep_threshold(4096, R512K, 2 * R512K);
	CHECK(sample_belongs((uint32_t)threshold - 1, 4096, R512K, 2 * R512K));
	CHECK(!sample_belongs((uint32_t)threshold, 4096, R512K, 2 * R512K));
	/* Zero bytes thin like one byte. */
	CHECK(sample_keep_threshold(0, 1, 64) == sample_keep_threshold(1, 1, 64));
}

static void test_keep_agrees_with_libm(void)
{
	struct sample_rng rng;
	int n;

	sample_rng_seed(&rng, 5);
	for (n = 0; n < 300000; n++) {
		uint64_t size = any_magnitude(&rng, 48), from = any_magnitude(&rng, 40);
		uint64_t to = n & 1 ? from << (n >> 1) % 10 : from + any_magnitude(&rng, 40);
		long double keep = probability(size, to) / probability(size, from) * 0x1p32L;

		CHECK_NEAR((double)sample_keep_threshold(size, from, to), (double)keep, .6);
	}
}

/* The threshold never rises with the interval, be it a power of two away or one byte. */
static void test_levels_are_nested(void)
{
	struct sample_rng rng;
	int n, i;

	sample_rng_seed(&rng, 6);
	for (n = 0; n < 20000; n++) {
		uint64_t from = any_magnitude(&rng, 30), size = any_magnitude(&rng, 48);
		uint64_t last = SAMPLE_KEEP_ALL, to = from;

		/* Half of the sizes where a sample is almost certain, and thresholds almost tie. */
		if (n & 1)
			size = from * (1 + sample_rng_next(&rng) % 200);
		for (i = 0; i < 21; i++) {
			uint64_t threshold = sample_keep_threshold(size, from, to << i);

			CHECK(threshold <= last);
			last = threshold;
		}
		last = SAMPLE_KEEP_ALL;
		to = from + sample_rng_next(&rng) % (4 * from);
		for (i = 0; i < 20; i++) {
			uint64_t threshold = sample_keep_threshold(size, from, to + (uint64_t)i);

			CHECK(threshold <= last);
			last = threshold;
		}
	}
}

/* Sampled share of each size in a mixed stream against p, 4 sd. */
static void check_inclusion(const uint64_t *sizes, unsigned n_sizes, uint64_t interval_bytes,
	int n_allocations, uint64_t seed)
{
	uint64_t seen[8] = { 0 }, sampled[8] = { 0 };
	struct sample_rng rng, mix;
	int64_t left;
	unsigned i;
	int n;

	sample_rng_seed(&rng, seed);
	sample_rng_seed(&mix, seed + 1);
	left = (int64_t)sample_gap_bytes(sample_rng_next(&rng), interval_bytes);
	for (n = 0; n < n_allocations; n++) {
		i = (unsigned)(sample_rng_next(&mix) >> 32) % n_sizes;
		seen[i]++;
		left -= (int64_t)sizes[i];
		if (left < 0) {
			sampled[i]++;
			left = (int64_t)sample_gap_bytes(sample_rng_next(&rng), interval_bytes);
		}
	}
	for (i = 0; i < n_sizes; i++) {
		double p = (double)probability(sizes[i], interval_bytes), expected = p * seen[i];
		double sd = sqrt(expected * (1 - p));

		printf("# R %llu, %llu bytes: p %.8g, sampled %.8g, %+.2f sd\n",
			(unsigned long long)interval_bytes, (unsigned long long)sizes[i], p,
			(double)sampled[i] / (double)seen[i],
			sd > 0 ? ((double)sampled[i] - expected) / sd : 0);
		CHECK_NEAR((double)sampled[i], expected, 4 * sd + 1e-3);
	}
}

static void test_inclusion_rates(void)
{
	static const uint64_t wide[] = { 16, 256, 4096, 32768, 262144, 524288, 1 << 20, 8 << 20 };
	static const uint64_t small[] = { 16, 64, 256 };

	check_inclusion(wide, N_ELEMS(wide), R512K, 60000000, 7);
	check_inclusion(small, N_ELEMS(small), 64, 10000000, 9);
}

int main(void)
{
	TAP_RUN(test_generator_is_splitmix64);
	TAP_RUN(test_neighbouring_seeds_are_unrelated);
	TAP_RUN(test_tables_hold_logarithms_and_powers);
	TAP_RUN(test_gap_agrees_with_libm);
	TAP_RUN(test_gap_relative_error);
	TAP_RUN(test_gap_is_exponential);
	TAP_RUN(test_interval_of_one_samples_everything);
	TAP_RUN(test_weights_at_512_kib);
	TAP_RUN(test_weights_agree_with_libm);
	TAP_RUN(test_weights_at_the_edges);
	TAP_RUN(test_variance_unit);
	TAP_RUN(test_gaps_and_weights_leave_errno);
	TAP_RUN(test_keep_vectors);
	TAP_RUN(test_keep_agrees_with_libm);
	TAP_RUN(test_levels_are_nested);
	TAP_RUN(test_inclusion_rates);
	return tap_done();
}
