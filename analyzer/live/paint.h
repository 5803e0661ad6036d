/*
 * paint.h - the bytes that turn one screen on a terminal into the next: only lines
 * that differ, each written over what stands there, nothing cleared in between.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_PAINT_H
#define HEAPSPY_ANALYZER_LIVE_PAINT_H

#include <stdbool.h>

#include "analyzer/live/screen.h"

/* before: what the terminal shows; NULL: anything, so that everything is written. */
void paint_add(
	struct strbuf *out, const struct screen *now, const struct screen *before, bool color);

#endif
