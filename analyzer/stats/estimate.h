/*
 * estimate.h - sums of sample weights: what a set of samples says about the blocks behind it.
 *
 * A struct aggregate is the sum, over the samples of a set, of their Horvitz-Thompson weights
 * (JASA 47:663, 1952; the weights themselves are those of sample_math.h). Each sum is an unbiased
 * estimate, whatever the mix of sizes; the sum of variances is unbiased for the variance of
 * `bytes`.
 *
 * The fields are doubles that hold whole multiples of the rounded weights: whole bytes, 1/1024
 * blocks, variance units. Sums below 2^53 of their unit (8 PiB; 2^29 samples of variance) are
 * therefore exact, free of order, and equal sets cancel to exactly zero. Only count_variance, which
 * serves intervals alone, is rounded.
 *
 * Pure functions without allocation or I/O; safe in any thread.
 */
#ifndef HEAPSPY_STATS_ESTIMATE_H
#define HEAPSPY_STATS_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero is the empty set (but size_min is then without meaning). */
struct aggregate {
	double samples;        /* n, a whole number */
	double size_bytes;     /* S, sum of the sampled sizes: the part that was seen for certain */
	double bytes;          /* B, estimated bytes */
	double variance;       /* V, estimated variance of B, bytes squared */
	double count;          /* C, estimated blocks */
	double count_variance; /* Vc, estimated variance of C */
	double size_min;       /* smallest and largest sampled size, bytes; set iff samples > 0 */
	double size_max;
};

/* One sample as it was drawn. */
struct estimate_sample {
	uint64_t size_bytes;           /* requested size */
	uint64_t birth_interval_bytes; /* R at its birth */
	uint32_t u;                    /* its random bits, for thinning */
};

/*
 * Add a sample as it counts at `interval_bytes`. If that is larger than its interval at birth, the
 * sample is lifted: it may not belong there, else it takes the weights of the larger interval
 * (coordinated thinning, see sample_math.h). An interval below its own leaves it as it was drawn.
 * `variance_unit_log2` is that of the run, sample_variance_unit_log2(first interval), so that the
 * weights are bit for bit the ones the library summed. Returns whether the sample belongs; if not,
 * nothing is added.
 */
bool estimate_add_sample(struct aggregate *sum, const struct estimate_sample *sample,
	uint64_t interval_bytes, unsigned variance_unit_log2);

/* sum += part. */
void estimate_add(struct aggregate *sum, const struct aggregate *part);

/*
 * sum -= part, where the samples of `part` are among those of `sum` (freed = allocated - live).
 * size_min and size_max stay: they become bounds of what is left. An empty rest has none.
 */
void estimate_subtract(struct aggregate *sum, const struct aggregate *part);

#endif
