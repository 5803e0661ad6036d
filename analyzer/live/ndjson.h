/*
 * ndjson.h - `heapspy live` for programs: one JSON object a line, one line a
 * refresh, schema heapspy.live/1.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_NDJSON_H
#define HEAPSPY_ANALYZER_LIVE_NDJSON_H

#include "analyzer/live/figures.h"
#include "analyzer/strbuf.h"

/* Adds the line of one refresh: all rows, full names. */
void ndjson_add(struct strbuf *out, const struct figures *fig);

#endif
