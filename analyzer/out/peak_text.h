/*
 * peak_text.h - the peak in words, as `top` and the end of `run` say it.
 */
#ifndef HEAPSPY_ANALYZER_PEAK_TEXT_H
#define HEAPSPY_ANALYZER_PEAK_TEXT_H

#include <stdint.h>

#include "analyzer/read/snapshot_reader.h"
#include "analyzer/stats/peak.h"
#include "analyzer/strbuf.h"

/* The peak up to a snapshot, at 95 %: at least what it has seen live. */
struct peak peak_text_of_snapshot(const struct snapshot *s);

/*
 * "about 1.8 GiB (1.71..1.89; VmHWM 2.11 GiB)"; a count has "exact" for its range, and what is not
 * known (rss_peak_bytes 0) is left out.
 */
void peak_text_add(struct strbuf *out, const struct peak *peak, uint64_t rss_peak_bytes);

#endif
