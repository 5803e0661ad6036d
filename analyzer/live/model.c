/*
 * model.c - owns which earlier snapshots are kept and which one growth is measured
 * from. What is worked out of them is figures.c's.
 */
#include "analyzer/live/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/input.h"
#include "analyzer/symbols/symbols.h"

/* Kept snapshots: one each twelfth of the span, so that its length hardly changes. */
#define KEPT_STEP_NS (MODEL_RECENT_NS / 12)
#define KEPT_MAX     16
#define SERIES_MAX   1024
/* Dropped at a time: a multiple of every step of a sparkline that covers the series. */
#define SERIES_DROP  256

struct model {
	const struct options *options;
	struct sites_filter filter;
	char *focus; /* NULL: that of the options */
	struct symbols *symbols;
	struct shot *kept[KEPT_MAX]; /* oldest first */
	size_t n_kept;
	struct shot *now, *mark;
	struct figures_reading series[SERIES_MAX];
	size_t n_series, n_dropped;
	bool ended, stopped, from_files, is_marked;
};

struct model *model_new(const struct options *options, struct fail *f)
{
	struct model *model = alloc_array(1, sizeof(*model));

	model->options = options;
	model->filter = options->filter;
	model->symbols = symbols_new();
	if (model->symbols)
		return model;
	free(model);
	fail_set(f, EXIT_CODE_OTHER, "out of memory for symbols");
	return NULL;
}

static void forget(struct model *model)
{
	size_t i;

	for (i = 0; i < model->n_kept; i++)
		shot_release(model->kept[i]);
	shot_release(model->now);
	shot_release(model->mark);
	model->n_kept = model->n_series = model->n_dropped = 0;
	model->now = model->mark = NULL;
	model->is_marked = false;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	forget(model);
	symbols_free(model->symbols);
	free(model->focus);
	free(model);
}

static uint64_t cut_ns(const struct shot *shot)
{
	return shot->snapshot->info.cut_ns;
}

/* Keeps the newest snapshot, when it is time, and drops those that no span needs any more. */
static void keep(struct model *model)
{
	size_t n_old = 0;

	if (model->n_kept &&
		cut_ns(model->now) < cut_ns(model->kept[model->n_kept - 1]) + KEPT_STEP_NS)
		return;
	while (n_old + 1 < model->n_kept &&
		cut_ns(model->kept[n_old + 1]) + MODEL_RECENT_NS <= cut_ns(model->now))
		shot_release(model->kept[n_old++]);
	memmove(model->kept, model->kept + n_old, (model->n_kept - n_old) * sizeof(*model->kept));
	model->n_kept -= n_old;
	if (model->n_kept < KEPT_MAX)
		model->kept[model->n_kept++] = shot_use(model->now);
}

/* The youngest that is a whole span old; before there is one, the oldest. */
static struct shot *recent(const struct model *model)
{
	size_t i = 0;

	while (i + 1 < model->n_kept &&
		cut_ns(model->kept[i + 1]) + MODEL_RECENT_NS <= cut_ns(model->now))
		i++;
	return model->kept[i];
}

static void add_to_series(
	struct model *model, const struct snapshot *s, const struct snapshot *before)
{
	double last_rss_bytes =
		model->n_series ? model->series[model->n_series - 1].rss_bytes : NAN;
	struct figures_reading *reading;

	if (model->n_series == SERIES_MAX) {
		model->n_series -= SERIES_DROP;
		model->n_dropped += SERIES_DROP;
		memmove(model->series, model->series + SERIES_DROP,
			model->n_series * sizeof(*model->series));
	}
	reading = &model->series[model->n_series++];
	reading->live_bytes = NAN; /* known with the figures */
	/* Of a process that has ended it is not known: then the last that was. */
	reading->rss_bytes = s->info.rss_bytes ? (double)s->info.rss_bytes : last_rss_bytes;
	reading->allocated_per_s = NAN;
	if (before && s->info.cut_ns > before->info.cut_ns)
		reading->allocated_per_s =
			((double)s->info.bytes_seen - (double)before->info.bytes_seen) /
			((double)(s->info.cut_ns - before->info.cut_ns) / 1e9);
}

void model_add(struct model *model, struct feed_reading *reading)
{
	struct snapshot *s = reading->snapshot;
	struct shot *before = model->now;

	model->ended = reading->ended;
	model->stopped = reading->stopped;
	model->from_files = reading->from_files;
	reading->snapshot = NULL;
	if (!s)
		return;
	if (before && (before->snapshot->info.start_id != s->info.start_id ||
			      before->snapshot->info.pid != s->info.pid)) {
		/* Another process, of which what was seen so far says nothing. */
		forget(model);
		before = NULL;
	}
	add_to_series(model, s, before ? before->snapshot : NULL);
	if (reading->first) {
		model->mark = model->kept[model->n_kept++] = shot_new(reading->first);
		shot_use(model->mark);
	}
	model->now = shot_new(s);
	keep(model);
	if (!model->mark)
		model->mark = shot_use(model->now);
	shot_release(before);
}

void model_mark(struct model *model)
{
	shot_release(model->mark);
	model->mark = shot_use(model->now);
	model->is_marked = true;
}

void model_set_focus(struct model *model, const char *focus)
{
	char *copy = focus ? alloc_text(focus, strlen(focus)) : NULL;

	free(model->focus);
	model->filter.focus = model->focus = copy;
}

struct figures *model_figures(struct model *model, struct fail *f)
{
	struct figures_request request = {
		.now = model->now,
		.recent = recent(model),
		.mark = model->mark,
		.by = model->options->by,
		.filter = model->filter,
		.hide = model->options->hide,
		.symbols = model->symbols,
	};
	const struct input input = { .snapshot = model->now->snapshot };
	struct figures *fig;

	if (input_check_interposed(&input, model->options, f) < 0)
		return NULL;
	fig = figures_new(&request, f);
	if (!fig)
		return NULL;
	model->series[model->n_series - 1].live_bytes = fig->total.sum.bytes;
	fig->n_series = model->n_series;
	fig->n_dropped = model->n_dropped;
	fig->series = alloc_array(fig->n_series, sizeof(*fig->series));
	memcpy(fig->series, model->series, fig->n_series * sizeof(*fig->series));
	fig->ended = model->ended;
	fig->stopped = model->stopped;
	fig->from_files = model->from_files;
	fig->is_marked = model->is_marked;
	return fig;
}
