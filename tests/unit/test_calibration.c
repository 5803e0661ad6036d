/*
 * test_calibration.c - whether estimates, ranges and tests keep their word, by simulating the
 * countdown of sample_math.h over streams of allocations whose truth is known.
 *
 * Seeds are fixed, so each run gives the same figures. A bias is held against 3 standard errors of
 * the mean of N_RUNS runs. A coverage of 95 % in 1000 runs has a standard error of 0.7 %; the
 * limits below (93.5 %, 97.5 %) leave two to three of them, and the ranges are conservative.
 */
#undef NDEBUG
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/stats/growth.h"
#include "sample_math.h"
#include "tests/unit/tap.h"

#define R512K      UINT64_C(524288)
#define MIB        UINT64_C(1048576)
#define N_RUNS     1000
#define MAX_LIVE   4096
#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))

/* One thread's countdown, and the samples it has taken. */
struct stream {
	struct sample_rng rng;
	uint64_t interval_bytes;
	int64_t left;
	size_t n_samples;
	struct estimate_sample samples[MAX_LIVE];
};

static void stream_start(struct stream *stream, uint64_t seed, uint64_t interval_bytes)
{
	sample_rng_seed(&stream->rng, seed);
	stream->interval_bytes = interval_bytes;
	stream->n_samples = 0;
	stream->left = (int64_t)sample_gap_bytes(sample_rng_next(&stream->rng), interval_bytes);
}

/* n blocks of one size. Blocks that only shorten the countdown are taken in one step. */
static void stream_allocate(struct stream *stream, uint64_t n, uint64_t size_bytes)
{
	uint64_t length = sample_length(size_bytes);

	while (n > 0) {
		uint64_t unsampled = (uint64_t)stream->left / length;
		struct estimate_sample *sample = &stream->samples[stream->n_samples];

		if (unsampled >= n) {
			stream->left -= (int64_t)(n * length);
			return;
		}
		n -= unsampled + 1;
		if (stream->n_samples == MAX_LIVE) {
			printf("Bail out! a stream holds more than %d samples\n", MAX_LIVE);
			exit(1);
		}
		stream->n_samples++;
		sample->size_bytes = size_bytes;
		sample->birth_interval_bytes = stream->interval_bytes;
		sample->u = (uint32_t)(sample_rng_next(&stream->rng) >> 32);
		stream->left = (int64_t)sample_gap_bytes(
			sample_rng_next(&stream->rng), stream->interval_bytes);
	}
}

/* Sum of the samples from `first` on, as they count at `interval_bytes`. */
static struct aggregate stream_sum(
	const struct stream *stream, size_t first, uint64_t interval_bytes)
{
	unsigned unit = sample_variance_unit_log2(stream->interval_bytes);
	struct aggregate sum = { 0 };
	size_t i;

	for (i = first; i < stream->n_samples; i++)
		estimate_add_sample(&sum, &stream->samples[i], interval_bytes, unit);
	return sum;
}

/* Mean and variance of errors, and how often a range held the truth. */
struct score {
	double n, sum, sum_squares, covered;
};

static void score_add(struct score *score, double error, bool covered)
{
	score->n++;
	score->sum += error;
	score->sum_squares += error * error;
	score->covered += covered;
}

static double score_variance(const struct score *score)
{
	double mean = score->sum / score->n;

	return (score->sum_squares - score->n * mean * mean) / (score->n - 1);
}

/* Mean error in units of its standard error. */
static double score_bias(const struct score *score)
{
	double variance = score_variance(score);

	return variance > 0 ? score->sum / score->n / sqrt(variance / score->n) : 0;
}

static double score_cover(const struct score *score)
{
	return score->covered / score->n;
}

static bool holds(struct interval range, double truth)
{
	return range.lo <= truth && truth <= range.hi;
}

/* A mix: so many blocks of each size, in rounds, until `total_bytes` are reached. */
struct mix {
	const char *name;
	int n_sizes;
	struct {
		uint64_t n, size_bytes;
	} round[6];
};

static const struct mix mixes[] = {
	{ "16 B", 1, { { 64, 16 } } },
	{ "4 KiB", 1, { { 1, 4096 } } },
	{ "64 KiB", 1, { { 1, 65536 } } },
	{ "512 KiB", 1, { { 1, 524288 } } },
	{ "2 MiB", 1, { { 1, 2 * 1048576 } } },
	{ "0 and 100 B", 2, { { 100, 0 }, { 100, 100 } } },
	{ "48 B, 3 KB, 200 KB", 3, { { 4000, 48 }, { 70, 3000 }, { 1, 200000 } } },
	{ "16 B and 1 MiB", 2, { { 65536, 16 }, { 1, 1048576 } } },
	{ "six sizes to 4 MiB", 6,
		{ { 10000, 24 }, { 1000, 256 }, { 50, 4000 }, { 5, 65536 }, { 1, 700000 },
			{ 1, 4 * 1048576 } } },
};

/* Allocates whole rounds up to the given total; returns the bytes, adds up the blocks. */
static double allocate_mix(
	struct stream *stream, const struct mix *mix, uint64_t total_bytes, double *n_blocks)
{
	uint64_t allocated = 0;
	int i;

	do {
		for (i = 0; i < mix->n_sizes; i++) {
			stream_allocate(stream, mix->round[i].n, mix->round[i].size_bytes);
			allocated += mix->round[i].n * mix->round[i].size_bytes;
			*n_blocks += (double)mix->round[i].n;
		}
	} while (allocated < total_bytes);
	return (double)allocated;
}

static struct stream stream;

/* Bias of bytes and counts, honesty of the variance, cover of the byte range, mix by mix. */
static void check_mix(const struct mix *mix, uint64_t total_bytes, uint64_t seed)
{
	struct score bytes = { 0 }, count = { 0 };
	double variance = 0, expected_variance, samples = 0;
	int run;

	for (run = 0; run < N_RUNS; run++) {
		double true_count = 0, true_bytes;
		struct aggregate sum;

		stream_start(&stream, seed * N_RUNS + (uint64_t)run, R512K);
		true_bytes = allocate_mix(&stream, mix, total_bytes, &true_count);
		sum = stream_sum(&stream, 0, R512K);
		score_add(&bytes, sum.bytes - true_bytes,
			holds(interval_of_bytes(&sum, R512K, INTERVAL_Z95), true_bytes));
		score_add(&count, sum.count - true_count, true);
		variance += sum.variance / N_RUNS;
		samples += sum.samples / N_RUNS;
	}
	expected_variance = score_variance(&bytes);
	printf("# %s, %.1f samples: bias %+.2f SE, of counts %+.2f SE, sum v/variance %.3f, "
	       "cover %.3f\n",
		mix->name, samples, score_bias(&bytes), score_bias(&count),
		variance / expected_variance, score_cover(&bytes));
	CHECK_NEAR(score_bias(&bytes), 0, 3);
	CHECK_NEAR(score_bias(&count), 0, 3);
	CHECK(score_cover(&bytes) >= .935);
	/* A variance from a sum of few samples says little: checked at the full size only. */
	if (samples >= 25) {
		CHECK(variance / expected_variance >= .88);
		CHECK(variance / expected_variance <= 1.12);
	}
}

static void test_estimates_of_many_samples(void)
{
	size_t i;

	for (i = 0; i < N_ELEMS(mixes); i++)
		check_mix(&mixes[i], 32 * MIB, 100 + i);
}

static void test_estimates_of_few_samples(void)
{
	size_t i;

	for (i = 0; i < N_ELEMS(mixes); i++) {
		check_mix(&mixes[i], MIB, 200 + i);
		check_mix(&mixes[i], 4 * MIB, 300 + i);
	}
}

/* Far below the interval the range is not just safe but tight. */
static void test_range_of_small_blocks_is_tight(void)
{
	struct score bytes = { 0 };
	int run;

	for (run = 0; run < 4 * N_RUNS; run++) {
		double true_bytes = 20.0 * MIB + 700.0 * 4096 * (run % 8);
		struct aggregate sum;

		stream_start(&stream, 400000 + (uint64_t)run, R512K);
		stream_allocate(&stream, (uint64_t)true_bytes / 256, 256);
		sum = stream_sum(&stream, 0, R512K);
		score_add(&bytes, sum.bytes - true_bytes,
			holds(interval_of_bytes(&sum, R512K, INTERVAL_Z95), true_bytes));
	}
	printf("# 256 B, 40..77 samples: cover %.4f\n", score_cover(&bytes));
	CHECK(score_cover(&bytes) >= .935);
	CHECK(score_cover(&bytes) <= .975);
}

/* Blocks of one size: the range of the count covers as well. */
static void test_range_of_counts(void)
{
	static const uint64_t sizes[] = { 16, 4096, 65536, 524288 };
	size_t i;

	for (i = 0; i < N_ELEMS(sizes); i++) {
		struct score count = { 0 };
		int run;

		for (run = 0; run < N_RUNS; run++) {
			uint64_t n_blocks = 8 * MIB / sizes[i];
			struct aggregate sum;

			stream_start(&stream, 500000 + i * N_RUNS + (uint64_t)run, R512K);
			stream_allocate(&stream, n_blocks, sizes[i]);
			sum = stream_sum(&stream, 0, R512K);
			score_add(&count, sum.count - (double)n_blocks,
				holds(interval_of_count(&sum, R512K, INTERVAL_Z95),
					(double)n_blocks));
		}
		printf("# %llu B: cover of the count %.3f\n", (unsigned long long)sizes[i],
			score_cover(&count));
		CHECK(score_cover(&count) >= .935);
	}
}

/*
 * A diff of one process: survivors, then births; of the earlier blocks some die. Returns both sides
 * and, in `with_survivors`, the same growth taken the wrong way: whole heap against whole heap.
 */
static struct growth_sides simulate_diff(uint64_t seed, const struct mix *mix, uint64_t survivors,
	uint64_t born, uint64_t died, double *true_growth, double *with_survivors)
{
	struct growth_sides sides = { .born_interval_bytes = R512K, .died_interval_bytes = R512K };
	struct aggregate all;
	double ignored = 0, born_bytes = 0, died_bytes = 0;
	size_t n_died, n_before;

	stream_start(&stream, seed, R512K);
	if (died)
		died_bytes = allocate_mix(&stream, mix, died, &ignored);
	n_died = stream.n_samples;
	if (survivors)
		allocate_mix(&stream, mix, survivors, &ignored);
	n_before = stream.n_samples;
	if (born)
		born_bytes = allocate_mix(&stream, mix, born, &ignored);

	sides.born = stream_sum(&stream, n_before, R512K);
	stream.n_samples = n_died;
	sides.died = stream_sum(&stream, 0, R512K);
	*true_growth = born_bytes - died_bytes;

	/* A second, independent look at the survivors stands for a second process. */
	all = sides.born;
	stream.n_samples = 0;
	if (survivors) {
		struct aggregate again;

		allocate_mix(&stream, mix, survivors, &ignored);
		again = stream_sum(&stream, 0, R512K);
		estimate_add(&all, &again);
		stream.n_samples = 0;
		allocate_mix(&stream, mix, survivors, &ignored);
		again = stream_sum(&stream, 0, R512K);
		estimate_subtract(&all, &again);
	}
	estimate_subtract(&all, &sides.died);
	*with_survivors = all.bytes;
	return sides;
}

static void test_growth_beside_survivors(void)
{
	static const int which[] = { 1, 2, 6, 8 };
	size_t i;

	for (i = 0; i < N_ELEMS(which); i++) {
		const struct mix *mix = &mixes[which[i]];
		struct score paired = { 0 }, unpaired = { 0 };
		int run;

		for (run = 0; run < N_RUNS; run++) {
			double truth, direct;
			struct growth_sides sides =
				simulate_diff(600000 + i * N_RUNS + (uint64_t)run, mix, 100 * MIB,
					30 * MIB, 16 * MIB, &truth, &direct);
			struct growth growth = growth_estimate(&sides, INTERVAL_Z95);

			score_add(&paired, growth.bytes - truth, holds(growth.range, truth));
			score_add(&unpaired, direct - truth, true);
		}
		printf("# %s: bias %+.2f SE, cover %.3f, sd %.2f MiB (%.2f MiB with survivors)\n",
			mix->name, score_bias(&paired), score_cover(&paired),
			sqrt(score_variance(&paired)) / MIB, sqrt(score_variance(&unpaired)) / MIB);
		CHECK_NEAR(score_bias(&paired), 0, 3);
		CHECK(score_cover(&paired) >= .935);
		CHECK(score_variance(&paired) < score_variance(&unpaired) / 2);
	}
}

/* No growth: p <= .05 in at most 6 % of runs, p <= .01 in at most 1.5 %. */
static void test_size_of_the_growth_test(void)
{
	static const int which[] = { 1, 2, 6 };
	static const uint64_t turnover[] = { 2 * MIB, 16 * MIB, 64 * MIB };
	size_t i, j;

	for (i = 0; i < N_ELEMS(which); i++) {
		for (j = 0; j < N_ELEMS(turnover); j++) {
			int run, below_05 = 0, below_01 = 0;

			for (run = 0; run < 2 * N_RUNS; run++) {
				double truth, direct, p;
				struct growth_sides sides = simulate_diff(
					700000 + (3 * i + j) * 2 * N_RUNS + (uint64_t)run,
					&mixes[which[i]], 0, turnover[j], turnover[j], &truth,
					&direct);

				p = growth_p_value(&sides, truth);
				below_05 += p <= .05;
				below_01 += p <= .01;
			}
			printf("# %s, %llu MiB turned over: size at .05 %.4f, at .01 %.4f\n",
				mixes[which[i]].name, (unsigned long long)(turnover[j] / MIB),
				below_05 / (2.0 * N_RUNS), below_01 / (2.0 * N_RUNS));
			CHECK(below_05 <= .06 * 2 * N_RUNS);
			CHECK(below_01 <= .015 * 2 * N_RUNS);
		}
	}
}

/* It would be easy never to raise an alarm: real growth among idle sites is found. */
static void test_discoveries_among_many_sites(void)
{
	enum { N_BATCHES = 100, N_SITES = 1000, N_GROWING = 10 };
	static double p_values[N_SITES], sorted[N_SITES];
	int batch, site, false_batches = 0, found = 0, found_null = 0;

	for (batch = 0; batch < N_BATCHES; batch++) {
		double limit, null_limit;
		size_t n_tested = 0;

		for (site = 0; site < N_SITES; site++) {
			uint64_t grown = site < N_GROWING ? 16 * MIB : 0;
			double truth, direct;
			struct growth_sides sides;

			sides = simulate_diff(800000 + (uint64_t)(batch * N_SITES + site),
				&mixes[1], 0, 3 * MIB + grown, 3 * MIB, &truth, &direct);
			p_values[site] = growth_p_value(&sides, 0);
			if (sides.born.samples + sides.died.samples > 0)
				sorted[n_tested++] = p_values[site];
			else
				CHECK(site >= N_GROWING);
		}
		limit = growth_discovery_limit(sorted, n_tested, .05);
		for (site = 0; site < N_GROWING; site++)
			found += p_values[site] <= limit;
		for (; site < N_SITES; site++)
			found_null += p_values[site] <= limit;

		/* The same sites without the growing ones. */
		memcpy(sorted, p_values + N_GROWING, sizeof(sorted) - N_GROWING * sizeof(*sorted));
		null_limit = growth_discovery_limit(sorted, N_SITES - N_GROWING, .05);
		false_batches += null_limit >= 0;
	}
	printf("# %d batches of %d sites: %d with a false alarm when nothing grew; of %d growing "
	       "by 16 MiB %d found, beside %d false\n",
		N_BATCHES, N_SITES, false_batches, N_BATCHES * N_GROWING, found, found_null);
	CHECK(false_batches <= N_BATCHES * 5 / 100);
	CHECK(found >= N_BATCHES * N_GROWING * 9 / 10);
	CHECK(found_null <= (found + found_null) * 5 / 100);
}

/* Survivors lifted to the later interval weigh the same on both sides, to the last integer. */
static void test_survivors_cancel_across_thinning(void)
{
	int doublings, run;

	for (run = 0; run < 20; run++) {
		double ignored = 0;

		stream_start(&stream, 900000 + (uint64_t)run, R512K);
		allocate_mix(&stream, &mixes[8], 200 * MIB, &ignored);
		for (doublings = 0; doublings <= 5; doublings++) {
			uint64_t later = R512K << doublings;
			static struct stream thinned;
			struct aggregate a, b;
			size_t i;

			/* What the library keeps, having thinned at every doubling. */
			thinned = stream;
			thinned.n_samples = 0;
			for (i = 0; i < stream.n_samples; i++) {
				const struct estimate_sample *sample = &stream.samples[i];
				bool kept = true;
				int step;

				for (step = 1; step <= doublings; step++)
					kept = kept && sample_belongs(sample->u, sample->size_bytes,
							       R512K, R512K << step);
				if (kept)
					thinned.samples[thinned.n_samples++] = *sample;
			}
			a = stream_sum(&stream, 0, later);
			b = stream_sum(&thinned, 0, later);
			CHECK(a.samples == b.samples && a.samples == (double)thinned.n_samples);
			estimate_subtract(&b, &a);
			CHECK(b.bytes == 0 && b.count == 0 && b.variance == 0);
			CHECK(b.size_bytes == 0);
		}
	}
}

/*
 * The interval is raised between two moments: what was born before counts at the later one, too.
 * Growth of survivors is 0 exactly, and that of the others has neither bias nor a wrong range.
 */
static void test_growth_across_thinning(void)
{
	static const int which[] = { 1, 2, 6, 8 };
	size_t i;

	for (i = 0; i < N_ELEMS(which); i++) {
		const struct mix *mix = &mixes[which[i]];
		struct score growths = { 0 };
		double variance = 0, ratio;
		int run;

		for (run = 0; run < N_RUNS; run++) {
			/* From 16 KiB; one doubling in the first run, five in the fifth. */
			unsigned doublings = 1 + (unsigned)run % 5;
			uint64_t later = (R512K >> 5) << doublings;
			struct growth_sides sides = { .born_interval_bytes = later,
				.died_interval_bytes = later };
			double ignored = 0, truth;
			struct aggregate before, after;
			struct growth growth;
			size_t n_died, n_before;

			/* 32 intervals are born and 16 die, whatever the interval. */
			stream_start(&stream, 1100000 + i * N_RUNS + (uint64_t)run, R512K >> 5);
			truth = -allocate_mix(&stream, mix, 16 * later, &ignored);
			n_died = stream.n_samples;
			allocate_mix(&stream, mix, 20 * later, &ignored);
			n_before = stream.n_samples;
			/* Half of what is born comes before the interval is raised, half after. */
			truth += allocate_mix(&stream, mix, 16 * later, &ignored);
			stream.interval_bytes = later;
			stream.left =
				(int64_t)sample_gap_bytes(sample_rng_next(&stream.rng), later);
			truth += allocate_mix(&stream, mix, 16 * later, &ignored);
			/* Weights keep the unit of the first interval. */
			stream.interval_bytes = R512K >> 5;

			after = stream_sum(&stream, n_died, later);
			sides.born = stream_sum(&stream, n_before, later);
			stream.n_samples = n_before;
			before = stream_sum(&stream, 0, later);
			stream.n_samples = n_died;
			sides.died = stream_sum(&stream, 0, later);
			growth = growth_estimate(&sides, INTERVAL_Z95);
			CHECK(after.bytes - before.bytes == growth.bytes);
			/* Of different intervals, growth is compared in units of these. */
			score_add(&growths, (growth.bytes - truth) / (double)later,
				holds(growth.range, truth));
			variance += (sides.born.variance + sides.died.variance) / (double)later /
				    (double)later / N_RUNS;
		}
		ratio = variance / score_variance(&growths);
		printf("# %s, growth across 1 to 5 doublings: bias %+.2f SE, sum v/variance %.3f, "
		       "cover %.3f\n",
			mix->name, score_bias(&growths), ratio, score_cover(&growths));
		CHECK_NEAR(score_bias(&growths), 0, 3);
		CHECK(score_cover(&growths) >= .93);
	}
}

/* Five doublings later: as if sampled at the large interval from the start. */
static void test_estimates_after_thinning(void)
{
	static const int which[] = { 1, 3, 6, 8 };
	size_t i;

	for (i = 0; i < N_ELEMS(which); i++) {
		const struct mix *mix = &mixes[which[i]];
		struct score bytes = { 0 }, count = { 0 };
		double variance = 0, ratio;
		int run;

		for (run = 0; run < N_RUNS; run++) {
			double true_count = 0, true_bytes;
			struct aggregate sum;

			/* From 16 KiB up to 512 KiB, over 16 MiB: 32 samples are left. */
			stream_start(&stream, 1000000 + i * N_RUNS + (uint64_t)run, R512K >> 5);
			true_bytes = allocate_mix(&stream, mix, 16 * MIB, &true_count);
			sum = stream_sum(&stream, 0, R512K);
			score_add(&bytes, sum.bytes - true_bytes,
				holds(interval_of_bytes(&sum, R512K, INTERVAL_Z95), true_bytes));
			score_add(&count, sum.count - true_count, true);
			variance += sum.variance / N_RUNS;
		}
		ratio = variance / score_variance(&bytes);
		printf("# %s, 5 doublings: bias %+.2f SE, of counts %+.2f SE, sum v/variance %.3f, "
		       "cover %.3f\n",
			mix->name, score_bias(&bytes), score_bias(&count), ratio,
			score_cover(&bytes));
		CHECK_NEAR(score_bias(&bytes), 0, 3);
		CHECK_NEAR(score_bias(&count), 0, 3);
		CHECK(ratio >= .88 && ratio <= 1.12);
		CHECK(score_cover(&bytes) >= .93);
	}
}

int main(void)
{
	TAP_RUN(test_estimates_of_many_samples);
	TAP_RUN(test_estimates_of_few_samples);
	TAP_RUN(test_range_of_small_blocks_is_tight);
	TAP_RUN(test_range_of_counts);
	TAP_RUN(test_growth_beside_survivors);
	TAP_RUN(test_size_of_the_growth_test);
	TAP_RUN(test_discoveries_among_many_sites);
	TAP_RUN(test_survivors_cancel_across_thinning);
	TAP_RUN(test_growth_across_thinning);
	TAP_RUN(test_estimates_after_thinning);
	return tap_done();
}
