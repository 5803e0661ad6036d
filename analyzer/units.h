/*
 * units.h - figures as people read and write them: IEC sizes, ranges, times, counts.
 *
 * Text functions append to a strbuf. Sizes carry three significant digits and
 * the unit that leaves the figure below 1000 ("412 MiB", "9.50 MiB" as
 * "9.5 MiB"); bytes are whole.
 */
#ifndef HEAPSPY_ANALYZER_UNITS_H
#define HEAPSPY_ANALYZER_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/strbuf.h"

/* bytes may be negative and need not be whole. */
void units_add_bytes(struct strbuf *b, double bytes);

/*
 * "lo..hi" in the unit that units_add_bytes() takes for figure, without the
 * unit: the range stands beside its figure. Where that unit is far too small
 * for the range, in the range's own, which then follows.
 */
void units_add_range(struct strbuf *b, double lo, double hi, double figure);

/* 1204 as "1 204". */
void units_add_count(struct strbuf *b, uint64_t count);

/* The same of a figure that was computed: rounded, and no more and no less than 64 bits hold. */
void units_add_rounded(struct strbuf *b, double count);

/* ns as "h:mm:ss", with tenths of a second below one minute. */
void units_add_clock(struct strbuf *b, uint64_t ns);

/* A time of day of CLOCK_REALTIME, in ns, as "2026-11-20 14:03:20" where we are. */
void units_add_wall_time(struct strbuf *b, uint64_t wall_ns);

/* ns as one figure: "1.1 ms", "9 s", "32 min", "5.0 h", "3.2 d". */
void units_add_duration(struct strbuf *b, double ns);

/*
 * Reads a size: digits, a fraction, and B, K, KB, KiB, M, G, T and so on, case
 * ignored, all powers of 1024. Returns false unless the whole text is one.
 */
bool units_parse_bytes(const char *text, uint64_t *bytesp);

/* Reads "90s", "1h30m", "250ms", "1.5h", "2d" (largest unit first not required). As above. */
bool units_parse_duration(const char *text, uint64_t *nsp);

/* Reads a whole decimal number up to max. As above. */
bool units_parse_number(const char *text, uint64_t max, uint64_t *numberp);

#endif
