/*
 * trend_notes.h - what must be said of a run beside its verdicts: what was left out of it, and
 * what its figures suffer from.
 */
#ifndef HEAPSPY_ANALYZER_TREND_NOTES_H
#define HEAPSPY_ANALYZER_TREND_NOTES_H

#include <stdbool.h>

#include "analyzer/history.h"
#include "analyzer/options.h"
#include "analyzer/strbuf.h"

/* Adds a sentence, without its full stop: why a short run has no verdicts, and when it will. */
void trend_notes_add_short(
	struct strbuf *out, const struct history *h, const struct options *o, bool has_ended);

/* Prints a line for each thing, on standard error. last: the last cut. */
void trend_notes_warn(const struct history *h, const struct snapshot *last);

/* Prints a line where the run ends in a fall of the heap that may hide leaks. run: as typed. */
void trend_notes_warn_fall(const struct history *h, const char *run);

#endif
