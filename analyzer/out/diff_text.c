/* diff_text.c - owns the words and columns of `heapspy diff`. */
#include "analyzer/out/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/out/where.h"
#include "analyzer/site_names.h"
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

/* The sites within noise changed for certain, taken together. */
static bool noise_is_joint(const struct comparison *c)
{
	return !compare_is_still(&c->noise.sums) &&
	       (c->noise.growth.range.lo > 0 || c->noise.growth.range.hi < 0);
}

/* How many of the likeliest sites are shown all the same, as what they are: within noise. */
static size_t candidates_max(const struct comparison *c)
{
	if (only_together(c))
		return CANDIDATES;
	if (c->n_grew && noise_is_joint(c) && c->noise.growth.range.lo > 0 &&
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

static void add_range(struct strbuf *out, const struct diff_view *v, const struct growth *g)
{
	if (v->comparison->exact)
		strbuf_add_text(out, "exact");
	else
		units_add_range(out, g->range.lo, g->range.hi, g->bytes);
}

/* "412 MiB (383..443)"; signed where asked, so that a sum within noise shows its side. */
static void add_growth(
	struct strbuf *out, const struct diff_view *v, const struct growth *g, bool is_signed)
{
	struct growth shown = *g;

	if (!is_signed && g->bytes < 0)
		shown = (struct growth){ -g->bytes, { -g->range.hi, -g->range.lo } };
	units_add_bytes(out, shown.bytes);
	strbuf_add_text(out, " (");
	add_range(out, v, &shown);
	strbuf_add_char(out, ')');
}

static void add_process(struct strbuf *out, const struct snapshot *s)
{
	const char *comm = input_comm(s);

	strbuf_add_escaped(out, comm, strlen(comm));
	strbuf_addf(out, " (pid %u)", s->info.pid);
}

static void add_notes(struct strbuf *out, const struct diff_view *v)
{
	static const char *const names[] = { "A", "B", "C" };
	const struct input *inputs[] = { v->a, v->b, v->third };
	unsigned i;

	for (i = 0; i < 3; i++) {
		if (!inputs[i] || !inputs[i]->moment.note[0])
			continue;
		strbuf_addf(out, "%s: ", names[i]);
		strbuf_add_escaped(out, inputs[i]->moment.note, strlen(inputs[i]->moment.note));
		strbuf_add_char(out, '\n');
	}
}

/* When, and how it is called if it has a name. */
static void add_time(struct strbuf *out, const struct snapshot *s)
{
	const char *label = snapshot_string(s, s->info.label);

	units_add_clock(out, s->info.cut_ns);
	if (s->info.reason == HEAPSPY_REASON_EXIT)
		strbuf_add_text(out, " (exit)");
	if (!label[0])
		return;
	strbuf_add_text(out, " (");
	strbuf_add_escaped(out, label, strlen(label));
	strbuf_add_char(out, ')');
}

/* What RSS and sizes of blocks owe to the allocator, nobody should look for in the program. */
static void add_allocators(struct strbuf *out, const struct snapshot *a, const struct snapshot *b)
{
	const char *of_a = input_allocator(a), *of_b = input_allocator(b);

	if (!of_a[0] || !of_b[0] || !strcmp(of_a, of_b))
		return;
	strbuf_add_text(out, "Different allocators: malloc of ");
	strbuf_add_escaped(out, of_a, strlen(of_a));
	strbuf_add_text(out, " before, of ");
	strbuf_add_escaped(out, of_b, strlen(of_b));
	strbuf_add_text(out, " after.\n");
}

static void add_title(struct strbuf *out, const struct diff_view *v)
{
	const struct snapshot *a = v->a->snapshot, *b = v->b->snapshot;
	const struct comparison *c = v->comparison;

	add_process(out, a);
	strbuf_add_text(out, "  ");
	add_time(out, a);
	strbuf_add_text(out, " -> ");
	if (!c->same_process) {
		add_process(out, b);
		strbuf_add_text(out, "  ");
	}
	add_time(out, b);
	if (v->third) {
		strbuf_add_text(out, ", still live at ");
		add_time(out, v->third->snapshot);
	}
	strbuf_add_text(out, "   ");
	input_add_interval(out, c->interval_bytes[1]);
	if (!c->same_process && c->interval_bytes[0] != c->interval_bytes[1]) {
		strbuf_add_text(out, " (before: ");
		input_add_interval(out, c->interval_bytes[0]);
		strbuf_add_char(out, ')');
	}
	strbuf_add_char(out, '\n');
	if (!c->same_process)
		strbuf_add_text(out, "Different processes: nothing cancels, ranges are those of "
				     "two estimates.\n");
	add_allocators(out, a, b);
	add_notes(out, v);
}

static void add_rss(struct strbuf *out, const struct diff_view *v)
{
	double a = (double)v->a->snapshot->info.rss_bytes;
	double b = (double)v->b->snapshot->info.rss_bytes;

	if (!(a > 0) || !(b > 0))
		return;
	strbuf_add_text(out, b < a ? " RSS " : " RSS +");
	units_add_bytes(out, b - a);
	strbuf_add_char(out, '.');
}

static void add_counts(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;

	if (v->third) {
		strbuf_add_char(out, ' ');
		units_add_count(out, c->n_grew);
		strbuf_addf(out, " site%s kept more than noise.\n", c->n_grew == 1 ? "" : "s");
		return;
	}
	strbuf_add_char(out, ' ');
	units_add_count(out, c->n_grew);
	strbuf_addf(out, " site%s grew, ", c->n_grew == 1 ? "" : "s");
	units_add_count(out, c->n_shrank);
	strbuf_add_text(out, " shrank, ");
	units_add_count(out, c->n_noise);
	strbuf_add_text(out, noise_is_joint(c) ? " uncertain.\n" : " unchanged.\n");
}

static void add_headline(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	const struct sites_filter *filter = &v->options->filter;
	const char *what = filter->focus || filter->ignore || filter->module
				   ? "The matching part of the live heap"
				   : "Live heap";

	if (v->third) {
		add_growth(out, v, &c->total.growth, false);
		strbuf_add_text(out, " of what A to B allocated was still live at C.");
	} else if (compare_is_still(&c->total.sums)) {
		strbuf_add_text(out, "No change seen (");
		if (c->exact) {
			strbuf_add_text(out, "exact");
		} else {
			strbuf_add_text(out, "resolution +-");
			units_add_bytes(
				out, growth_resolution_bytes(c->interval_bytes[1], INTERVAL_Z95));
		}
		strbuf_addf(out, "). %s: ", what);
		units_add_bytes(out, c->total.sums.after.bytes);
		strbuf_add_char(out, '.');
	} else {
		const struct growth *g = &c->total.growth;

		strbuf_addf(out, "%s %s by ", what,
			c->total.verdict == COMPARE_GREW     ? "grew"
			: c->total.verdict == COMPARE_SHRANK ? "shrank"
							     : "changed within noise,");
		add_growth(out, v, g, c->total.verdict == COMPARE_NOISE);
		strbuf_add_text(out, ", from ");
		units_add_bytes(out, c->total.sums.before.bytes);
		strbuf_add_text(out, " to ");
		units_add_bytes(out, c->total.sums.after.bytes);
		strbuf_add_char(out, '.');
	}
	add_rss(out, v);
	add_counts(out, v);
}

/* The column to do without where there is no room for all: after - growth. */
static bool has_before(const struct diff_view *v)
{
	return !v->third && v->style.columns >= COLUMNS_FOR_BEFORE;
}

static void add_row_cells(struct table *t, const struct diff_view *v, const struct compare_row *row)
{
	struct strbuf text = { 0 };

	table_add(t, row->verdict == COMPARE_GREW     ? "+"
		     : row->verdict == COMPARE_SHRANK ? "-"
						      : "~");
	units_add_bytes(&text, fabs(row->growth.bytes));
	table_add_buffer(t, &text);
	add_range(&text, v, &row->growth);
	table_add_buffer(t, &text);
	if (has_before(v)) {
		units_add_bytes(&text, row->sums.before.bytes);
		table_add_buffer(t, &text);
	}
	if (!v->third) {
		units_add_bytes(&text, row->sums.after.bytes);
		table_add_buffer(t, &text);
	}
	units_add_count(&text, (uint64_t)(row->sums.born.samples + row->sums.died.samples));
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
		double bytes = sums->born.bytes - sums->died.bytes;

		strbuf_add_text(out, bytes < 0 ? "    " : "    +");
		units_add_bytes(out, bytes);
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
	struct growth_sides sides = { .born_interval_bytes = c->interval_bytes[1],
		.died_interval_bytes = c->interval_bytes[0] };
	struct growth growth;
	size_t i, n = 0;

	for (i = 0; i < c->n_rows; i++) {
		if (shown[i] || c->rows[i].verdict != verdict)
			continue;
		estimate_add(&sides.born, &c->rows[i].sums.born);
		estimate_add(&sides.died, &c->rows[i].sums.died);
		n++;
	}
	if (!n)
		return;
	growth = growth_estimate(&sides, INTERVAL_Z95);
	strbuf_addf(out, "  %s ", verdict == COMPARE_GREW ? "+" : "-");
	units_add_count(out, n);
	strbuf_addf(out, " more site%s %s, together ", n == 1 ? "" : "s",
		verdict == COMPARE_GREW ? "grew" : "shrank");
	add_growth(out, v, &growth, false);
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

	table_init(&t, v->third ? "lrrrl" : has_before(v) ? "lrrrrrl" : "lrrrrl");
	table_add(&t, "");
	table_add(&t, v->third ? "kept" : "growth");
	table_add(&t, v->comparison->exact ? "range" : "95 % range");
	if (has_before(v))
		table_add(&t, "before");
	if (!v->third)
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

static void add_noise_words(struct strbuf *out, const struct comparison *c)
{
	units_add_count(out, c->n_noise);
	strbuf_addf(out, " site%s", c->n_noise == 1 ? "" : "s");
	/* Beside a range without 0, "within noise" would sound like its contrary. */
	if (!noise_is_joint(c))
		strbuf_add_text(out, " within noise, together ");
	else if (c->n_noise > 1)
		strbuf_add_text(out, ", none alone beyond noise, together ");
	else
		strbuf_add_text(out, ", not certain among all that moved, ");
}

/* Growth of the process that no site accounts for. */
static void add_rss_beyond(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	const struct sites_filter *filter = &v->options->filter;
	double a = (double)v->a->snapshot->info.rss_bytes;
	double b = (double)v->b->snapshot->info.rss_bytes;
	double beyond = b - a - c->total.growth.range.hi;

	if (!(a > 0) || !(b > 0) || v->third || !c->same_process || filter->focus ||
		filter->ignore || filter->module || beyond <= RSS_MARGIN_BYTES ||
		beyond <= RSS_MARGIN_SHARE * (b - a))
		return;
	if (c->total.growth.bytes > 0) {
		strbuf_add_text(out, "; RSS grew by ");
		units_add_bytes(out, b - a - c->total.growth.bytes);
		strbuf_add_text(out, " more (allocator, stacks, mappings)");
	} else if (b > a) {
		strbuf_add_text(out, "; RSS grew by ");
		units_add_bytes(out, b - a);
		strbuf_add_text(out, " (allocator, stacks, mappings)");
	}
}

static void add_sums(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	struct strbuf text = { 0 };

	if (c->n_noise) {
		strbuf_add_text(&text, "~ ");
		add_noise_words(&text, c);
		add_growth(&text, v, &c->noise.growth, true);
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

/* The argument of --focus that means a site, as a word of a shell, in quotes to stand out. */
static void add_focus(struct strbuf *out, const struct diff_view *v, const struct site *site)
{
	char *pattern = site_names_pattern(v->sites, site);
	struct strbuf word = { 0 };

	strbuf_add_shell_word(&word, pattern);
	if (word.data[0] == '\'')
		strbuf_add_escaped(out, word.data, word.bytes);
	else
		strbuf_addf(out, "'%s'", word.data);
	strbuf_deinit(&word);
	free(pattern);
}

static void add_hints(struct strbuf *out, const struct diff_view *v)
{
	const struct comparison *c = v->comparison;
	const struct site *first;

	if (v->options->quiet)
		return;
	if (only_together(c))
		strbuf_add_text(out,
			"\nMemory grew, but no single site is certain with so few samples: "
			"compare over a longer time,\n"
			"or run with a smaller HEAPSPY_SAMPLE, say 64KiB.\n");
	if (!c->n_grew)
		return;
	first = &v->sites->sites[c->rows[0].group];
	if (!v->third)
		strbuf_add_text(out,
			"\n\"Grew\" is not \"leaks\". What was new and is still there at a later "
			"moment C: --third C.");
	if (v->options->by != SITES_BY_SITE && first->function[0]) {
		strbuf_add_text(out, "\nStacks of one site: heapspy diff ");
		strbuf_add_escaped(out, v->arguments, strlen(v->arguments));
		strbuf_add_text(out, " --by site --focus ");
		add_focus(out, v, first);
	}
	strbuf_add_char(out, '\n');
}

void diff_text(const struct diff_view *v, const bool *shown, struct strbuf *out)
{
	add_title(out, v);
	add_headline(out, v);
	if (compare_is_still(&v->comparison->total.sums))
		return;
	strbuf_add_char(out, '\n');
	add_table(out, v, shown);
	add_left_out(out, v, shown, COMPARE_GREW);
	add_left_out(out, v, shown, COMPARE_SHRANK);
	add_sums(out, v);
	add_hints(out, v);
}
