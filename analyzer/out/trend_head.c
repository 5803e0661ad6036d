/*
 * trend_head.c - owns the first lines of `heapspy trend`: which run, the answer, and
 * when memory ends. The table below is trend_text.c's.
 */
#include "analyzer/out/trend_parts.h"

#include <math.h>
#include <string.h>

#include "analyzer/run_end.h"
#include "analyzer/units.h"

/* Growth of RSS beyond that of the heap that is worth a word, as in diff. */
#define RSS_MARGIN_BYTES (4.0 * (1 << 20))
#define RSS_MARGIN_SHARE .2
/* The same where it is more than the heap's: beside so much of the RSS at the start. */
#define RSS_MOST_BYTES   (1.0 * (1 << 20))
#define RSS_MOST_SHARE   .1

/* Whether no row before hides in the same site. */
static bool is_first_hidden(const struct trend_view *v, size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (v->rows[i].hidden && v->rows[i].group == v->rows[at].group)
			return false;
	return true;
}

void trend_sum(struct trend_totals *totals, const struct trend_view *v)
{
	size_t i;

	memset(totals, 0, sizeof(*totals));
	for (i = 0; i < v->n_results; i++) {
		totals->first_bytes += v->results[i].first_bytes;
		totals->last_bytes += v->results[i].last_bytes;
		totals->n[v->results[i].verdict]++;
		totals->n_late[v->results[i].verdict] += v->results[i].grew_late;
		totals->n_all_late += v->results[i].grew_late;
	}
	for (i = 0; i < v->n_rows; i++) {
		const struct trend_hidden_leak *hidden = v->rows[i].hidden;
		const struct trend_result *r = v->rows[i].result;

		totals->n_leaks += r->verdict == TREND_LEAK || r->verdict == TREND_LEAK_SLOWING;
		totals->n_slowing += r->verdict == TREND_LEAK_SLOWING;
		if (!hidden)
			continue;
		totals->n_hidden++;
		totals->n_hidden_of[hidden->kind]++;
		totals->hiding = &v->results[hidden->row];
		/* Leaks of one site follow each other in no order. */
		if (is_first_hidden(v, i)) {
			totals->n_hiding[totals->hiding->verdict]++;
			totals->n_all_hiding++;
		}
	}
}

void trend_add_rate(struct strbuf *out, double bytes_per_s)
{
	units_add_bytes(out, bytes_per_s * 60);
	strbuf_add_text(out, "/min");
}

void trend_add_title(struct strbuf *out, const struct trend_view *v)
{
	const struct history *h = v->history;
	const char *comm = input_comm(v->last->snapshot);

	strbuf_add_escaped(out, comm, strlen(comm));
	strbuf_addf(out, " (pid %u)  ", v->last->snapshot->info.pid);
	units_add_clock(out, h->cut_ns[0]);
	strbuf_add_text(out, " -> ");
	units_add_clock(out, h->cut_ns[h->n_cuts - 1]);
	strbuf_add_text(out, "   ");
	units_add_count(out, h->n_cuts);
	strbuf_add_text(out, " snapshots, every ");
	units_add_duration(out, h->run.plan.interval_seconds * 1e9);
	strbuf_add_text(out, "   ");
	input_add_interval(out, h->run.interval_bytes);
	if (v->look)
		strbuf_addf(out, "   look %u of this watch", v->look);
	strbuf_add_char(out, '\n');
}

/*
 * What grows without being a leak; beside leaks only what might become one, and of what hides
 * leaks all is said.
 */
static void add_others(struct strbuf *out, const struct trend_totals *totals, bool has_leaks)
{
	static const struct {
		enum trend_verdict verdict;
		const char *one, *several;
		bool beside_leaks;
	} words[] = {
		{ TREND_TURNING_OVER, "grows but turns over", "grow but turn over", true },
		{ TREND_CONTAINER, "is a growing container", "are growing containers", true },
		{ TREND_LOAD_FOLLOWING, "follows the load", "follow the load", false },
		{ TREND_WARM_UP, "grew at the start only", "grew at the start only", false },
		{ TREND_ONE_OFF, "grew once", "grew once", false },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		enum trend_verdict verdict = words[i].verdict;
		size_t out_of = totals->n_hiding[verdict] + totals->n_late[verdict];
		size_t n = totals->n[verdict] > out_of ? totals->n[verdict] - out_of : 0;

		if (!n || (has_leaks && !words[i].beside_leaks))
			continue;
		strbuf_add_text(out, out->bytes ? ", " : "");
		units_add_count(out, n);
		strbuf_addf(out, " %s", n == 1 ? words[i].one : words[i].several);
	}
	if (totals->n_all_late) {
		strbuf_add_text(out, out->bytes ? ", " : "");
		units_add_count(out, totals->n_all_late);
		strbuf_add_text(out, " grew late: too early to tell, look again");
	}
}

/* "function", as --by says. */
static const char *row_word(const struct trend_view *v)
{
	static const char *const words[] = {
		[SITES_BY_FUNCTION] = "function",
		[SITES_BY_LINE] = "line",
		[SITES_BY_SITE] = "stack",
		[SITES_BY_MODULE] = "module",
	};

	return words[v->options->by];
}

static void add_slowing(struct strbuf *out, size_t n, size_t n_slowing)
{
	if (!n_slowing)
		return;
	strbuf_add_text(out, " (");
	if (n > 1) {
		units_add_count(out, n_slowing);
		strbuf_add_char(out, ' ');
	}
	strbuf_add_text(out, "slowing)");
}

/* "No function is leak-like as a whole, but 3 lines inside one that turns over are". */
static void add_only_hidden(
	struct strbuf *out, const struct trend_view *v, const struct trend_totals *totals)
{
	static const char *const words[] = {
		[TREND_HIDDEN_FUNCTION] = "function",
		[TREND_HIDDEN_LINE] = "line",
		[TREND_HIDDEN_CALL] = "call path",
	};
	const char *word = "part";
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (totals->n_hidden_of[i] == totals->n_hidden)
			word = words[i];
	strbuf_addf(out, "No %s is leak-like as a whole, but ", row_word(v));
	units_add_count(out, totals->n_hidden);
	strbuf_addf(out, " %s%s inside ", word, totals->n_hidden == 1 ? "" : "s");
	if (totals->n_all_hiding == 1) {
		strbuf_addf(out, "one that %s", trend_hidden_does(totals->hiding));
	} else {
		units_add_count(out, totals->n_all_hiding);
		strbuf_add_text(out, " of them");
	}
	strbuf_add_text(out, totals->n_hidden == 1 ? " is" : " are");
	add_slowing(out, totals->n_leaks, totals->n_slowing);
}

/* "3 leak-like sites, 2 of them inside functions that are not". */
static void add_sites(
	struct strbuf *out, const struct trend_view *v, const struct trend_totals *totals)
{
	units_add_count(out, totals->n_leaks);
	strbuf_addf(out, " leak-like site%s", totals->n_leaks == 1 ? "" : "s");
	add_slowing(out, totals->n_leaks, totals->n_slowing);
	if (!totals->n_hidden)
		return;
	strbuf_add_text(out, ", ");
	units_add_count(out, totals->n_hidden);
	strbuf_addf(out, " of them inside %s%s%s that %s not",
		totals->n_all_hiding == 1 ? "a " : "", row_word(v),
		totals->n_all_hiding == 1 ? "" : "s", totals->n_all_hiding == 1 ? "is" : "are");
}

static void add_leaks(
	struct strbuf *out, const struct trend_view *v, const struct trend_totals *totals)
{
	struct growth rate =
		trend_total_rate(&v->history->run, v->results, v->n_rows, TREND_LEAKS, NULL);

	if (totals->n_hidden == totals->n_leaks)
		add_only_hidden(out, v, totals);
	else
		add_sites(out, v, totals);
	strbuf_add_text(out, totals->n_leaks == 1 ? ", losing " : ", together losing ");
	trend_add_rate(out, rate.bytes);
	if (v->history->run.interval_bytes > 1) {
		strbuf_add_text(out, " (");
		units_add_range(out, rate.range.lo * 60, rate.range.hi * 60, rate.bytes * 60);
		strbuf_add_char(out, ')');
	}
}

static bool is_filtered(const struct options *o)
{
	return o->filter.focus || o->filter.ignore || o->filter.module;
}

/* Beside what grows a leak would be taken for a part of it, or stay below its noise. */
static bool grows(const struct trend_totals *totals)
{
	return totals->n[TREND_CONTAINER] || totals->n[TREND_TURNING_OVER] ||
	       totals->n[TREND_LOAD_FOLLOWING] || totals->n[TREND_ONE_OFF] || totals->n_all_late;
}

static void add_none(
	struct strbuf *out, const struct trend_view *v, const struct trend_totals *totals)
{
	strbuf_add_text(out, "No leak-like site among ");
	units_add_count(out, v->n_results);
	if (is_filtered(v->options))
		strbuf_add_text(out, v->n_results == 1 ? " that matches" : " that match");
	/* Nor does a leak show that was freed at the end. */
	if (v->history->run.interval_bytes <= 1 || grows(totals) ||
		run_end_find_fall(v->history->cuts, v->history->n_cuts).share > 0)
		return;
	strbuf_add_text(out, ": a steady leak of ");
	trend_add_rate(out, trend_smallest_rate(&v->history->run));
	strbuf_add_text(out, " or more at one of them would probably show");
}

void trend_add_answer(struct strbuf *out, const struct trend_view *v)
{
	struct trend_totals totals;
	struct strbuf others = { 0 };

	trend_sum(&totals, v);
	if (totals.n_leaks)
		add_leaks(out, v, &totals);
	else
		add_none(out, v, &totals);
	add_others(&others, &totals, totals.n_leaks > 0);
	if (others.bytes)
		strbuf_addf(out, "; %s", others.data);
	strbuf_add_text(out, ".\n");
	strbuf_deinit(&others);
}

static bool runs_python(const struct snapshot *s)
{
	size_t i;

	if (!strncmp(input_comm(s), "python", 6))
		return true;
	for (i = 0; i < s->n_modules; i++)
		if (strstr(snapshot_string(s, s->modules[i].path), "/libpython"))
			return true;
	return false;
}

/* How much higher the heap was at most than at the first cut: pages that were freed stay, mostly.
 */
static double heap_rise(const struct trend_view *v, const struct trend_totals *totals)
{
	const struct history *h = v->history;
	double rise = totals->last_bytes - totals->first_bytes;
	size_t i;

	for (i = 1; i < h->n_cuts; i++)
		rise = fmax(rise,
			(double)h->cuts[i]->info.live_bytes - (double)h->cuts[0]->info.live_bytes);
	return fmax(rise, 0);
}

/* Growth of RSS that no site accounts for. */
static void add_beyond(struct strbuf *out, const struct trend_view *v,
	const struct trend_totals *totals, double rss_growth)
{
	double rise = heap_rise(v, totals), beyond = rss_growth - rise;
	bool is_large = beyond > RSS_MARGIN_BYTES && beyond > RSS_MARGIN_SHARE * rss_growth;
	/* Small as it is, it is most of what grew. */
	bool is_most = beyond > rise && beyond > RSS_MOST_BYTES &&
		       beyond > RSS_MOST_SHARE * (double)v->history->cuts[0]->info.rss_bytes;

	if (is_filtered(v->options) || (!is_large && !is_most))
		return;
	strbuf_add_text(out, "; ");
	units_add_bytes(out, beyond);
	if (runs_python(v->last->snapshot))
		strbuf_add_text(out, " of that is not heap (arenas of Python? run it with "
				     "PYTHONMALLOC=malloc to see what they hold)");
	else
		strbuf_add_text(out, " of that is not heap (allocator, stacks, mappings)");
}

/* From where to where the process went in all, so that rates have a measure. */
void trend_add_whole(struct strbuf *out, const struct trend_view *v)
{
	double rss_first = (double)v->history->cuts[0]->info.rss_bytes;
	double rss_last = (double)v->last->snapshot->info.rss_bytes;
	struct trend_totals totals;

	trend_sum(&totals, v);
	strbuf_add_text(out,
		is_filtered(v->options) ? "The matching part of the live heap: " : "Live heap: ");
	units_add_bytes(out, totals.first_bytes);
	strbuf_add_text(out, " -> ");
	units_add_bytes(out, totals.last_bytes);
	if (rss_first > 0 && rss_last > 0) {
		strbuf_add_text(out, ", RSS ");
		units_add_bytes(out, rss_first);
		strbuf_add_text(out, " -> ");
		units_add_bytes(out, rss_last);
		add_beyond(out, v, &totals, rss_last - rss_first);
	}
	strbuf_add_text(out, ".\n");
}
