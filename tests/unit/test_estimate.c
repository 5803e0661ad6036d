/* test_estimate.c - aggregates: sums of weights, merging, cancelling, lifting. */
#undef NDEBUG
#include <math.h>
#include <string.h>

#include "analyzer/stats/estimate.h"
#include "sample_math.h"
#include "tests/unit/tap.h"

#define R512K     UINT64_C(524288)
#define UNIT_512K 16

static struct estimate_sample sample_of(uint64_t size_bytes, uint32_t u)
{
	struct estimate_sample sample = { size_bytes, R512K, u };

	return sample;
}

static void test_one_sample_has_the_weights_of_the_library(void)
{
	struct estimate_sample sample = sample_of(65536, 0);
	struct sample_weight weight = sample_weight(65536, R512K, UNIT_512K);
	struct aggregate sum = { 0 };

	CHECK(estimate_add_sample(&sum, &sample, R512K, UNIT_512K));
	CHECK(sum.samples == 1);
	CHECK(sum.size_bytes == 65536);
	CHECK(sum.bytes == (double)weight.bytes);
	CHECK(sum.variance == (double)weight.variance * 65536);
	CHECK(sum.count == (double)weight.count_1024 / 1024);
	CHECK_NEAR(sum.count_variance, 63.91673173, .02);
	CHECK(sum.size_min == 65536 && sum.size_max == 65536);
}

static void test_exact_interval_counts_blocks(void)
{
	static const uint64_t sizes[] = { 0, 1, 100, UINT64_C(1) << 40 };
	struct aggregate sum = { 0 };
	int i;

	for (i = 0; i < 4; i++) {
		struct estimate_sample sample = { sizes[i], 1, UINT32_MAX };

		CHECK(estimate_add_sample(&sum, &sample, 1, 0));
	}
	CHECK(sum.samples == 4 && sum.count == 4);
	CHECK(sum.bytes == 0x1p40 + 101 && sum.size_bytes == sum.bytes);
	CHECK(sum.variance == 0 && sum.count_variance == 0);
	CHECK(sum.size_min == 0 && sum.size_max == 0x1p40);
}

/* Sums are the same in any order and grouping, to the bit, and cancel to zero. */
static void test_sums_are_exact(void)
{
	enum { N_SAMPLES = 5000 };
	struct aggregate forward = { 0 }, backward = { 0 }, even = { 0 }, odd = { 0 };
	static struct estimate_sample samples[N_SAMPLES];
	struct sample_rng rng;
	int i;

	sample_rng_seed(&rng, 11);
	for (i = 0; i < N_SAMPLES; i++) {
		samples[i] = sample_of(sample_rng_next(&rng) >> (30 + i % 34), 0);
		estimate_add_sample(&forward, &samples[i], R512K, UNIT_512K);
		estimate_add_sample(i & 1 ? &odd : &even, &samples[i], R512K, UNIT_512K);
	}
	for (i = N_SAMPLES; i-- > 0;)
		estimate_add_sample(&backward, &samples[i], R512K, UNIT_512K);

	CHECK(forward.bytes == backward.bytes && forward.variance == backward.variance);
	CHECK(forward.count == backward.count && forward.size_bytes == backward.size_bytes);
	CHECK(forward.size_min == backward.size_min && forward.size_max == backward.size_max);

	estimate_add(&even, &odd);
	CHECK(even.bytes == forward.bytes && even.variance == forward.variance);
	CHECK(even.count == forward.count && even.samples == N_SAMPLES);
	CHECK(even.size_min == forward.size_min && even.size_max == forward.size_max);

	estimate_subtract(&even, &odd);
	estimate_subtract(&forward, &odd);
	CHECK(forward.bytes == even.bytes && forward.samples == N_SAMPLES / 2);
	estimate_subtract(&forward, &even);
	CHECK(forward.bytes == 0 && forward.variance == 0 && forward.count == 0);
	CHECK(forward.samples == 0 && forward.size_bytes == 0);
	CHECK(forward.size_min == 0 && forward.size_max == 0);
}

static void test_an_empty_part_changes_nothing(void)
{
	struct aggregate sum = { 0 }, empty = { 0 }, before;
	struct estimate_sample sample = sample_of(4096, 0);

	estimate_add_sample(&sum, &sample, R512K, UNIT_512K);
	before = sum;
	estimate_add(&sum, &empty);
	CHECK(memcmp(&sum, &before, sizeof(sum)) == 0);
	estimate_add(&empty, &sum);
	CHECK(memcmp(&sum, &empty, sizeof(sum)) == 0);
}

static void test_lifting_follows_the_rule_of_thinning(void)
{
	struct estimate_sample low = sample_of(4096, 0), high = sample_of(4096, UINT32_MAX);
	struct aggregate sum = { 0 }, drawn_there = { 0 };
	struct estimate_sample large = { 4096, 4 * R512K, 0 };

	/* Half of the small blocks belong at twice the interval: those with small u. */
	CHECK(estimate_add_sample(&sum, &low, 4 * R512K, UNIT_512K));
	CHECK(!estimate_add_sample(&sum, &high, 4 * R512K, UNIT_512K));
	CHECK(sum.samples == 1);
	CHECK(sum.bytes == (double)sample_weight(4096, 4 * R512K, UNIT_512K).bytes);

	/* Once lifted, nothing tells it from a sample drawn at that interval. */
	CHECK(estimate_add_sample(&drawn_there, &large, 4 * R512K, UNIT_512K));
	CHECK(memcmp(&sum, &drawn_there, sizeof(sum)) == 0);

	/* A smaller interval cannot be had any more: the sample stays as it was drawn. */
	memset(&sum, 0, sizeof(sum));
	CHECK(estimate_add_sample(&sum, &large, R512K, UNIT_512K));
	CHECK(memcmp(&sum, &drawn_there, sizeof(sum)) == 0);
	CHECK(estimate_add_sample(&sum, &high, R512K, UNIT_512K));
}

int main(void)
{
	TAP_RUN(test_one_sample_has_the_weights_of_the_library);
	TAP_RUN(test_exact_interval_counts_blocks);
	TAP_RUN(test_sums_are_exact);
	TAP_RUN(test_an_empty_part_changes_nothing);
	TAP_RUN(test_lifting_follows_the_rule_of_thinning);
	return tap_done();
}
