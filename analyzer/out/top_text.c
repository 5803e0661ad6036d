/* top_text.c - owns the words and columns of `heapspy top`. */
#include "analyzer/out/top.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/peak_text.h"
#include "analyzer/out/where.h"
#include "analyzer/units.h"

#define STACKS_MAX       64
#define RSS_FACTOR       4
#define RSS_MARGIN_BYTES (32.0 * (1 << 20))

size_t top_choose_rows(const struct ranking *r, const struct options *o)
{
	size_t i, n = 0;

	/* Rows are by lower limit, the threshold is on the figure: what is below it ends the table.
	 */
	for (i = 0; i < r->n_rows && (!o->n_rows || i < o->n_rows); i++)
		if (r->rows[i].sum.bytes >= (double)o->min_bytes)
			n = i + 1;
	return n;
}

struct scored {
	uint32_t stack;
	double bytes;
};

static int compare_scored(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

size_t top_best_stacks(const struct top_view *v, uint32_t group, uint32_t *stacks, size_t max)
{
	const uint32_t *members = v->sites->members + v->sites->first_member[group];
	size_t i, n = v->sites->first_member[group + 1] - v->sites->first_member[group];
	struct scored *scored = alloc_array(n, sizeof(*scored));

	for (i = 0; i < n; i++) {
		scored[i].stack = members[i];
		scored[i].bytes = v->ranking->stacks[members[i]].bytes;
	}
	qsort(scored, n, sizeof(*scored), compare_scored);
	for (i = 0; i < n && i < max; i++)
		stacks[i] = scored[i].stack;
	free(scored);
	return i;
}

static void add_bytes_range(
	struct strbuf *out, const struct top_view *v, const struct ranking_row *row)
{
	if (v->ranking->exact)
		strbuf_add_text(out, "exact");
	else
		units_add_range(out, row->bytes.lo, row->bytes.hi, row->sum.bytes);
}

/* "~98 000" when small blocks may have gone unseen, "4" when each was counted, "12..40" else. */
static void add_blocks(struct strbuf *out, const struct ranking_row *row)
{
	if (isinf(row->blocks.hi))
		strbuf_add_char(out, '~');
	units_add_rounded(out, row->sum.count);
}

static void add_blocks_range(
	struct strbuf *out, const struct top_view *v, const struct ranking_row *row)
{
	if (v->ranking->exact) {
		strbuf_add_text(out, "exact");
		return;
	}
	units_add_rounded(out, row->blocks.lo);
	strbuf_add_text(out, "..");
	if (!isinf(row->blocks.hi))
		units_add_rounded(out, row->blocks.hi);
}

/* Only one that is not libc's is worth a word. */
static void add_allocator(struct strbuf *out, const struct snapshot *s)
{
	const char *allocator = input_allocator(s);

	if (!allocator[0] || !strncmp(allocator, "libc.so.", 8))
		return;
	strbuf_add_text(out, "; malloc of ");
	strbuf_add_escaped(out, allocator, strlen(allocator));
}

static void add_title(struct strbuf *out, const struct top_view *v)
{
	const struct snapshot *s = v->input->snapshot;
	const struct ranking *r = v->ranking;
	const char *comm = input_comm(s);
	bool allocated = v->options->metric == METRIC_ALLOCATED;
	struct peak peak = peak_text_of_snapshot(s);

	strbuf_add_escaped(out, comm, strlen(comm));
	strbuf_addf(out, " (pid %u)  at ", s->info.pid);
	units_add_clock(out, s->info.cut_ns);
	strbuf_add_text(out, allocated ? "   allocated " : "   live ");
	units_add_bytes(out, r->total.sum.bytes);
	strbuf_add_text(out, " (");
	add_bytes_range(out, v, &r->total);
	strbuf_add_char(out, ')');
	if (allocated) {
		strbuf_add_text(out, ", exact count ");
		units_add_bytes(out, (double)s->info.bytes_seen);
	}
	if (s->info.rss_bytes) {
		strbuf_add_text(out, "   RSS ");
		units_add_bytes(out, (double)s->info.rss_bytes);
	}
	if (!allocated && s->info.peak_live_bytes) {
		strbuf_add_text(out, "   peak ");
		peak_text_add(out, &peak, s->info.rss_peak_bytes);
	} else if (s->info.rss_peak_bytes) {
		strbuf_add_text(out, "   VmHWM ");
		units_add_bytes(out, (double)s->info.rss_peak_bytes);
	}
	strbuf_add_text(out, "   ");
	units_add_rounded(out, r->total.sum.samples);
	strbuf_add_text(out, r->total.sum.samples == 1 ? " sample\n" : " samples\n");
	input_add_intervals(out, s);
	add_allocator(out, s);
	if (v->options->filter.focus || v->options->filter.ignore || v->options->filter.module) {
		strbuf_add_text(out, "; ");
		units_add_count(out, v->sites->n_sites);
		strbuf_add_text(out, " of ");
		units_add_count(out, v->sites->n_all);
		strbuf_addf(out, " site%s", v->sites->n_all == 1 ? " matches" : "s match");
	}
	if (v->input->moment.note[0]) {
		strbuf_add_text(out, "; ");
		strbuf_add_escaped(out, v->input->moment.note, strlen(v->input->moment.note));
	}
	strbuf_add_char(out, '\n');
}

/* What was picked for being high is too high: noise is in it. */
static void add_peak_title(struct strbuf *out, const struct top_view *v)
{
	const struct snapshot *s = v->input->snapshot;
	struct peak peak = peak_text_of_snapshot(s);

	if (v->options->metric == METRIC_ALLOCATED ||
		!(v->input->moment.is_at_peak || s->info.reason == HEAPSPY_REASON_PEAK))
		return;
	if (peak.is_exact)
		strbuf_add_text(out, "Sites at the peak\n");
	else
		strbuf_addf(out,
			"Sites at the estimated peak (total overstated by up to %.0f %%)\n",
			ceil(100 * peak.overstated));
}

static void add_share(struct table *t, const struct top_view *v, const struct ranking_row *row)
{
	bool objects = v->options->metric == METRIC_OBJECTS;
	double part = objects ? row->sum.count : row->sum.bytes;
	double all = objects ? v->ranking->total.sum.count : v->ranking->total.sum.bytes;
	struct strbuf text = { 0 };

	if (all > 0)
		strbuf_addf(&text, "%.0f %%", 100 * part / all);
	table_add_buffer(t, &text);
	strbuf_deinit(&text);
}

static void add_row_cells(struct table *t, const struct top_view *v, const struct ranking_row *row)
{
	struct strbuf text = { 0 };

	if (v->options->metric == METRIC_OBJECTS) {
		add_blocks(&text, row);
		table_add_buffer(t, &text);
		add_blocks_range(&text, v, row);
		table_add_buffer(t, &text);
		add_share(t, v, row);
		units_add_bytes(&text, row->sum.bytes);
		table_add_buffer(t, &text);
	} else {
		units_add_bytes(&text, row->sum.bytes);
		table_add_buffer(t, &text);
		add_bytes_range(&text, v, row);
		table_add_buffer(t, &text);
		add_share(t, v, row);
		add_blocks(&text, row);
		table_add_buffer(t, &text);
	}
	if (v->options->metric != METRIC_ALLOCATED) {
		if (!isnan(row->age_ns))
			units_add_duration(&text, row->age_ns);
		table_add_buffer(t, &text);
	}
	strbuf_deinit(&text);
}

static void add_header(struct table *t, const struct top_view *v)
{
	static const char *const names[][4] = {
		[METRIC_LIVE] = { "live", "blocks", "median age" },
		[METRIC_ALLOCATED] = { "allocated", "blocks", NULL },
		[METRIC_OBJECTS] = { "blocks", "live", "median age" },
	};
	const char *const *words = names[v->options->metric];

	table_add(t, words[0]);
	table_add(t, v->ranking->exact ? "range" : "95 % range");
	table_add(t, "share");
	table_add(t, words[1]);
	if (words[2])
		table_add(t, words[2]);
	table_add(t, v->options->by_thread ? "thread" : "where");
}

static const char *thread_name(const struct top_view *v, uint32_t group)
{
	const char *name = v->profile->threads[group];

	return name[0] ? name : "<unknown>";
}

static void add_row_stacks(
	struct strbuf *out, const struct top_view *v, const struct ranking_row *row, size_t max)
{
	uint32_t stacks[STACKS_MAX];
	size_t i, n;

	n = top_best_stacks(v, row->group, stacks, max < STACKS_MAX ? max : STACKS_MAX);
	for (i = 0; i < n; i++) {
		const struct ranking_row stack = { .sum = v->ranking->stacks[stacks[i]],
			.bytes = ranking_stack_range(v->ranking, stacks[i]) };

		strbuf_add_text(out, "    ");
		units_add_bytes(out, stack.sum.bytes);
		strbuf_add_text(out, " (");
		add_bytes_range(out, v, &stack);
		strbuf_addf(out, "), %.0f sample%s\n", v->ranking->stacks[stacks[i]].samples,
			v->ranking->stacks[stacks[i]].samples > 1 ? "s" : "");
		where_add_stack(out, &v->style, v->sites->frames, stacks[i], 6);
	}
}

static void add_rest(struct table *t, const struct top_view *v, struct strbuf *where)
{
	struct ranking_row rest = ranking_rest(v->ranking, v->n_shown);
	size_t n = v->ranking->n_rows - v->n_shown;

	add_row_cells(t, v, &rest);
	strbuf_add_char(where, '(');
	units_add_count(where, n);
	strbuf_addf(where, " more %s%s, -n 0%s)", v->options->by_thread ? "thread" : "site",
		n == 1 ? "" : "s", v->options->min_bytes ? " --min 0" : "");
	table_add_buffer(t, where);
}

/* A process whose memory mostly does not come from malloc: the table would mislead in silence. */
static void add_rss_hint(struct strbuf *out, const struct top_view *v)
{
	const struct sites_filter *filter = &v->options->filter;
	double rss = (double)v->input->snapshot->info.rss_bytes;
	double most = v->ranking->total.bytes.hi;

	if (v->options->quiet || v->options->metric == METRIC_ALLOCATED || filter->focus ||
		filter->ignore || filter->module || rss <= RSS_FACTOR * most ||
		rss - most <= RSS_MARGIN_BYTES)
		return;
	strbuf_add_text(out, "\nRSS is ");
	units_add_bytes(out, rss);
	strbuf_add_text(out, ": most of it is not live malloc memory (freed but kept "
			     "by the allocator? own arenas? PYTHONMALLOC=malloc, "
			     "USE_ZEND_ALLOC=0)\n");
}

void top_text(const struct top_view *v, struct strbuf *out)
{
	const struct ranking *r = v->ranking;
	bool by_thread = v->options->by_thread;
	size_t max = v->options->has_stacks ? v->options->n_stacks
					    : (v->options->by == SITES_BY_SITE ? 1 : 0);
	uint32_t *groups = alloc_array(v->n_shown, sizeof(*groups));
	struct strbuf text = { 0 };
	struct where_layout layout;
	struct table t;
	size_t i;

	add_title(out, v);
	add_peak_title(out, v);
	if (!r->n_rows) {
		strbuf_add_text(out, "Nothing was sampled; ");
		strbuf_add_text(out, r->exact ? "there is nothing.\n"
					      : "less than the upper end of the range is there.\n");
		add_rss_hint(out, v);
		free(groups);
		return;
	}
	strbuf_add_char(out, '\n');
	table_init(&t, v->options->metric == METRIC_ALLOCATED ? "rrrrl" : "rrrrrl");
	add_header(&t, v);
	for (i = 0; i < v->n_shown; i++) {
		add_row_cells(&t, v, &r->rows[i]);
		table_add(&t, "");
		groups[i] = r->rows[i].group;
	}
	if (v->n_shown < r->n_rows)
		add_rest(&t, v, &text);
	if (!by_thread)
		where_layout_init(&layout, &v->style, v->sites, groups, v->n_shown,
			table_left_columns(&t, 2));
	table_render(&t, 0, 2, &v->style, TABLE_PLAIN, out);
	for (i = 0; i < v->n_shown; i++) {
		if (by_thread)
			table_add_cut(&text, thread_name(v, groups[i]), 40);
		else
			where_add_text(&text, &layout, &v->sites->sites[groups[i]]);
		table_set_last(&t, i + 1, &text);
		table_render(&t, i + 1, 2, &v->style, TABLE_PLAIN, out);
		if (max && !by_thread)
			add_row_stacks(out, v, &r->rows[i], max);
	}
	if (v->n_shown < r->n_rows)
		table_render(&t, v->n_shown + 1, 2, &v->style, TABLE_PLAIN, out);
	add_rss_hint(out, v);
	table_deinit(&t);
	strbuf_deinit(&text);
	free(groups);
}
