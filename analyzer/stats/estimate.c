/*
 * estimate.c - adds weights of samples to aggregates, and aggregates to each other. The weights
 * and the rule of thinning come from sample_math.h; what a sum is worth is told by interval.c.
 */
#include <math.h>

#include "sample_math.h"
#include "analyzer/stats/estimate.h"

bool estimate_add_sample(struct aggregate *sum, const struct estimate_sample *sample,
	uint64_t interval_bytes, unsigned variance_unit_log2)
{
	uint64_t birth_bytes = sample->birth_interval_bytes;
	uint64_t at_bytes = interval_bytes > birth_bytes ? interval_bytes : birth_bytes;
	double unit = variance_unit_log2 < 64 ? (double)(UINT64_C(1) << variance_unit_log2)
					      : ldexp(1, (int)variance_unit_log2);
	struct sample_weight weight;
	struct aggregate one;

	if (!sample_belongs(sample->u, sample->size_bytes, birth_bytes, at_bytes))
		return false;

	weight = sample_weight(sample->size_bytes, at_bytes, variance_unit_log2);
	one.samples = 1;
	one.size_bytes = (double)sample->size_bytes;
	one.bytes = (double)weight.bytes;
	one.variance = (double)weight.variance * unit;
	one.count = (double)weight.count_1024 / SAMPLE_COUNT_UNIT;
	one.count_variance = one.count * (one.count - 1);
	one.size_min = one.size_max = one.size_bytes;
	estimate_add(sum, &one);
	return true;
}

void estimate_add(struct aggregate *sum, const struct aggregate *part)
{
	if (part->samples > 0) {
		if (!(sum->samples > 0)) {
			sum->size_min = part->size_min;
			sum->size_max = part->size_max;
		} else {
			if (part->size_min < sum->size_min)
				sum->size_min = part->size_min;
			if (part->size_max > sum->size_max)
				sum->size_max = part->size_max;
		}
	}
	sum->samples += part->samples;
	sum->size_bytes += part->size_bytes;
	sum->bytes += part->bytes;
	sum->variance += part->variance;
	sum->count += part->count;
	sum->count_variance += part->count_variance;
}

void estimate_subtract(struct aggregate *sum, const struct aggregate *part)
{
	sum->samples -= part->samples;
	sum->size_bytes -= part->size_bytes;
	sum->bytes -= part->bytes;
	sum->variance -= part->variance;
	sum->count -= part->count;
	sum->count_variance -= part->count_variance;
	if (!(sum->samples > 0))
		sum->size_min = sum->size_max = 0;
}
