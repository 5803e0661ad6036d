/*
 * trend_forecast.c - owns when memory ends: at the rate of the leaks, and of all that grows. The
 * other lines at the top are trend_head.c's.
 */
#include "analyzer/out/trend_parts.h"

#include <math.h>
#include <string.h>

#include "analyzer/units.h"

/* What grows so much faster than the leaks is told beside them. */
#define MORE_THAN_LEAKS 1.1

static const char *limit_word(uint32_t kind)
{
	switch (kind) {
	case HEAPSPY_LIMIT_CGROUP_V2:
	case HEAPSPY_LIMIT_CGROUP_V1:
		return "cgroup";
	case HEAPSPY_LIMIT_AS:
		return "address space";
	default:
		return "of the system";
	}
}

/* Snapshots taken after the end of the process know neither its limit nor its RSS. */
static const struct heapspy_info *newest(const struct history *h, bool knows_limit)
{
	size_t i;

	for (i = h->n_cuts; i-- > 0;)
		if (knows_limit ? h->cuts[i]->info.limit_bytes > 0 : h->cuts[i]->info.rss_bytes > 0)
			return &h->cuts[i]->info;
	return NULL;
}

static void find_limit(struct trend_forecast *forecast, const struct trend_view *v)
{
	const struct history *h = v->history;
	const struct heapspy_info *last = &h->cuts[h->n_cuts - 1]->info, *info;

	if (v->options->limit_bytes) {
		info = newest(h, false);
		forecast->limit_bytes = v->options->limit_bytes;
		forecast->used_bytes = (double)(info ? info->rss_bytes : last->live_bytes);
	} else {
		info = newest(h, true);
		if (!info)
			return;
		forecast->limit_bytes = info->limit_bytes;
		forecast->used_bytes = (double)info->limit_used_bytes;
		forecast->kind = limit_word(info->limit_kind);
	}
	forecast->from_ns = info ? info->cut_ns : last->cut_ns;
}

/*
 * At the rate of the first n results with one of these verdicts. What slows down may stop: it sets
 * no end.
 */
static struct trend_end end_of(const struct trend_view *v, const struct trend_forecast *forecast,
	size_t n, unsigned verdicts)
{
	const struct trend_run *run = &v->history->run;
	double left = (double)forecast->limit_bytes - forecast->used_bytes;
	struct growth rate = trend_total_rate(run, v->results, n, verdicts, NULL), lasting;
	struct trend_end end = { .rate = rate };

	if (!(rate.range.lo > 0) || !(left > 0))
		return end;
	lasting =
		trend_total_rate(run, v->results, n, verdicts & ~(1u << TREND_LEAK_SLOWING), NULL);
	end.has_time = true;
	end.seconds = left / rate.bytes;
	end.range.lo = left / rate.range.hi;
	end.range.hi = lasting.range.lo > 0 ? left / lasting.range.lo : INFINITY;
	return end;
}

void trend_forecast(struct trend_forecast *forecast, const struct trend_view *v)
{
	memset(forecast, 0, sizeof(*forecast));
	find_limit(forecast, v);
	if (!forecast->limit_bytes)
		return;
	forecast->leaks = end_of(v, forecast, v->n_rows, TREND_LEAKS);
	/* Leaks that a site hides are a part of what it grows by. */
	forecast->all = end_of(v, forecast, v->n_results, TREND_GROWING);
}

/* "5.0 h (4.7..5.5)", all in the unit of the figure. */
static void add_time(struct strbuf *out, const struct trend_end *end)
{
	static const struct {
		double seconds;
		const char *name;
	} scale[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	double values[] = { end->seconds, end->range.lo, end->range.hi };
	unsigned i = 0, k;

	while (i < 3 && values[0] < 2 * scale[i].seconds)
		i++;
	for (k = 0; k < 3 && isfinite(values[k]); k++) {
		double x = values[k] / scale[i].seconds;

		strbuf_addf(out, "%s%.*f", k == 1 ? " (" : k == 2 ? ".." : "", x < 9.95 ? 1 : 0, x);
		if (k == 0)
			strbuf_addf(out, " %s", scale[i].name);
	}
	strbuf_add_text(out, k < 3 ? " or later; never, if growth goes on slowing)" : ")");
}

/* "the memory limit (1 GiB, cgroup; 24 MiB used)". */
static void add_limit(struct strbuf *out, const struct trend_forecast *forecast)
{
	strbuf_add_text(out, "the memory limit (");
	units_add_bytes(out, (double)forecast->limit_bytes);
	if (forecast->kind)
		strbuf_addf(out, ", %s", forecast->kind);
	strbuf_add_text(out, "; ");
	units_add_bytes(out, forecast->used_bytes);
	strbuf_add_text(out, " used)");
}

static void add_from(
	struct strbuf *out, const struct trend_view *v, const struct trend_forecast *forecast)
{
	const struct history *h = v->history;

	if (forecast->from_ns == h->cut_ns[h->n_cuts - 1]) {
		strbuf_add_text(out, " from the last snapshot");
		return;
	}
	strbuf_add_text(out, " from the snapshot at ");
	units_add_clock(out, forecast->from_ns);
}

static void add_ends(
	struct strbuf *out, const struct trend_view *v, const struct trend_forecast *forecast)
{
	const struct trend_end *leaks = &forecast->leaks, *all = &forecast->all;
	bool is_more = all->has_time && all->rate.bytes > MORE_THAN_LEAKS * leaks->rate.bytes;

	if (leaks->has_time) {
		strbuf_add_text(out, is_more ? "At the rate of the leaks " : "At this rate ");
		add_limit(out, forecast);
		strbuf_add_text(out, " is reached in ");
		add_time(out, leaks);
		add_from(out, v, forecast);
		if (is_more) {
			strbuf_add_text(out, "; with all that grows (");
			trend_add_rate(out, all->rate.bytes);
			strbuf_add_text(out, ") in ");
			add_time(out, all);
		}
	} else if (all->has_time) {
		strbuf_add_text(out, "No leak; if all that grows went on (");
		trend_add_rate(out, all->rate.bytes);
		strbuf_add_text(out, "), ");
		add_limit(out, forecast);
		strbuf_add_text(out, " would be reached in ");
		add_time(out, all);
		add_from(out, v, forecast);
	} else if (!forecast->kind) {
		strbuf_add_text(out, "Nothing grows for certain that would reach ");
		add_limit(out, forecast);
	} else {
		return;
	}
	strbuf_add_text(out, ".\n");
}

void trend_add_forecast(struct strbuf *out, const struct trend_view *v)
{
	struct trend_forecast forecast;

	trend_forecast(&forecast, v);
	if (!forecast.limit_bytes)
		return;
	if (forecast.used_bytes < (double)forecast.limit_bytes) {
		add_ends(out, v, &forecast);
		return;
	}
	strbuf_add_text(out, "The memory limit (");
	units_add_bytes(out, (double)forecast.limit_bytes);
	if (forecast.kind)
		strbuf_addf(out, ", %s", forecast.kind);
	strbuf_add_text(out, ") is reached: ");
	units_add_bytes(out, forecast.used_bytes);
	strbuf_add_text(out, " are used.\n");
}
