/* trend_watch.h - `heapspy trend --watch`: a look whenever the run has a new snapshot. */
#ifndef HEAPSPY_ANALYZER_TREND_WATCH_H
#define HEAPSPY_ANALYZER_TREND_WATCH_H

#include "analyzer/fail.h"
#include "analyzer/options.h"

/*
 * Prints looks as they come: on a terminal one in place of the other, until the run ends, q, a
 * signal or --count; the last stays there. Returns the exit code, or -1 with f filled.
 */
int trend_watch(const struct options *o, struct fail *f);

#endif
