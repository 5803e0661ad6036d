/*
 * baseline.c - owns which figures of two sides are compared at which limits, and what becomes of
 * those that cannot be. The tests themselves are stats/gate.c's.
 */
#include "analyzer/check/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/stats/gate.h"
#include "analyzer/stats/peak.h"
#include "analyzer/suggest.h"
#include "analyzer/symbols/name.h"
#include "analyzer/units.h"

/*
 * Who would only have noticed a doubling has not looked, who would only have noticed growth by half
 * says so; neither where the limits allow half as much.
 */
#define NOISY_SHARE      1.0
#define COARSE_SHARE     .5
#define TIMES_LIMIT      2
/* Mean intervals of bytes from which on a site tells how much sites vary. */
#define SPREAD_INTERVALS 16
/* Above twice the normal quantile of a 95 % range, its width is nothing but its deviation. */
#define RANGE_Z          (2 * INTERVAL_Z95)

const struct baseline_alpha baseline_alpha_default = { .0025, .0025, .005, 0 };

/* Figures of one metric by run, the baseline's first. */
struct figures {
	double *bytes;
	double sampling_variance; /* mean, relative */
	size_t n_base, n_candidate, n_unknown;
};

static const struct check_run *run_at(
	const struct check_side *base, const struct check_side *candidate, size_t i)
{
	return i < base->n_runs ? &base->runs[i] : &candidate->runs[i - base->n_runs];
}

static struct figures totals_of(const struct check_side *base, const struct check_side *candidate)
{
	size_t i, n = base->n_runs + candidate->n_runs;
	struct figures x = { alloc_array(n, sizeof(double)), 0, base->n_runs, candidate->n_runs,
		0 };

	for (i = 0; i < n; i++) {
		const struct heapspy_info *info = &run_at(base, candidate, i)->last;

		x.bytes[i] = (double)info->bytes_seen;
		x.n_unknown += (info->flags & HEAPSPY_INFO_BYTES_LOWER) != 0;
	}
	return x;
}

static struct figures peaks_of(const struct check_side *base, const struct check_side *candidate)
{
	size_t i, n = base->n_runs + candidate->n_runs;
	struct figures x = { alloc_array(n, sizeof(double)), 0, base->n_runs, candidate->n_runs,
		0 };

	for (i = 0; i < n; i++) {
		struct peak peak = peak_of_info(&run_at(base, candidate, i)->last, 0, INTERVAL_Z95);
		double deviation = (peak.range.hi - peak.range.lo) / RANGE_Z / peak.bytes;

		x.bytes[i] = peak.bytes;
		if (isnan(peak.range.lo))
			x.n_unknown++;
		else if (peak.bytes > 0)
			x.sampling_variance += deviation * deviation / (double)n;
	}
	return x;
}

static void set_result(struct check_row *row, const struct gate_result *r)
{
	row->has_from = true;
	row->from_bytes = r->base_bytes;
	row->to_bytes = r->candidate_bytes;
	row->change = r->change;
	row->change_range = r->range;
	row->p_value = r->p_value;
	row->detectable = r->detectable;
	row->detectable_bytes = r->detectable_bytes;
}

/* Adds how much growth would have been noticed, behind other words. */
static void note_reach(struct check_row *row, const char *before)
{
	struct strbuf text = { 0 };

	units_add_bytes(&text, row->detectable_bytes);
	if (!isfinite(row->detectable_bytes))
		report_note(row, "%swould notice no growth", before);
	else if (row->detectable < 100)
		report_note(row, "%swould notice only +%.0f %%", before, 100 * row->detectable);
	else
		report_note(row, "%swould notice only growth by %s", before, text.data);
	strbuf_deinit(&text);
}

/* Whether a row would only have noticed growth by such a share, and much more than its limits. */
static bool reaches_beyond(const struct check_row *row, double share)
{
	return row->detectable_bytes >
	       fmax(fmax(share, TIMES_LIMIT * row->limit_relative) * row->from_bytes,
		       TIMES_LIMIT * row->limit_bytes);
}

/* What has to be said of a row that did not fail: finding nothing may mean little. */
static void qualify(struct check_row *row)
{
	if (row->verdict != CHECK_PASS)
		return;
	if (reaches_beyond(row, NOISY_SHARE)) {
		row->verdict = CHECK_SKIP;
		note_reach(row, "too noisy: ");
	} else if (row->name && !row->is_named) {
		return;
	} else if (reaches_beyond(row, COARSE_SHARE)) {
		note_reach(row, "");
	} else if (row->change > row->limit_relative &&
		   row->to_bytes - row->from_bytes >= row->limit_bytes) {
		note_reach(row, "not certain: ");
	}
}

static void judge_whole(struct check_report *report, enum check_metric metric,
	const struct figures *x, const struct budget_limit *limit, double alpha)
{
	struct gate_runs base = { x->bytes, x->n_base };
	struct gate_runs candidate = { x->bytes + x->n_base, x->n_candidate };
	struct check_row *row = report_add(report, metric, CHECK_PASS);
	struct gate_result result;

	row->has_limit = row->has_relative_limit = true;
	row->limit_relative = limit->has_relative ? limit->relative : BASELINE_TOTAL_LIMIT;
	row->budget_line = limit->has_relative ? limit->line : 0;
	if (x->n_unknown) {
		row->verdict = CHECK_SKIP;
		report_note(row,
			metric == CHECK_TOTAL
				? "%zu of %zu runs had more threads than are counted"
				: "%zu of %zu runs are of a library that does not keep the peak",
			x->n_unknown, x->n_base + x->n_candidate);
		return;
	}
	gate_judge_total(
		&base, &candidate, x->sampling_variance, row->limit_relative, alpha, &result);
	set_result(row, &result);
	if (result.fails)
		row->verdict = CHECK_FAIL;
	qualify(row);
}

/* The run that has most of a metric against what is allowed outright. */
static void judge_most(struct check_report *report, enum check_metric metric,
	const struct check_side *side, const struct budget_limit *limit)
{
	struct check_row *row = report_add(report, metric, CHECK_PASS);
	bool is_lower = false;
	size_t i;

	row->has_limit = true;
	row->limit_bytes = (double)limit->bytes;
	row->budget_line = limit->line;
	row->to_bytes = -1;
	for (i = 0; i < side->n_runs; i++) {
		const struct heapspy_info *info = &side->runs[i].last;
		struct interval none = { NAN, NAN };
		struct peak peak = peak_of_info(info, 0, INTERVAL_Z95);
		double bytes = metric == CHECK_PEAK ? peak.bytes : (double)info->bytes_seen;

		if (metric == CHECK_PEAK && isnan(peak.range.lo)) {
			row->verdict = CHECK_SKIP;
			report_note(row, "its library does not keep the peak");
			row->to_bytes = bytes;
			return;
		}
		is_lower |= metric == CHECK_TOTAL && (info->flags & HEAPSPY_INFO_BYTES_LOWER);
		if (bytes > row->to_bytes) {
			row->to_bytes = bytes;
			row->to_range = metric == CHECK_PEAK ? peak.range : none;
		}
	}
	if ((metric == CHECK_PEAK ? row->to_range.lo : row->to_bytes) > row->limit_bytes) {
		row->verdict = CHECK_FAIL;
	} else if (metric == CHECK_PEAK && row->to_range.hi > row->limit_bytes) {
		row->verdict = CHECK_SKIP;
		report_note(row, "cannot tell: the limit is within the range");
	} else if (is_lower) {
		row->verdict = CHECK_SKIP;
		report_note(row, "a lower bound: it had more threads than are counted");
	}
}

void baseline_judge_budget(
	struct check_report *report, const struct check_side *side, const struct budget *budget)
{
	if (budget->total.has_bytes)
		judge_most(report, CHECK_TOTAL, side, &budget->total);
	if (budget->peak.has_bytes)
		judge_most(report, CHECK_PEAK, side, &budget->peak);
}

/* What was found out about a site before any is judged. */
struct tested {
	const struct site_entry *entry;
	const struct budget_site *line;
	struct gate_site figures;
};

static struct gate_site figures_of(const struct site_table *table, const struct site_entry *entry)
{
	struct gate_runs base = { entry->bytes, table->n_base };
	struct gate_runs candidate = { entry->bytes + table->n_base, table->n_candidate };

	return gate_site_of(&base, &candidate, entry->variance);
}

static const struct budget_site *line_of(
	const struct budget *budget, const struct site_entry *entry)
{
	char *shown = name_shorten(entry->name);
	const struct budget_site *line = budget_find_site(budget, entry->name, shown);

	free(shown);
	return line;
}

static double usual_spread(
	const struct site_table *table, const struct tested *tested, size_t n_tested)
{
	double *excesses = alloc_array(n_tested, sizeof(*excesses)), spread;
	size_t i, n = 0;

	for (i = 0; i < n_tested; i++) {
		const struct gate_site *s = &tested[i].figures;

		if ((s->base_bytes + s->candidate_bytes) / 2 >=
			SPREAD_INTERVALS * (double)table->interval_bytes)
			excesses[n++] = gate_site_excess(s);
	}
	spread = gate_usual_spread(excesses, n);
	free(excesses);
	return spread;
}

/* Whether the budget has a line for just this site, and not for many. */
static bool is_named(const struct tested *tested)
{
	char *shown;
	bool is;

	if (!tested->line)
		return false;
	shown = name_shorten(tested->entry->name);
	is = !strcmp(tested->line->name, tested->entry->name) ||
	     (shown && !strcmp(tested->line->name, shown));
	free(shown);
	return is;
}

static struct check_row *add_site(struct check_report *report, const struct tested *tested,
	const struct site_table *table, enum check_verdict verdict)
{
	struct check_row *row = report_add(report, CHECK_SITE, verdict);
	const struct budget_site *line = tested->line;

	report_set_place(row, tested->entry->name, &tested->entry->place);
	row->is_named = is_named(tested);
	row->has_limit = row->has_relative_limit = true;
	row->limit_relative =
		line && line->limit.has_relative ? line->limit.relative : BASELINE_SITE_LIMIT;
	row->limit_bytes = BASELINE_SITE_INTERVALS * (double)table->interval_bytes;
	if (line && line->limit.has_bytes && (double)line->limit.bytes > row->limit_bytes)
		row->limit_bytes = (double)line->limit.bytes;
	row->budget_line = line ? line->limit.line : 0;
	row->has_from = true;
	row->from_bytes = tested->figures.base_bytes;
	row->to_bytes = tested->figures.candidate_bytes;
	return row;
}

static void judge_site(struct check_report *report, const struct tested *tested,
	const struct site_table *table, double spread, double alpha)
{
	struct check_row *row = add_site(report, tested, table, CHECK_PASS);
	struct gate_result result;

	gate_judge_site(
		&tested->figures, spread, row->limit_relative, row->limit_bytes, alpha, &result);
	set_result(row, &result);
	if (table->n_base < 2 || table->n_candidate < 2) {
		row->verdict = CHECK_SKIP;
		report_note(row, result.fails ? "would fail, but one run a side cannot tell"
					      : "one run a side cannot tell");
		return;
	}
	if (result.fails)
		row->verdict = CHECK_FAIL;
	qualify(row);
}

/* A site of the budget with too few samples for a verdict. */
static void add_small(
	struct check_report *report, const struct tested *tested, const struct site_table *table)
{
	struct check_row *row = add_site(report, tested, table, CHECK_SKIP);

	row->change = row->from_bytes > 0 ? row->to_bytes / row->from_bytes - 1 : NAN;
	report_note(row, "%.0f samples in all runs are too few to tell", tested->entry->samples);
}

/* Names of the budget that no run has: most likely a mistake, and never an answer. */
static void add_absent(
	struct check_report *report, const struct site_table *table, const struct budget *budget)
{
	static const struct site nowhere = {
		.function = "", .module = "", .module_index = PROFILE_NO_MODULE
	};
	size_t i, j;

	for (i = 0; i < budget->n_sites; i++) {
		const struct budget_site *line = &budget->sites[i];
		struct suggest suggest;
		struct check_row *row;
		bool found = false;

		suggest_init(&suggest, line->name);
		for (j = 0; j < table->n_entries && !found; j++) {
			char *shown = name_shorten(table->entries[j].name);

			found = budget_matches_site(line, table->entries[j].name, shown);
			if (shown)
				suggest_offer(&suggest, shown);
			free(shown);
		}
		if (!found) {
			row = report_add(report, CHECK_SITE, CHECK_SKIP);
			report_set_place(row, line->name, &nowhere);
			row->is_named = row->is_absent = true;
			row->budget_line = line->limit.line;
			report_note(row, "no such site in any run%s%s",
				suggest.best ? "; similar: " : "",
				suggest.best ? suggest.best : "");
		}
		suggest_deinit(&suggest);
	}
}

bool baseline_has_absent(const struct check_report *report)
{
	size_t i;

	for (i = 0; i < report->n_rows; i++)
		if (report->rows[i].is_absent)
			return true;
	return false;
}

static bool has_site(const struct site_table *table, const struct budget_site *line)
{
	bool found = false;
	size_t i;

	for (i = 0; i < table->n_entries && !found; i++) {
		char *shown = name_shorten(table->entries[i].name);

		found = budget_matches_site(line, table->entries[i].name, shown);
		free(shown);
	}
	return found;
}

void baseline_explain_absent(struct check_report *report, const struct budget *budget,
	const struct site_table *allocated)
{
	size_t i, j;

	for (i = 0; i < report->n_rows; i++)
		for (j = 0; j < budget->n_sites && report->rows[i].is_absent; j++)
			if (!strcmp(report->rows[i].name, budget->sites[j].name) &&
				has_site(allocated, &budget->sites[j]))
				report_note(&report->rows[i],
					"it allocates, but nothing of it is live at the moment "
					"judged: --metric allocated compares it");
}

static void judge_sites(struct check_report *report, const struct site_table *table,
	const struct budget *budget, const struct baseline_alpha *alpha)
{
	struct tested *tested = alloc_array(table->n_entries, sizeof(*tested));
	double spread, one;
	size_t i, n = 0;

	for (i = 0; i < table->n_entries; i++) {
		const struct site_entry *entry = &table->entries[i];
		struct tested t = { entry, line_of(budget, entry), figures_of(table, entry) };

		if (budget_ignores(budget, entry->name, entry->place.file, entry->place.module)) {
			report->n_ignored++;
		} else if (entry->samples >= BASELINE_SAMPLES_MIN) {
			tested[n++] = t;
		} else if (is_named(&t)) {
			add_small(report, &t, table);
		} else {
			report->n_small++;
		}
	}
	spread = usual_spread(table, tested, n);
	one = alpha->sites > 0 && n ? alpha->sites / (double)n : alpha->one_site;
	for (i = 0; i < n; i++)
		judge_site(report, &tested[i], table, spread, one);
	add_absent(report, table, budget);
	free(tested);
}

void baseline_judge(struct check_report *report, const struct check_side *base,
	const struct check_side *candidate, const struct site_table *table,
	const struct budget *budget, const struct baseline_alpha *alpha)
{
	struct figures totals = totals_of(base, candidate), peaks = peaks_of(base, candidate);

	judge_whole(report, CHECK_TOTAL, &totals, &budget->total, alpha->total);
	judge_whole(report, CHECK_PEAK, &peaks, &budget->peak, alpha->peak);
	baseline_judge_budget(report, candidate, budget);
	judge_sites(report, table, budget, alpha);
	report_sort(report);
	free(totals.bytes);
	free(peaks.bytes);
}

static const struct check_row *find_row(
	const struct check_report *report, const struct check_row *like)
{
	size_t i;

	for (i = 0; i < report->n_rows; i++) {
		const struct check_row *row = &report->rows[i];

		if (row->metric == like->metric && row->has_from == like->has_from &&
			(!like->name || !strcmp(row->name, like->name)) &&
			(!like->name || !strcmp(source_frames_base_name(row->place.module),
						source_frames_base_name(like->place.module))))
			return row;
	}
	return NULL;
}

void baseline_confirm(struct check_report *report, const struct check_report *again)
{
	size_t i;

	for (i = 0; i < report->n_rows; i++) {
		struct check_row *row = &report->rows[i];
		const struct check_row *second;
		struct strbuf text = { 0 };

		if (row->verdict != CHECK_FAIL)
			continue;
		second = find_row(again, row);
		if (!second)
			strbuf_add_text(&text, "hardly there");
		else if (isfinite(second->change))
			strbuf_addf(&text, "%+.*f %%", fabs(second->change) < .0995 ? 1 : 0,
				100 * second->change);
		else
			units_add_bytes(&text, second->to_bytes);
		if (second && second->verdict == CHECK_FAIL) {
			report_note(row, "confirmed: %s again", text.data);
		} else {
			row->verdict = CHECK_PASS;
			report_note(row, "failed at first, %s when run again", text.data);
		}
		strbuf_deinit(&text);
	}
	report_sort(report);
}
