/* peak_text.c - owns the words about a peak. The estimate is stats/peak.c's. */
#include "analyzer/out/peak_text.h"

#include <math.h>

#include "analyzer/units.h"

struct peak peak_text_of_snapshot(const struct snapshot *s)
{
	double certain_bytes = 0;
	size_t i;

	for (i = 0; i < s->n_samples; i++)
		certain_bytes += (double)HEAPSPY_SAMPLE_SIZE(&s->samples[i]);
	return peak_of_info(&s->info, certain_bytes, INTERVAL_Z95);
}

void peak_text_add(struct strbuf *out, const struct peak *peak, uint64_t rss_peak_bytes)
{
	const char *gap = " (";

	if (!peak->is_exact)
		strbuf_add_text(out, "about ");
	units_add_bytes(out, peak->bytes);
	if (peak->is_exact) {
		strbuf_add_text(out, " (exact");
		gap = "; ";
	} else if (!isnan(peak->range.lo)) {
		strbuf_add_text(out, " (");
		units_add_range(out, peak->range.lo, peak->range.hi, peak->bytes);
		gap = "; ";
	}
	if (rss_peak_bytes) {
		strbuf_addf(out, "%sVmHWM ", gap);
		units_add_bytes(out, (double)rss_peak_bytes);
		gap = "; ";
	}
	if (gap[0] == ';')
		strbuf_add_char(out, ')');
}
