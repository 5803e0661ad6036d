/*
 * trend_text.c - owns the table of `heapspy trend` and the lines below it. The lines above are
 * trend_head.c's, the words of the evidence trend_words.c's.
 */
#include "analyzer/out/trend_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/live/sparkline.h"
#include "analyzer/out/where.h"
#include "analyzer/site_names.h"
#include "analyzer/units.h"

#define INDENT            2
#define WHY_INDENT        6
#define SPARK_COLUMNS     10
#define COLUMNS_FOR_SPARK 100
#define STACKS_MAX        64

static int compare_rows(const void *a, const void *b)
{
	const struct trend_row *x = a, *y = b;
	int order = trend_compare(x->result, y->result);

	if (order)
		return order;
	if (x->result->last_bytes != y->result->last_bytes)
		return x->result->last_bytes > y->result->last_bytes ? -1 : 1;
	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	/* Those inside one site lie in one array. */
	return x->hidden < y->hidden ? -1 : x->hidden > y->hidden;
}

/* Verdicts that ask for somebody's attention; a cache that renews itself does not. */
static bool is_notable(const struct trend_result *r)
{
	return r->verdict < TREND_SAWTOOTH || r->grew_late ||
	       (r->verdict == TREND_SAWTOOTH && strcmp(trend_word(r), "cache"));
}

void trend_arrange(struct trend_view *v)
{
	const struct options *o = v->options;
	uint64_t n = 0, max = o->all && !o->has_rows ? 0 : o->n_rows;
	size_t i;

	qsort(v->rows, v->n_rows, sizeof(*v->rows), compare_rows);
	for (i = 0; i < v->n_rows; i++) {
		struct trend_row *row = &v->rows[i];

		if (!o->all && !is_notable(row->result))
			row->fate = TREND_FOLDED;
		else if (row->result->max_bytes < (double)o->min_bytes)
			row->fate = TREND_BELOW_MIN;
		else if (max && n == max)
			row->fate = TREND_BEYOND_N;
		else
			row->fate = TREND_SHOWN;
		n += row->fate == TREND_SHOWN;
	}
}

/* Where the rate of aged blocks says something of the site. */
static bool has_rate(const struct trend_result *r)
{
	return r->verdict <= TREND_TURNING_OVER;
}

/* Means over equal parts of the time; of parts without a cut there is none. */
static void add_picture(
	struct strbuf *out, const struct trend_view *v, const struct trend_result *r)
{
	const struct trend_plan *plan = &v->history->run.plan;
	double sums[SPARK_COLUMNS] = { 0 }, n[SPARK_COLUMNS] = { 0 };
	size_t i, columns = plan->n_cuts < SPARK_COLUMNS ? plan->n_cuts : SPARK_COLUMNS;

	for (i = 0; i < plan->n_cuts; i++) {
		size_t column = (size_t)(plan->seconds[i] / plan->window_seconds * (double)columns);

		column = column < columns ? column : columns - 1;
		sums[column] += r->live_bytes[i];
		n[column]++;
	}
	for (i = 0; i < columns; i++)
		sums[i] = n[i] > 0 ? sums[i] / n[i] : NAN;
	sparkline_add(out, sums, columns, 0, (int)columns, false, v->ascii);
}

/* Columns of a table, which depend on the room there is. */
struct columns {
	bool spark, why;
};

static void add_titles(struct table *t, const struct trend_view *v, struct columns columns)
{
	table_add(t, "verdict");
	table_add(t, "rate/min");
	table_add(t, v->history->run.interval_bytes <= 1 ? "range" : "95 % range");
	if (columns.spark)
		table_add(t, "live");
	table_add(t, columns.spark ? "now" : "live now");
	if (columns.why)
		table_add(t, "why");
	table_add(t, "where");
}

static void add_cells(struct table *t, const struct trend_view *v, struct columns columns,
	const struct trend_result *r)
{
	struct strbuf text = { 0 };

	table_add(t, trend_word(r));
	if (has_rate(r))
		units_add_bytes(&text, r->rate * 60);
	else
		strbuf_add_char(&text, '-');
	table_add_buffer(t, &text);
	if (has_rate(r) && v->history->run.interval_bytes <= 1)
		strbuf_add_text(&text, "exact");
	else if (has_rate(r))
		units_add_range(&text, r->rate_range.lo * 60, r->rate_range.hi * 60, r->rate * 60);
	table_add_buffer(t, &text);
	if (columns.spark) {
		add_picture(&text, v, r);
		table_add_buffer(t, &text);
	}
	units_add_bytes(&text, r->last_bytes);
	table_add_buffer(t, &text);
	if (columns.why) {
		trend_add_why(&text, v, r);
		table_add_buffer(t, &text);
	}
	table_add(t, "");
	strbuf_deinit(&text);
}

static void fill(struct table *t, const struct trend_view *v, struct columns columns)
{
	size_t i;

	table_init(t, columns.spark ? (columns.why ? "lrrlrll" : "lrrlrl")
				    : (columns.why ? "lrrrll" : "lrrrl"));
	add_titles(t, v, columns);
	for (i = 0; i < v->n_rows; i++)
		if (v->rows[i].fate == TREND_SHOWN)
			add_cells(t, v, columns, v->rows[i].result);
}

/* Text below a row, over several lines where it must; empties it. */
static void add_lines(struct strbuf *out, const struct trend_view *v, struct strbuf *text)
{
	const char *word;
	int column = 0;

	for (word = text->data; word && *word;) {
		size_t bytes = strcspn(word, " ");

		if (column && column + 1 + (int)bytes > v->style.columns) {
			strbuf_add_char(out, '\n');
			column = 0;
		}
		if (column) {
			strbuf_add_char(out, ' ');
			column++;
		} else {
			strbuf_pad(out, ' ', WHY_INDENT);
			column = WHY_INDENT;
		}
		strbuf_add(out, word, bytes);
		column += (int)bytes;
		word += bytes + strspn(word + bytes, " ");
	}
	strbuf_add_char(out, '\n');
	strbuf_clear(text);
}

struct scored {
	uint32_t stack;
	double net, live;
};

static int compare_scored(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->net != y->net)
		return x->net > y->net ? -1 : 1;
	if (x->live != y->live)
		return x->live > y->live ? -1 : 1;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

size_t trend_best_stacks(const struct trend_view *v, const struct trend_row *row, uint32_t *stacks,
	size_t max, size_t *n_allp)
{
	const size_t *first = v->sites->first_member + row->group;
	const uint32_t *members = row->hidden ? row->hidden->stacks : v->sites->members + first[0];
	size_t i, n = row->hidden ? row->hidden->n_stacks : first[1] - first[0], n_live = 0;
	struct scored *scored = alloc_array(n, sizeof(*scored));

	for (i = 0; i < n; i++) {
		const struct trend_result *r = v->stacks[members[i]];

		if (r)
			scored[n_live++] =
				(struct scored){ members[i], r->late.growth.bytes, r->last_bytes };
	}
	qsort(scored, n_live, sizeof(*scored), compare_scored);
	*n_allp = n_live;
	for (i = 0; i < n_live && i < max; i++)
		stacks[i] = scored[i].stack;
	free(scored);
	return i;
}

static void add_row_stacks(
	struct strbuf *out, const struct trend_view *v, const struct trend_row *row, size_t max)
{
	uint32_t stacks[STACKS_MAX];
	size_t i, n, n_all;

	n = trend_best_stacks(v, row, stacks, max < STACKS_MAX ? max : STACKS_MAX, &n_all);
	for (i = 0; i < n; i++) {
		const struct trend_result *r = v->stacks[stacks[i]];

		strbuf_add_text(out, r->rate < 0 ? "    " : "    +");
		trend_add_rate(out, r->rate);
		strbuf_add_text(out, ", ");
		units_add_bytes(out, r->last_bytes);
		strbuf_add_text(out, " live\n");
		where_add_stack(out, &v->style, v->sites->frames, stacks[i], 6);
	}
	if (n_all > n && n) {
		strbuf_add_text(out, "    (");
		units_add_count(out, n_all - n);
		strbuf_addf(out, " more stack%s)\n", n_all - n == 1 ? "" : "s");
	}
}

static enum table_color color_of(const struct trend_result *r)
{
	return r->verdict <= TREND_LEAK_SLOWING ? TABLE_RED
	       : is_notable(r)                  ? TABLE_PLAIN
						: TABLE_DIM;
}

static void add_table(struct strbuf *out, const struct trend_view *v)
{
	/* By site a row is a stack, so it shows one. */
	size_t max = v->options->has_stacks ? v->options->n_stacks
					    : (v->options->by == SITES_BY_SITE ? 1 : 0);
	struct columns columns = { .spark = v->style.columns >= COLUMNS_FOR_SPARK, .why = true };
	uint32_t *indices = alloc_array(v->n_rows, sizeof(*indices));
	struct sites shown = { .sites = alloc_array(v->n_rows, sizeof(*shown.sites)) };
	struct where_layout layout;
	struct strbuf text = { 0 };
	struct table t;
	size_t i, n = 0, line = 1;

	for (i = 0; i < v->n_rows; i++) {
		if (v->rows[i].fate != TREND_SHOWN)
			continue;
		shown.sites[n] = *v->rows[i].site;
		indices[n] = (uint32_t)n;
		n++;
	}
	fill(&t, v, columns);
	/* Evidence that would leave no room for names has a line of its own. */
	where_layout_init(&layout, &v->style, &shown, indices, n, 0);
	if (table_left_columns(&t, INDENT) + layout.name_columns + 2 + layout.place_columns >
		v->style.columns) {
		table_deinit(&t);
		columns.why = false;
		fill(&t, v, columns);
	}
	where_layout_init(&layout, &v->style, &shown, indices, n, table_left_columns(&t, INDENT));
	table_render(&t, 0, INDENT, &v->style, TABLE_PLAIN, out);
	for (i = 0; i < v->n_rows; i++) {
		const struct trend_row *row = &v->rows[i];

		if (row->fate != TREND_SHOWN)
			continue;
		where_add_text(&text, &layout, row->site);
		table_set_last(&t, line, &text);
		table_render(&t, line++, INDENT, &v->style, color_of(row->result), out);
		if (!columns.why) {
			trend_add_why(&text, v, row->result);
			add_lines(out, v, &text);
		}
		if (row->hidden) {
			trend_hidden_add_inside(&text, v->sites, row->hidden,
				&v->results[row->hidden->row], v->style.full_names);
			add_lines(out, v, &text);
		}
		if (max)
			add_row_stacks(out, v, row, max);
	}
	table_deinit(&t);
	strbuf_deinit(&text);
	free(shown.sites);
	free(indices);
}

/* "steady 118 · shrinking 1   (--all)" of the rows that met this fate, if there are any. */
static void add_counts(struct strbuf *out, const struct trend_view *v, int fate, const char *option)
{
	/* A verdict may have two words. */
	struct {
		const char *word;
		size_t n;
	} counts[2 * TREND_N_VERDICTS] = { 0 };
	struct strbuf text = { 0 };
	size_t i;

	for (i = 0; i < v->n_rows; i++) {
		const struct trend_result *r = v->rows[i].result;
		size_t at = 2 * (size_t)r->verdict + !is_notable(r);

		counts[at].word = trend_word(r);
		counts[at].n += (int)v->rows[i].fate == fate;
	}
	for (i = 0; i < 2 * TREND_N_VERDICTS; i++) {
		if (!counts[i].n)
			continue;
		strbuf_addf(&text, "%s%s ",
			!text.bytes ? ""
			: v->ascii  ? ", "
				    : " \u00b7 ",
			counts[i].word);
		units_add_count(&text, counts[i].n);
	}
	if (text.bytes) {
		strbuf_addf(&text, "   (%s)", option);
		strbuf_pad(out, ' ', INDENT);
		table_add_colored(out, &v->style, TABLE_DIM, text.data);
		strbuf_add_char(out, '\n');
	}
	strbuf_deinit(&text);
}

/* What this window cannot tell, in figures. */
static void add_limits(struct strbuf *out, const struct trend_view *v, bool has_leaks)
{
	const struct trend_run *run = &v->history->run;

	if (!has_leaks)
		return;
	strbuf_add_text(out, "Leak-like over ");
	units_add_duration(out, run->plan.window_seconds * 1e9);
	strbuf_add_text(out, ": a cache that fills more slowly than ");
	units_add_duration(out, run->plan.window_seconds / 2 * 1e9);
	strbuf_add_text(out, " would look the same.");
	/* Without a leak the first lines say this. */
	if (run->interval_bytes > 1) {
		strbuf_add_text(out, " Slower than ");
		trend_add_rate(out, trend_smallest_rate(run));
		strbuf_add_text(out, " may go unseen.");
	}
	strbuf_add_char(out, '\n');
}

static void add_run(struct strbuf *out, const struct trend_view *v)
{
	struct strbuf word = { 0 };

	strbuf_add_shell_word(&word, v->run);
	strbuf_add_escaped(out, word.data, word.bytes);
	strbuf_deinit(&word);
}

/* "All lines around the first: heapspy trend run --by line --focus 'handle'", if it is hidden. */
static void add_inside_hint(struct strbuf *out, const struct trend_view *v)
{
	static const struct {
		const char *what, *by;
	} words[] = {
		[TREND_HIDDEN_FUNCTION] = { "functions", "function" },
		[TREND_HIDDEN_LINE] = { "lines", "line" },
		[TREND_HIDDEN_CALL] = { "stacks", "site" },
	};
	const struct trend_row *first = &v->rows[0];

	strbuf_addf(
		out, "All %s around the first: heapspy trend ", words[first->hidden->kind].what);
	add_run(out, v);
	strbuf_addf(out, " --by %s", words[first->hidden->kind].by);
	if (first->hidden->kind != TREND_HIDDEN_FUNCTION) {
		strbuf_add_text(out, " --focus ");
		where_add_focus(out, v->sites, first->site);
	}
	strbuf_add_char(out, '\n');
}

/* The next thing to ask about the first row. */
static void add_stacks_hint(struct strbuf *out, const struct trend_view *v)
{
	const struct history *h = v->history;
	const struct trend_row *first = &v->rows[0];
	const struct site *site = first->site;

	if (first->fate == TREND_SHOWN && first->hidden) {
		add_inside_hint(out, v);
		return;
	}
	if (first->fate != TREND_SHOWN || first->result->verdict > TREND_TURNING_OVER ||
		v->options->by == SITES_BY_SITE || !site->function[0])
		return;
	strbuf_addf(out, "Stacks of %s: heapspy diff ",
		first->result->verdict <= TREND_LEAK_SLOWING ? "the first" : "one site");
	add_run(out, v);
	strbuf_addf(out, "@%llu ", (unsigned long long)h->cuts[0]->number);
	add_run(out, v);
	strbuf_addf(out, "@%llu --by site --focus ",
		(unsigned long long)h->cuts[h->n_cuts - 1]->number);
	where_add_focus(out, v->sites, site);
	strbuf_add_char(out, '\n');
}

/* A time since the start as --since takes it: "10m", "95s", "1500ms". */
static void add_when(struct strbuf *out, uint64_t ns)
{
	uint64_t ms = (ns + 500000) / 1000000;

	if (ms >= 600000 || (ms && ms % 60000 == 0))
		strbuf_addf(out, "%llum", (unsigned long long)((ms + 30000) / 60000));
	else if (ms >= 10000)
		strbuf_addf(out, "%llus", (unsigned long long)((ms + 500) / 1000));
	else
		strbuf_addf(out, "%llums", (unsigned long long)ms);
}

/*
 * A window that begins with the program holds its start-up. Where something depends on that, the
 * last three quarters would tell, if they are long enough to be judged.
 */
static void add_since_hint(struct strbuf *out, const struct trend_view *v)
{
	const struct history *h = v->history;
	const struct trend_plan *plan = &h->run.plan;
	double window_ns = plan->window_seconds * 1e9;
	size_t cut = plan->n_cuts / 4;
	bool matters = false;
	size_t i;

	for (i = 0; i < v->n_rows && !matters; i++) {
		const struct trend_result *r = v->rows[i].result;

		matters = v->rows[i].fate == TREND_SHOWN &&
			  (r->verdict == TREND_LEAK_SLOWING || r->verdict == TREND_TURNING_OVER ||
				  (r->verdict == TREND_LEAK && !r->strong));
	}
	if (!matters || (double)h->cut_ns[0] > window_ns / 12 || v->options->since ||
		plan->n_cuts - cut <= TREND_PLAN_INTERVALS_MIN)
		return;
	strbuf_add_text(out, "The start of the program is among this; without it: heapspy trend ");
	add_run(out, v);
	strbuf_add_text(out, " --since ");
	add_when(out, h->cut_ns[cut]);
	strbuf_add_char(out, '\n');
}

void trend_text(const struct trend_view *v, struct strbuf *out)
{
	struct trend_totals totals;
	bool has_rows = false;
	size_t i;

	trend_sum(&totals, v);
	for (i = 0; i < v->n_rows; i++)
		has_rows |= v->rows[i].fate == TREND_SHOWN;
	trend_add_title(out, v);
	trend_add_answer(out, v);
	trend_add_whole(out, v);
	trend_add_forecast(out, v);
	if (v->n_results)
		strbuf_add_char(out, '\n');
	if (has_rows)
		add_table(out, v);
	add_counts(out, v, TREND_BEYOND_N, "-n 0");
	add_counts(out, v, TREND_BELOW_MIN, "--min 0");
	add_counts(out, v, TREND_FOLDED, "--all");
	strbuf_add_char(out, '\n');
	add_limits(out, v, totals.n_leaks > 0);
	if (v->options->quiet || !v->n_results)
		return;
	add_stacks_hint(out, v);
	add_since_hint(out, v);
}
