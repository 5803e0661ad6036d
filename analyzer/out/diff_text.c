/* diff_text.c - owns the table of `heapspy diff`, the lines below it and which rows it shows. */
#include "analyzer/out/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/where.h"
#include "analyzer/site_names.h"
#include "analyzer/stats/trend_plan.h"
#include "analyzer/units.h"

#define STACKS_MAX         64
#define COLUMNS_FOR_BEFORE 100
#define CANDIDATES         5
#define CANDIDATES_BESIDE  3
/* Share of the whole growth from which on the sites within noise are worth rows. */
#define CANDIDATES_SHARE   .25
#define RSS_MARGIN_BYTES   (4.0 * (1 << 20))
#define RSS_MARGIN_SHARE   .2

/* The whole grew, but no site has samples enough to be named for it. */
static bool only_together(const struct comparison *c)
{
	return !c->n_grew && c->total.verdict == COMPARE_GREW;
}

/* How many of the likeliest sites are shown all the same, as what they are: within noise. */
static size_t candidates_max(const struct comparison *c)
{
	if (only_together(c))
		return CANDIDATES;
	if (c->n_grew && diff_noise_is_joint(c) && c->noise.growth.range.lo > 0 &&
		c->noise.growth.bytes >= CANDIDATES_SHARE * c->total.growth.bytes)
		return CANDIDATES_BESIDE;
	return 0;
}

static void choose_candidates(const struct diff_view *v, size_t n_before, bool *shown)
{
	const struct comparison *c = v->comparison;
	const struct options *o = v->options;
	size_t i, n = 0, max = candidates_max(c);

	if (o->n_rows && max > o->n_rows - n_before)
		max = o->n_rows - n_before;
	for (i = 0; i < c->n_rows && n < max; i++) {
		if (c->rows[i].verdict != COMPARE_NOISE || !(c->rows[i].growth.bytes > 0) ||
			c->rows[i].growth.bytes < (double)o->min_bytes)
			continue;
		shown[i] = true;
		n++;
	}
}

bool *diff_choose_rows(const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	const struct options *o = v->options;
	bool *shown = alloc_array(c->n_rows, sizeof(*shown));
	size_t i, n = 0;

	for (i = 0; i < c->n_rows; i++) {
		const struct compare_row *row = &c->rows[i];

		if (row->verdict == COMPARE_NOISE || (o->n_rows && n == o->n_rows) ||
			fabs(row->growth.bytes) < (double)o->min_bytes)
			continue;
		shown[i] = true;
		n++;
	}
	choose_candidates(v, n, shown);
	return shown;
}

/* The column to do without where there is no room for all: after - growth. */
static bool has_before(const struct diff_view *v)
{
	return !v->comparison->is_one_sided && v->style.columns >= COLUMNS_FOR_BEFORE;
}

static void add_row_cells(struct table *t, const struct diff_view *v, const struct compare_row *row)
{
	struct strbuf text = { 0 };

	table_add(t, row->verdict == COMPARE_GREW     ? "+"
		     : row->verdict == COMPARE_SHRANK ? "-"
						      : "~");
	units_add_bytes(&text, fabs(row->growth.bytes));
	table_add_buffer(t, &text);
	diff_add_range(&text, v, &row->growth);
	table_add_buffer(t, &text);
	if (has_before(v)) {
		units_add_bytes(&text, row->sums.before.bytes);
		table_add_buffer(t, &text);
	}
	if (!v->comparison->is_one_sided) {
		units_add_bytes(&text, row->sums.after.bytes);
		table_add_buffer(t, &text);
	}
	units_add_rounded(&text, row->sums.born.samples + row->sums.died.samples);
	table_add_buffer(t, &text);
	strbuf_deinit(&text);
}

static void add_row_stacks(
	struct strbuf *out, const struct diff_view *v, const struct compare_row *row, size_t max)
{
	uint32_t stacks[STACKS_MAX];
	size_t i, n, n_all;

	n = diff_best_stacks(v, row->group, stacks, max < STACKS_MAX ? max : STACKS_MAX, &n_all);
	for (i = 0; i < n; i++) {
		const struct compare_sums *sums = &v->comparison->stacks[stacks[i]];
		struct growth growth = compare_growth(v->comparison, sums);

		strbuf_add_text(out, growth.bytes < 0 ? "    " : "    +");
		diff_add_growth(out, v, &growth, true);
		strbuf_addf(out, ", %.0f sample%s\n", sums->born.samples + sums->died.samples,
			sums->born.samples + sums->died.samples > 1 ? "s" : "");
		where_add_stack(out, &v->style, v->sites->frames, stacks[i], 6);
	}
	if (n_all > n && n) {
		strbuf_add_text(out, "    (");
		units_add_count(out, n_all - n);
		strbuf_addf(out, " more stack%s)\n", n_all - n == 1 ? "" : "s");
	}
}

/* Sites that changed and are not in the table: -n or --min. */
static void add_left_out(struct strbuf *out, const struct diff_view *v, const bool *shown,
	enum compare_verdict verdict)
{
	const struct comparison *c = v->comparison;
	struct compare_sums sums = { 0 };
	struct growth growth;
	size_t i, n = 0;

	for (i = 0; i < c->n_rows; i++) {
		if (shown[i] || c->rows[i].verdict != verdict)
			continue;
		estimate_add(&sums.born, &c->rows[i].sums.born);
		estimate_add(&sums.died, &c->rows[i].sums.died);
		n++;
	}
	if (!n)
		return;
	growth = compare_growth(c, &sums);
	strbuf_addf(out, "  %s ", verdict == COMPARE_GREW ? "+" : "-");
	units_add_count(out, n);
	strbuf_addf(out, " more site%s %s, together ", n == 1 ? "" : "s",
		c->what == COMPARE_KEPT   ? "kept some"
		: c->is_one_sided         ? "allocated"
		: verdict == COMPARE_GREW ? "grew"
					  : "shrank");
	diff_add_growth(out, v, &growth, false);
	strbuf_add_text(
		out, v->options->min_bytes ? "; all rows: -n 0 --min 0\n" : "; all rows: -n 0\n");
}

static void add_table(struct strbuf *out, const struct diff_view *v, const bool *shown)
{
	const struct comparison *c = v->comparison;
	/* By site a row is a stack, so it shows one. */
	size_t max = v->options->has_stacks ? v->options->n_stacks
					    : (v->options->by == SITES_BY_SITE ? 1 : 0);
	uint32_t *groups = alloc_array(c->n_rows, sizeof(*groups));
	struct where_layout layout;
	struct table t;
	size_t i, n = 0, row = 1;
	struct strbuf text = { 0 };

	table_init(&t, c->is_one_sided ? "lrrrl" : has_before(v) ? "lrrrrrl" : "lrrrrl");
	table_add(&t, "");
	table_add(&t, !c->is_one_sided ? "growth" : c->what == COMPARE_KEPT ? "kept" : "allocated");
	table_add(&t, c->exact ? "range" : "95 % range");
	if (has_before(v))
		table_add(&t, "before");
	if (!c->is_one_sided)
		table_add(&t, "after");
	table_add(&t, "samples");
	table_add(&t, "where");
	/* The places need the width of all else: the other columns are measured first. */
	for (i = 0; i < c->n_rows; i++)
		if (shown[i]) {
			add_row_cells(&t, v, &c->rows[i]);
			table_add(&t, "");
			groups[n++] = c->rows[i].group;
		}
	where_layout_init(&layout, &v->style, v->sites, groups, n, table_left_columns(&t, 2));
	if (n)
		table_render(&t, 0, 2, &v->style, TABLE_PLAIN, out);
	for (i = 0; i < c->n_rows; i++) {
		if (!shown[i])
			continue;
		where_add_text(&text, &layout, &v->sites->sites[c->rows[i].group]);
		table_set_last(&t, row, &text);
		table_render(&t, row++, 2, &v->style,
			c->rows[i].verdict == COMPARE_GREW     ? TABLE_RED
			: c->rows[i].verdict == COMPARE_SHRANK ? TABLE_GREEN
							       : TABLE_DIM,
			out);
		if (max)
			add_row_stacks(out, v, &c->rows[i], max);
	}
	table_deinit(&t);
	strbuf_deinit(&text);
	free(groups);
}

static void add_noise_words(struct strbuf *out, const struct comparison *c, bool some_shown)
{
	units_add_count(out, c->n_noise);
	strbuf_addf(out, " site%s", c->n_noise == 1 ? "" : "s");
	/* Beside a range without 0, "within noise" would sound like its contrary. */
	/* Whoever adds up the rows shall not count these twice. */
	if (some_shown)
		strbuf_add_text(
			out, c->n_noise == 1 ? ", the one above" : ", those above among them");
	if (!diff_noise_is_joint(c))
		strbuf_add_text(out, " within noise, together ");
	else if (c->n_noise > 1)
		strbuf_add_text(out, ", none alone beyond noise, together ");
	else
		strbuf_add_text(out, ", not certain among all that moved, ");
}

/* Heap that came after A and is gone by B: its pages are, most of them, still there. */
static double freed_between(const struct heapspy_info *a, const struct heapspy_info *b)
{
	if (b->peak_live_bytes <= a->peak_live_bytes || b->peak_live_bytes <= b->live_bytes)
		return 0;
	return (double)(b->peak_live_bytes - b->live_bytes);
}

/* Growth of the process that no site accounts for. */
static void add_rss_beyond(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	const struct sites_filter *filter = &v->options->filter;
	double a = (double)v->a->snapshot->info.rss_bytes;
	double b = (double)v->b->snapshot->info.rss_bytes;
	double freed = freed_between(&v->a->snapshot->info, &v->b->snapshot->info);
	double beyond = b - a - c->total.growth.range.hi - freed;
	const struct growth more = { b - a - freed - c->total.growth.bytes,
		{ beyond, b - a - freed - c->total.growth.range.lo } };

	if (!(a > 0) || !(b > 0) || c->is_one_sided || !c->same_process || filter->focus ||
		filter->ignore || filter->module || beyond <= RSS_MARGIN_BYTES ||
		beyond <= RSS_MARGIN_SHARE * (b - a))
		return;
	if (c->total.growth.bytes > 0) {
		strbuf_add_text(out, "; RSS grew by ");
		diff_add_growth(out, v, &more, true);
		strbuf_add_text(out, " more: allocator, stacks, mappings");
	} else if (b > a) {
		strbuf_add_text(out, "; RSS grew by ");
		units_add_bytes(out, b - a - freed);
		strbuf_add_text(out, freed > 0 ? " beside what was freed" : "");
		strbuf_add_text(out, ": allocator, stacks, mappings");
	}
}

static void add_sums(struct strbuf *out, const struct diff_view *v, const bool *shown)
{
	const struct comparison *c = v->comparison;
	struct strbuf text = { 0 };
	bool some_shown = false;
	size_t i;

	if (c->n_noise) {
		strbuf_add_text(&text, "~ ");
		for (i = 0; i < c->n_rows; i++)
			some_shown |= shown[i] && c->rows[i].verdict == COMPARE_NOISE;
		add_noise_words(&text, c, some_shown);
		diff_add_growth(&text, v, &c->noise.growth, true);
		strbuf_add_text(out, "  ");
		table_add_colored(out, &v->style, TABLE_DIM, text.data);
		strbuf_add_char(out, '\n');
	}
	strbuf_add_text(out, "  = ");
	units_add_bytes(out, c->total.growth.bytes);
	strbuf_add_text(out, "   sum of all sites");
	add_rss_beyond(out, v);
	strbuf_add_char(out, '\n');
	strbuf_deinit(&text);
}

/* Which of what grew will not go away again: the run tells, or a later moment. */
static void add_leak_hint(struct strbuf *out, const struct diff_view *v)
{
	struct moment_parts parts;

	strbuf_add_text(out, "\n\"Grew\" is not \"leaks\"");
	if (v->comparison->same_process && v->b->moment.n_in_run > TREND_PLAN_INTERVALS_MIN) {
		parts = moment_split(v->b_text);
		strbuf_add_text(out, ": heapspy trend ");
		strbuf_add_shell_word(out, parts.path);
		free(parts.path);
	} else {
		strbuf_add_text(
			out, ". What was new and is still there at a later moment C: --third C.");
	}
}

static void add_hints(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	const struct site *first;

	if (v->options->quiet)
		return;
	if (only_together(c) && c->what == COMPARE_LIVE)
		strbuf_add_text(out,
			"\nMemory grew, but no single site is certain with so few samples: "
			"compare over a longer time,\n"
			"or run with a smaller HEAPSPY_SAMPLE, say 64KiB.\n");
	if (!c->n_grew)
		return;
	first = &v->sites->sites[c->rows[0].group];
	if (c->what == COMPARE_LIVE)
		add_leak_hint(out, v);
	if (v->options->by != SITES_BY_SITE && first->function[0]) {
		strbuf_add_text(out, "\nStacks of one site: heapspy diff ");
		strbuf_add_escaped(out, v->arguments, strlen(v->arguments));
		strbuf_add_text(out, " --by site --focus ");
		where_add_focus(out, v->sites, first);
	}
	strbuf_add_char(out, '\n');
}

void diff_text(const struct diff_view *v, const bool *shown, struct strbuf *out)
{
	diff_add_head(v, out);
	if (compare_is_still(&v->comparison->total.sums))
		return;
	strbuf_add_char(out, '\n');
	add_table(out, v, shown);
	add_left_out(out, v, shown, COMPARE_GREW);
	add_left_out(out, v, shown, COMPARE_SHRANK);
	add_sums(out, v, shown);
	add_hints(out, v);
}
