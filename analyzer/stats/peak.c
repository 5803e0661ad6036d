/*
 * peak.c - the estimate of the peak. Which samples are in which half, and when a half was at its
 * most, is the library's business (preload/site_stats.c).
 */
#include <math.h>

#include "analyzer/stats/peak.h"
#include "sample_math.h"

static struct peak of_level(double bytes, uint64_t interval_bytes, double z)
{
	double r = (double)interval_bytes, steps = bytes / r;
	struct peak peak = { .bytes = bytes, .range = { bytes, bytes }, .is_exact = true };

	if (interval_bytes > 1) {
		peak.range.lo = r * interval_poisson_lo(steps, PEAK_Z_FACTOR * z);
		peak.range.hi = r * interval_poisson_hi(steps, PEAK_Z_FACTOR * z);
		peak.is_exact = false;
	}
	return peak;
}

/* The missing R (peak.h), but never more than there ever seemed to be. */
static double from_halves(double bytes, uint64_t interval_bytes, double most)
{
	return fmin(bytes + (double)interval_bytes, most);
}

struct peak peak_estimate(const struct peak_record *record, double certain_bytes, double z)
{
	double most = record->most_bytes;
	struct peak peak = { .bytes = most, .range = { NAN, NAN } };

	if (record->has_halves) {
		/* A count has no noise, and both halves of it are at their most at once. */
		double bytes =
			record->interval_bytes > 1
				? from_halves(record->other_bytes[0] + record->other_bytes[1],
					  record->interval_bytes, most)
				: most;
		double older = from_halves(record->older_bytes, record->older_interval_bytes, most);

		if (record->older_bytes > 0 && older > bytes)
			peak = of_level(older, record->older_interval_bytes, z);
		else
			peak = of_level(fmax(bytes, record->live_bytes), record->interval_bytes, z);
		peak.range.lo = fmax(peak.range.lo, certain_bytes);
		peak.range.hi = fmax(peak.range.hi, certain_bytes);
	}
	peak.bytes = fmax(peak.bytes, certain_bytes);
	peak.overstated = peak.bytes > 0 && most > peak.bytes ? most / peak.bytes - 1 : 0;
	return peak;
}

static uint64_t interval_at(const struct heapspy_info *info, uint32_t level)
{
	return info->interval_bytes > SAMPLE_INTERVAL_MAX >> level ? SAMPLE_INTERVAL_MAX
								   : info->interval_bytes << level;
}

struct peak peak_of_info(const struct heapspy_info *info, double certain_bytes, double z)
{
	struct peak_record record = {
		.other_bytes = { (double)info->half_other_bytes[0],
			(double)info->half_other_bytes[1] },
		.interval_bytes = interval_at(info, info->level),
		.older_bytes = (double)info->older_peak_bytes,
		.older_interval_bytes = interval_at(info, info->older_peak_level),
		.most_bytes = (double)info->peak_live_bytes,
		.live_bytes = (double)info->live_bytes,
		.has_halves = info->half_peak_bytes[0] || info->half_peak_bytes[1],
	};

	return peak_estimate(&record, certain_bytes, z);
}
