/*
 * screen_header.c - owns the two lines that say which process this is, and how it
 * does as a whole. The rest of the screen is screen.c's.
 */
#include "analyzer/live/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/input.h"
#include "analyzer/live/sparkline.h"
#include "analyzer/units.h"

#define GAP          2
#define PARTS_MAX    10
#define PART_BYTES   96
#define COMM_MAX     24
#define PADDED_FORMS 60 /* columns from which on figures are padded */
#define LONG_FORMS   80 /* and words are spelled out */
#define SPARK_MIN    5
#define SPARK_MAX    40
#define LEAST_CPU    .001 /* the least that one decimal of per cent can show */

/* Words of the first line; those that matter least are the first to go. */
struct parts {
	struct header_part {
		char text[PART_BYTES];
		int importance;
	} parts[PARTS_MAX];
	int n;
};

static void add_part(struct parts *p, int importance, struct strbuf *text)
{
	struct header_part *part = &p->parts[p->n];

	if (text->bytes && text->bytes < sizeof(part->text) && p->n < PARTS_MAX) {
		memcpy(part->text, text->data, text->bytes + 1);
		part->importance = importance;
		p->n++;
	}
	strbuf_clear(text);
}

static int width_of(const struct parts *p)
{
	int i, columns = 0;

	for (i = 0; i < p->n; i++)
		columns += strbuf_columns(p->parts[i].text) + (i ? GAP : 0);
	return columns;
}

static void drop_least(struct parts *p)
{
	int i, least = 0;

	for (i = 1; i < p->n; i++)
		if (p->parts[i].importance < p->parts[least].importance)
			least = i;
	memmove(&p->parts[least], &p->parts[least + 1],
		(size_t)(p->n - least - 1) * sizeof(p->parts[0]));
	p->n--;
}

static void add_state(struct strbuf *text, const struct figures *fig, const struct view *view)
{
	if (fig->ended)
		strbuf_add_text(text, "ended");
	else if (view->paused)
		strbuf_add_text(text, "paused");
	else if (fig->stopped)
		strbuf_add_text(text, "stopped");
	else if (fig->from_files)
		strbuf_add_text(text, "from files");
}

static void add_interval(struct strbuf *text, uint64_t interval_bytes, bool is_long)
{
	if (interval_bytes <= 1) {
		strbuf_add_text(text, "exact");
		return;
	}
	strbuf_add_text(text, is_long ? "interval " : "per ");
	units_add_bytes(text, (double)interval_bytes);
}

static void collect(struct parts *p, const struct figures *fig, const struct view *view)
{
	const struct snapshot *s = fig->now->snapshot;
	bool is_long = view->columns >= LONG_FORMS;
	const char *comm = input_comm(s);
	struct strbuf text = { 0 };
	uint64_t n_lost;

	table_add_cut(&text, comm, COMM_MAX);
	add_part(p, 10, &text);
	strbuf_addf(&text, "pid %u", s->info.pid);
	add_part(p, 8, &text);
	units_add_clock(&text, s->info.cut_ns);
	/* Without the tenths of the first minute. */
	text.bytes = strcspn(text.data, ".");
	text.data[text.bytes] = '\0';
	add_part(p, 9, &text);
	add_state(&text, fig, view);
	add_part(p, 11, &text);
	strbuf_addf(&text, "%s %s%.1f %%", is_long ? "CPU of profiler" : "cpu",
		fig->profiler_cpu > 0 && fig->profiler_cpu < LEAST_CPU ? "<" : "",
		100 * (fig->profiler_cpu > 0 ? fmax(LEAST_CPU, fig->profiler_cpu) : 0));
	add_part(p, 4, &text);
	add_interval(&text, fig->ranking.interval_bytes, is_long);
	add_part(p, 5, &text);
	if (input_is_lower_bound(s, &n_lost) && is_long)
		strbuf_add_text(&text, "lower bounds, ");
	strbuf_add_text(&text, "lost ");
	units_add_count(&text, n_lost);
	add_part(p, n_lost ? 7 : 6, &text);
	strbuf_deinit(&text);
}

static void set_first(struct screen_part *part, const struct figures *fig, const struct view *view)
{
	static const char quit[] = "[q]uit";
	struct parts p = { .n = 0 };
	struct strbuf line = { 0 };
	int i, room;

	collect(&p, fig, view);
	while (p.n > 1 && width_of(&p) > part->columns)
		drop_least(&p);
	for (i = 0; i < p.n; i++) {
		strbuf_pad(&line, ' ', i ? GAP : 0);
		strbuf_add_text(&line, p.parts[i].text);
	}
	room = part->columns - strbuf_columns(line.data) - (int)strlen(quit);
	if (room >= GAP) {
		strbuf_pad(&line, ' ', room);
		strbuf_add_text(&line, quit);
	}
	screen_set(part, 0, fig->ended ? SCREEN_WARNING : SCREEN_BOLD, line.data);
	strbuf_deinit(&line);
}

/* The three figures of the second line, in the order of struct figures_reading. */
enum { LIVE, RSS, ALLOCATED, N_FIGURES };

static double value_of(const struct figures_reading *reading, int which)
{
	return which == LIVE  ? reading->live_bytes
	       : which == RSS ? reading->rss_bytes
			      : reading->allocated_per_s;
}

static void add_spark(struct strbuf *line, const struct figures *fig, const struct view *view,
	int which, int columns)
{
	double *values = alloc_array(fig->n_series, sizeof(*values));
	struct strbuf spark = { 0 };
	size_t i;

	for (i = 0; i < fig->n_series; i++)
		values[i] = value_of(&fig->series[i], which);
	sparkline_add(&spark, values, fig->n_series, fig->n_dropped, columns, which == ALLOCATED,
		view->ascii);
	strbuf_add_char(line, ' ');
	strbuf_add(line, spark.data ? spark.data : "", spark.bytes);
	strbuf_pad(line, ' ', columns - (spark.data ? strbuf_columns(spark.data) : 0));
	strbuf_deinit(&spark);
	free(values);
}

static void add_figure(struct strbuf *text, const struct figures *fig, int which)
{
	static const char *const names[N_FIGURES] = { "live ", "rss ", "alloc " };
	double value = value_of(&fig->series[fig->n_series - 1], which);

	strbuf_clear(text);
	/* Never known of this process: nothing, and no picture of it. */
	if (which == RSS && !(value > 0))
		return;
	strbuf_add_text(text, names[which]);
	if (isnan(value)) {
		strbuf_add_char(text, '-');
		return;
	}
	units_add_bytes(text, value);
	if (which == ALLOCATED)
		strbuf_add_text(text, "/s");
	if (which != LIVE)
		return;
	strbuf_add_text(text, " (");
	if (fig->ranking.exact)
		strbuf_add_text(text, "exact");
	else
		units_add_range(
			text, fig->total.bytes.lo, fig->total.bytes.hi, fig->total.sum.bytes);
	strbuf_add_char(text, ')');
}

static void set_second(struct screen_part *part, const struct figures *fig, const struct view *view)
{
	/* So that nothing shifts, comes or goes when a figure gains a digit. */
	static const int padded[N_FIGURES] = { 27, 12, 16 };
	struct strbuf texts[N_FIGURES] = { { 0 } }, line = { 0 };
	int columns[N_FIGURES], i, used = 0, n_figures = 0, n_drawn = 0, n_sparks, spark;

	for (i = 0; i < N_FIGURES; i++) {
		add_figure(&texts[i], fig, i);
		if (!texts[i].bytes)
			continue;
		columns[i] = strbuf_columns(texts[i].data);
		if (view->columns >= PADDED_FORMS && columns[i] < padded[i])
			columns[i] = padded[i];
		used += columns[i] + (i ? GAP : 0);
		n_figures++;
	}
	/* A picture for all, or for live and RSS, or for live, or for none. */
	for (n_sparks = view->columns >= PADDED_FORMS ? n_figures : 0; n_sparks; n_sparks--)
		if (used + n_sparks * (1 + SPARK_MIN) <= part->columns)
			break;
	spark = n_sparks ? (part->columns - used) / n_sparks - 1 : 0;
	if (spark > SPARK_MAX)
		spark = SPARK_MAX;
	for (i = 0; i < N_FIGURES; i++) {
		if (texts[i].bytes) {
			strbuf_pad(&line, ' ', i ? GAP : 0);
			strbuf_add_text(&line, texts[i].data);
			strbuf_pad(&line, ' ', columns[i] - strbuf_columns(texts[i].data));
			if (n_drawn++ < n_sparks)
				add_spark(&line, fig, view, i, spark);
		}
		strbuf_deinit(&texts[i]);
	}
	screen_set(part, 1, SCREEN_PLAIN, line.data);
	strbuf_deinit(&line);
}

void screen_add_header(struct screen_part *part, const struct figures *fig, const struct view *view)
{
	if (!fig) {
		screen_set(part, 0, SCREEN_BOLD, "heapspy live");
		return;
	}
	set_first(part, fig, view);
	set_second(part, fig, view);
}
