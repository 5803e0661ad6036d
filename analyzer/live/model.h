/*
 * model.h - what `heapspy live` remembers between refreshes: snapshots of the last
 * minute, the mark, the series of the header, and all names found so far.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_MODEL_H
#define HEAPSPY_ANALYZER_LIVE_MODEL_H

#include <stdbool.h>

#include "analyzer/live/feed.h"
#include "analyzer/live/figures.h"
#include "analyzer/options.h"

/* Span that growth and allocations of a row are averaged over, once there are readings of it. */
#define MODEL_RECENT_NS 60000000000ull

struct model;

/* options: --by, --hide and the filter; they outlive the model. */
struct model *model_new(const struct options *options, struct fail *f);

/* NULL is fine. */
void model_free(struct model *model);

/* Takes a reading over; its snapshot may be NULL when only its flags are news. */
void model_add(struct model *model, struct feed_reading *reading);

/* The last reading becomes the mark; before the first call the first reading is it. */
void model_mark(struct model *model);

/* Replaces the expression of --focus; NULL: none. Copied. */
void model_set_focus(struct model *model, const char *focus);

/*
 * The figures of the last reading, of which there is one. NULL with f filled: as figures_new(), or
 * the process was not interposed and --force was not given.
 */
struct figures *model_figures(struct model *model, struct fail *f);

#endif
