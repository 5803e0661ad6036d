/*
 * test_peak.c - the peak by halves, from the library's sums (site_stats.h) to the estimate
 * (stats/peak.h), by simulated heaps whose truth is known. Seeds are fixed. The figures that
 * docs/sampling.md gives are printed as comments.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/stats/peak.h"
#include "preload/site_stats.h"
#include "preload/thinning.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define R512K       UINT64_C(524288)
#define KIB         UINT64_C(1024)
#define MIB         (KIB * KIB)
#define MAX_BLOCKS  (1u << 16)
#define N_THREADS   4
#define N_ROUNDS    100000
#define N_LIVE_EACH 64

/* A heap in which the oldest block goes first. */
struct heap {
	struct state_header state;
	struct sample_rng rng;
	uint64_t left; /* countdown */
	struct {
		uint64_t size;
		uint32_t u;
		bool sampled;
	} blocks[MAX_BLOCKS];
	unsigned first, n;
	uint64_t bytes, most_bytes; /* the truth */
	/* Halves that have nothing in common, and what comes out with them. */
	double plain[2], plain_most[2], plain_other[2];
	uint64_t made_bytes;
};

static struct heap *heap_new(void)
{
	return aligned_alloc(__alignof__(struct heap), sizeof(struct heap));
}

static void heap_init(struct heap *h, uint64_t seed, uint64_t interval_bytes)
{
	memset(h, 0, sizeof(*h));
	sample_rng_seed(&h->rng, seed);
	h->state.interval_bytes = interval_bytes;
	h->state.variance_unit_log2 = sample_variance_unit_log2(interval_bytes);
	h->left = sample_gap_bytes(sample_rng_next(&h->rng), interval_bytes);
}

static struct sample_weight weight_of(const struct heap *h, uint64_t size)
{
	return sample_weight(
		size, h->state.interval_bytes << h->state.level, h->state.variance_unit_log2);
}

static void add_plainly(struct heap *h, uint32_t u, double bytes)
{
	unsigned i = u & 1;

	h->plain[i] += bytes;
	if (h->plain[i] > h->plain_most[i]) {
		h->plain_most[i] = h->plain[i];
		h->plain_other[i] = h->plain[!i];
	}
}

static void heap_free_oldest(struct heap *h)
{
	unsigned i = h->first % MAX_BLOCKS;

	if (h->blocks[i].sampled) {
		struct sample_weight weight = weight_of(h, h->blocks[i].size);

		site_stats_left(&h->state, h->blocks[i].u, weight);
		add_plainly(h, h->blocks[i].u, -(double)weight.bytes);
	}
	h->bytes -= h->blocks[i].size;
	h->first++;
	h->n--;
}

static void heap_allocate(struct heap *h, uint64_t size)
{
	unsigned i = (h->first + h->n) % MAX_BLOCKS;

	h->blocks[i].size = size;
	h->blocks[i].sampled = h->left < size;
	if (h->blocks[i].sampled) {
		h->blocks[i].u = (uint32_t)sample_rng_next(&h->rng);
		h->left = sample_gap_bytes(
			sample_rng_next(&h->rng), h->state.interval_bytes << h->state.level);
		site_stats_joined(&h->state, h->blocks[i].u, weight_of(h, size), 1);
		add_plainly(h, h->blocks[i].u, (double)weight_of(h, size).bytes);
	} else {
		h->left -= size;
	}
	h->n++;
	h->bytes += size;
	h->made_bytes += size;
	if (h->bytes > h->most_bytes)
		h->most_bytes = h->bytes;
}

/* All blocks of the heap anew at the next level, as thinning.c would have it. */
static void heap_thin(struct heap *h)
{
	uint64_t from = h->state.interval_bytes << h->state.level, to = 2 * from;
	unsigned i;

	site_stats_end_level(&h->state, h->state.level);
	for (i = h->first; i != h->first + h->n; i++) {
		uint64_t size = h->blocks[i % MAX_BLOCKS].size;
		uint32_t u = h->blocks[i % MAX_BLOCKS].u;
		struct sample_weight before = weight_of(h, size);

		if (!h->blocks[i % MAX_BLOCKS].sampled)
			continue;
		h->blocks[i % MAX_BLOCKS].sampled =
			sample_belongs(u, size, h->state.interval_bytes, to);
		if (h->blocks[i % MAX_BLOCKS].sampled)
			site_stats_reweighed(&h->state, u, before,
				sample_weight(size, to, h->state.variance_unit_log2));
		else
			site_stats_left(&h->state, u, before);
	}
	h->state.level++;
	h->left = sample_gap_bytes(sample_rng_next(&h->rng), to);
}

static struct peak heap_peak(const struct heap *h)
{
	const struct state_header *s = &h->state;
	struct heapspy_info info = { .interval_bytes = s->interval_bytes, .level = s->level };
	unsigned i;

	for (i = 0; i < 2; i++) {
		info.half_peak_bytes[i] = s->half_peak[i].bytes;
		info.half_other_bytes[i] = s->half_peak[i].other_bytes;
	}
	info.older_peak_bytes = s->older_peak_bytes;
	info.older_peak_level = s->older_peak_level;
	info.peak_live_bytes = s->peak_live.bytes;
	return peak_of_info(&info, 0, INTERVAL_Z95);
}

/* ---- kinds of heaps ---- */

static uint64_t mixed_size(struct heap *h)
{
	/* 1 KiB to 16 MiB, all magnitudes alike: nearly all bytes are in large blocks. */
	uint64_t r = sample_rng_next(&h->rng);
	unsigned log2 = 10 + (unsigned)(r % 14);

	return (UINT64_C(1) << log2) + (r >> 16) % (UINT64_C(1) << log2);
}

/* size_bytes 0: mixed_size(). made: how far the program is, 0..1. */
struct kind {
	const char *name;
	uint64_t heap_bytes, size_bytes;
	double renewals;
	double (*level)(double made);
	int n_runs;
};

static double flat(double made)
{
	return 1;
}

static double pronounced(double made)
{
	return made < .5 ? 2 * made : 2 - 2 * made;
}

struct outcome {
	double bias, bias_of_most, bias_of_plain, spread, cover;
};

static struct outcome simulate(const struct kind *kind)
{
	struct heap *h = heap_new();
	double made_bytes = kind->renewals * (double)kind->heap_bytes;
	double sum = 0, squares = 0, most = 0, plain = 0;
	struct outcome outcome;
	int run, covered = 0;

	for (run = 0; run < kind->n_runs; run++) {
		struct peak peak;
		double error;

		heap_init(h, (uint64_t)run * 1000 + 17, R512K);
		while ((double)h->made_bytes < made_bytes) {
			uint64_t size = kind->size_bytes ? kind->size_bytes : mixed_size(h);
			double may = kind->level((double)h->made_bytes / made_bytes) *
				     (double)kind->heap_bytes;

			while (h->n && (double)(h->bytes + size) > may)
				heap_free_oldest(h);
			heap_allocate(h, size);
		}
		peak = heap_peak(h);
		error = peak.bytes / (double)h->most_bytes - 1;
		sum += error;
		squares += error * error;
		most += (double)h->state.peak_live.bytes / (double)h->most_bytes - 1;
		plain += (h->plain_other[0] + h->plain_other[1]) / (double)h->most_bytes - 1;
		covered += peak.range.lo <= (double)h->most_bytes &&
			   peak.range.hi >= (double)h->most_bytes;
		while (h->n)
			heap_free_oldest(h);
		CHECK(!h->state.half.bytes[0] && !h->state.half.bytes[1]);
		CHECK(!h->state.live_samples);
	}
	outcome.bias = 100 * sum / kind->n_runs;
	outcome.spread =
		100 * sqrt(squares / kind->n_runs - (sum / kind->n_runs) * (sum / kind->n_runs));
	outcome.bias_of_most = 100 * most / kind->n_runs;
	outcome.bias_of_plain = 100 * plain / kind->n_runs;
	outcome.cover = 100.0 * covered / kind->n_runs;
	printf("# %-39s %+5.1f %% (sd %4.1f), range holds %5.1f %%; largest sum %+5.1f %%, plain "
	       "halves %+6.1f %%\n",
		kind->name, outcome.bias, outcome.spread, outcome.cover, outcome.bias_of_most,
		outcome.bias_of_plain);
	free(h);
	return outcome;
}

static void test_flat_heap(void)
{
	struct kind kind = { "flat, 256 MiB of 32 KiB blocks", 256 * MIB, 32 * KIB, 100, flat,
		200 };
	struct outcome large = simulate(&kind);

	CHECK(fabs(large.bias) <= 2);
	/* What the halves are for. */
	CHECK(large.bias_of_most >= 5);
	CHECK(large.cover >= 93);
	kind.name = "flat, 16 MiB of 16 KiB blocks";
	kind.heap_bytes = 16 * MIB;
	kind.size_bytes = 16 * KIB;
	large = simulate(&kind);
	CHECK(fabs(large.bias) <= 4);
	CHECK(large.bias_of_most >= 40);
	CHECK(large.cover >= 93);
}

static void test_pronounced_peak(void)
{
	struct kind kind = { "pronounced, 256 MiB of 16 KiB blocks", 256 * MIB, 16 * KIB, 5,
		pronounced, 200 };
	struct outcome outcome = simulate(&kind);

	CHECK(outcome.bias >= -2 && outcome.bias <= .5);
	CHECK(outcome.cover >= 93);
	kind.name = "pronounced, 1 GiB of 64 KiB blocks";
	kind.heap_bytes = 1024 * MIB;
	kind.size_bytes = 64 * KIB;
	outcome = simulate(&kind);
	CHECK(outcome.bias >= -2 && outcome.bias <= .5);
	CHECK(outcome.cover >= 93);
}

static void test_large_blocks(void)
{
	static const struct kind kinds[] = {
		{ "flat, 256 MiB of 256 KiB blocks", 256 * MIB, 256 * KIB, 100, flat, 100 },
		{ "flat, 256 MiB of 1 MiB blocks", 256 * MIB, MIB, 100, flat, 100 },
		{ "flat, 256 MiB of 8 MiB blocks", 256 * MIB, 8 * MIB, 100, flat, 50 },
		{ "flat, 256 MiB of 1 KiB to 16 MiB blocks", 256 * MIB, 0, 100, flat, 200 },
		{ "pronounced, the same", 256 * MIB, 0, 20, pronounced, 200 },
	};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct outcome outcome = simulate(&kinds[i]);

		CHECK(fabs(outcome.bias) <= 2);
		CHECK(outcome.cover >= 95);
		/* Why a half gets its part of what is certain in the other. */
		CHECK(outcome.bias_of_plain <= -4);
	}
}

static void test_one_huge_block_is_all_there(void)
{
	struct heap *h = heap_new();
	struct peak peak;

	heap_init(h, 3, R512K);
	heap_allocate(h, 1024 * MIB);
	heap_free_oldest(h);
	peak = heap_peak(h);
	CHECK_NEAR(peak.bytes, 1024.0 * MIB, 2);
	free(h);
}

static void test_counted_exactly(void)
{
	struct heap *h = heap_new();
	struct peak peak;
	unsigned i;

	heap_init(h, 4, 1);
	for (i = 1; i <= 1000; i++) {
		heap_allocate(h, 2 * i + 1);
		if (i % 7 == 0)
			heap_free_oldest(h);
	}
	peak = heap_peak(h);
	CHECK(peak.bytes == (double)h->most_bytes);
	CHECK(peak.range.lo == peak.bytes && peak.range.hi == peak.bytes);
	CHECK(peak.overstated == 0);
	free(h);
}

static void test_older_level_is_kept(void)
{
	struct heap *h = heap_new();
	double sum_older = 0, sum_newer = 0;
	struct peak peak;
	int run, i, n_runs = 100;

	for (run = 0; run < n_runs; run++) {
		heap_init(h, (uint64_t)run + 99, R512K);
		for (i = 0; i < 4096; i++) /* 256 MiB */
			heap_allocate(h, 64 * KIB);
		while (h->n > 1024) /* 64 MiB */
			heap_free_oldest(h);
		for (i = 0; i < 3; i++)
			heap_thin(h);
		CHECK(h->state.older_peak_level == 0);
		peak = heap_peak(h);
		CHECK(peak.bytes == fmin((double)(h->state.older_peak_bytes + R512K),
					    (double)h->state.peak_live.bytes));
		/* The range is that of the level at which it was seen. */
		CHECK(peak.range.hi - peak.range.lo < 2 * 3 * sqrt((double)R512K * peak.bytes));
		sum_older += peak.bytes;
		/* What begins anew is what is live, at whatever level the walk is. */
		CHECK(h->state.half_peak[0].bytes < h->state.peak_live.bytes / 2);
		for (i = 0; i < 7168; i++) /* 512 MiB */
			heap_allocate(h, 64 * KIB);
		peak = heap_peak(h);
		CHECK(peak.bytes > (double)h->state.older_peak_bytes);
		sum_newer += peak.bytes;
	}
	/* Noise of one: 4.4 and 8.8 %. */
	CHECK_NEAR(sum_older / n_runs / (256.0 * MIB), 1, .02);
	CHECK_NEAR(sum_newer / n_runs / (512.0 * MIB), 1, .03);
	free(h);
}

static void test_record_of_other_files(void)
{
	struct heapspy_info info = { .interval_bytes = R512K, .peak_live_bytes = 300 * MIB };
	struct peak peak = peak_of_info(&info, 0, INTERVAL_Z95);

	/* Before there were halves. */
	CHECK(peak.bytes == 300.0 * MIB && isnan(peak.range.lo) && isnan(peak.range.hi));
	info.half_peak_bytes[0] = info.half_peak_bytes[1] = 150 * MIB;
	info.half_other_bytes[0] = info.half_other_bytes[1] = 100 * MIB;
	peak = peak_of_info(&info, 0, INTERVAL_Z95);
	CHECK(peak.bytes == 200.5 * MIB);
	CHECK_NEAR(peak.overstated, 300 / 200.5 - 1, 1e-9);
	/* At many steps the range is 1.96 * 1.25 sqrt(R peak) either way. */
	CHECK_NEAR((peak.range.hi - peak.range.lo) / 2 / MIB, 2.45 * sqrt(.5 * 200), .5);
	/* What has been seen is there, whatever the halves say. */
	peak = peak_of_info(&info, 250.0 * MIB, INTERVAL_Z95);
	CHECK(peak.bytes == 250.0 * MIB && peak.range.lo == 250.0 * MIB);
	CHECK(peak.range.hi == 250.0 * MIB);
	/* One sample, in one half. */
	info = (struct heapspy_info){
		.interval_bytes = R512K, .half_peak_bytes = { R512K, 0 }, .peak_live_bytes = R512K
	};
	peak = peak_of_info(&info, 0, INTERVAL_Z95);
	CHECK(peak.bytes == (double)R512K && peak.range.lo < .01 * (double)R512K);
	CHECK(peak.range.hi > 4.0 * R512K);
}

/* ---- threads: of weights without chance both halves get the same, so they are equal, always ----
 */

static struct state_header shared;

static void *worker(void *argument)
{
	uint64_t weights[N_LIVE_EACH] = { 0 };
	struct sample_rng rng;
	int i;

	sample_rng_seed(&rng, (uint64_t)(uintptr_t)argument);
	for (i = 0; i < N_ROUNDS; i++) {
		uint64_t r = sample_rng_next(&rng), at = r % N_LIVE_EACH;

		if (weights[at])
			site_stats_left_bytes(&shared, (uint32_t)(r >> 32), weights[at], 0);
		weights[at] = weights[at] ? 0 : 2 + 2 * (r >> 50);
		if (weights[at])
			site_stats_joined_bytes(
				&shared, (uint32_t)(r >> 32), weights[at], 0, (uint64_t)i);
		if (i % 1000 == 0 && argument == (void *)1)
			site_stats_end_level(&shared, 0);
	}
	for (i = 0; i < N_LIVE_EACH; i++)
		if (weights[i])
			site_stats_left_bytes(&shared, 0, weights[i], 0);
	return NULL;
}

static void test_pairs_are_not_torn(void)
{
	pthread_t threads[N_THREADS];
	uintptr_t i;

	for (i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
	for (i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(!shared.half.bytes[0] && !shared.half.bytes[1] && !shared.live_samples);
	CHECK(shared.half_peak[0].bytes > 0);
	for (i = 0; i < 2; i++)
		CHECK(shared.half_peak[i].bytes == shared.half_peak[i].other_bytes);
	CHECK(shared.peak_live.bytes <=
		2 * (uint64_t)N_THREADS * N_LIVE_EACH * (2 + 2 * (1 << 14)));
	CHECK(shared.older_peak_bytes > 0 && shared.older_peak_bytes <= shared.peak_live.bytes);
}

int main(void)
{
	TAP_RUN(test_flat_heap);
	TAP_RUN(test_pronounced_peak);
	TAP_RUN(test_large_blocks);
	TAP_RUN(test_one_huge_block_is_all_there);
	TAP_RUN(test_counted_exactly);
	TAP_RUN(test_older_level_is_kept);
	TAP_RUN(test_record_of_other_files);
	TAP_RUN(test_pairs_are_not_torn);
	return tap_done();
}
