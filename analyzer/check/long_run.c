/*
 * long_run.c - owns the leak gate and the growth of one run. Reading its snapshots is history.c's,
 * the verdicts on sites are stats/trend.c's.
 */
#include "analyzer/check/long_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/check/baseline.h"
#include "analyzer/compare.h"
#include "analyzer/history.h"
#include "analyzer/symbols_progress.h"
#include "analyzer/trend_hidden.h"
#include "analyzer/trend_notes.h"
#include "analyzer/units.h"

/* Of rows and of their parts, so that all keep .01. */
#define DISCOVERY_RATE  .005
#define RHO_MAX         .25
#define NET_INTERVALS   8
#define OLD_SAMPLES_MIN 3
#define START_SHARE     .25
#define NS_PER_S        1e9

/* The snapshots of the run as one. */
struct reading {
	const struct check_side *side;
	const struct budget *budget;
	const struct options *options;
	struct run_dir dir;
	struct history history;
	struct snapshot *last;
};

static void show_progress(void *user, size_t n, size_t n_all)
{
	symbols_progress_show_count(user, "snapshots", n, n_all);
}

static int sum_history(struct reading *r, struct profile *p, struct fail *f)
{
	struct symbols_progress progress;
	int rc;

	profile_add(p, r->last);
	symbols_progress_begin(&progress, STDERR_FILENO);
	rc = history_sum(&r->history, p, show_progress, &progress, f);
	symbols_progress_end(&progress);
	return rc;
}

/* Leak-like, and sure enough to end a build. */
static bool is_certain(const struct trend_result *t, const struct reading *r)
{
	return t->verdict == TREND_LEAK && t->rho <= RHO_MAX &&
	       t->late.growth.bytes >= NET_INTERVALS * (double)r->history.run.interval_bytes &&
	       t->old_samples >= OLD_SAMPLES_MIN;
}

static void add_leak(struct check_report *report, const struct reading *r,
	const struct trend_result *t, const struct site *site, const char *inside)
{
	bool certain = is_certain(t, r);
	struct check_row *row = report_add(report, CHECK_LEAKS, certain ? CHECK_FAIL : CHECK_SKIP);

	report_set_place(row, site->function[0] ? site->function : site->module, site);
	row->to_bytes = t->rate;
	row->to_range = t->rate_range;
	if (certain)
		report_note(row, "%.0f of %.0f old samples freed, it grew in %u of %u parts%s%s",
			t->old_died, t->old_samples, t->bins_up, (unsigned)TREND_PLAN_BINS,
			inside ? "; " : "", inside ? inside : "");
	else
		report_note(row, "%s, but not certain enough to fail%s%s",
			trend_verdict_name(t->verdict), inside ? "; " : "", inside ? inside : "");
}

/* "no leak-like site in 121 snapshots over 1.0 h; slower than 8 MiB/h would not be seen" */
static void note_leaks(
	struct check_row *row, const struct reading *r, size_t n_leaks, size_t n_uncertain)
{
	const struct history *h = &r->history;
	struct strbuf text = { 0 };

	if (n_leaks)
		strbuf_addf(&text, "%zu leak-like site%s", n_leaks, n_leaks == 1 ? "" : "s");
	else
		strbuf_add_text(&text, n_uncertain ? "no certain leak" : "no leak-like site");
	strbuf_addf(&text, " in %zu snapshots over ", h->n_cuts);
	units_add_duration(&text, (double)(h->cut_ns[h->n_cuts - 1] - h->cut_ns[0]));
	if (!n_leaks) {
		strbuf_add_text(&text, "; slower than ");
		units_add_bytes(&text, trend_smallest_rate(&h->run) * 3600);
		strbuf_add_text(&text, "/h would not be seen");
	}
	report_note(row, "%s", text.data);
	strbuf_deinit(&text);
}

/* Leak-like sites that failed, and those that are not certain enough. */
struct leak_count {
	size_t n, n_uncertain;
};

/* A leak-like site, if the budget does not ignore it; inside: what hides it, or NULL. */
static void take_leak(struct check_report *report, const struct reading *r,
	const struct trend_result *t, const struct site *site, const char *inside,
	struct leak_count *count)
{
	if (budget_ignores(r->budget, site->function, site->file, site->module)) {
		report->n_ignored++;
		return;
	}
	add_leak(report, r, t, site, inside);
	if (is_certain(t, r))
		count->n++;
	else
		count->n_uncertain++;
}

/* Leaks inside sites that do not leak as a whole. */
static void take_hidden(struct check_report *report, const struct reading *r,
	const struct sites *sites, const struct history_sites *groups,
	const struct trend_result *results, struct leak_count *count)
{
	struct trend_judging judging = { .discovery_rate = DISCOVERY_RATE };
	struct trend_hidden hidden;
	struct strbuf inside = { 0 };
	size_t i;

	trend_hidden_find(&hidden, &r->history, sites, r->options->by, groups, results, &judging);
	for (i = 0; i < hidden.n; i++) {
		const struct trend_hidden_leak *leak = &hidden.leaks[i];

		strbuf_clear(&inside);
		trend_hidden_add_inside(&inside, sites, leak, &results[leak->row], false);
		take_leak(report, r, &hidden.results[i], &leak->site, inside.data, count);
	}
	strbuf_deinit(&inside);
	trend_hidden_deinit(&hidden);
}

/* Judges the sites of the run; names and groups are made already. */
static void judge_sites(struct check_report *report, const struct reading *r, struct sites *sites)
{
	struct trend_judging judging = { .discovery_rate = DISCOVERY_RATE };
	struct leak_count count = { 0 };
	struct history_sites groups;
	struct trend_result *results;
	struct check_row *row;
	size_t i;

	history_group(&r->history, sites->group_of, sites->n_sites, &groups);
	results = alloc_array(groups.n_sites, sizeof(*results));
	trend_judge(&r->history.run, groups.structures, groups.n_sites, &judging, results);
	trend_hidden_set_places(sites, &r->history, &groups, results);
	for (i = 0; i < groups.n_sites; i++)
		if (groups.groups[i] != HISTORY_UNKNOWN_GROUP &&
			results[i].verdict <= TREND_LEAK_SLOWING)
			take_leak(report, r, &results[i], &sites->sites[groups.groups[i]], NULL,
				&count);
	take_hidden(report, r, sites, &groups, results, &count);
	row = report_add(report, CHECK_LEAKS, count.n ? CHECK_FAIL : CHECK_PASS);
	row->budget_line = r->budget->no_leaks_line;
	note_leaks(row, r, count.n, count.n_uncertain);
	free(results);
	history_sites_deinit(&groups);
}

static void skip_leaks(struct check_report *report, const struct reading *r)
{
	struct check_row *row = report_add(report, CHECK_LEAKS, CHECK_SKIP);

	row->budget_line = r->budget->no_leaks_line;
	if (r->history.is_lopsided) {
		report_note(row,
			"a gap of %.0f s takes a half of the time: a verdict needs "
			"snapshots in both",
			r->history.run.plan.largest_gap_seconds);
		return;
	}
	report_note(row,
		"%zu snapshot%s at regular times: a verdict needs %d (a shorter HEAPSPY_INTERVAL "
		"makes more)",
		r->history.n_cuts, r->history.n_cuts == 1 ? "" : "s", TREND_PLAN_INTERVALS_MIN + 1);
}

static int judge_leaks(struct check_report *report, struct reading *r, struct fail *f)
{
	static const struct sites_filter no_filter;
	struct profile profile;
	struct source_frames frames;
	struct sites sites;
	bool *wanted;
	double *weights;
	size_t i;
	int rc = -1;

	profile_init(&profile);
	if (!r->history.is_short && sum_history(r, &profile, f) < 0) {
		profile_deinit(&profile);
		return -1;
	}
	/* Damaged ones may have turned up. */
	if (r->history.is_short) {
		skip_leaks(report, r);
		profile_deinit(&profile);
		return 0;
	}
	wanted = alloc_array(profile.n_stacks, sizeof(*wanted));
	weights = alloc_array(profile.n_stacks, sizeof(*weights));
	for (i = 0; i < profile.n_stacks; i++) {
		wanted[i] = history_was_live(&r->history, i);
		weights[i] = history_mean_bytes(&r->history, i);
	}
	if (source_frames_init(&frames, &profile, r->options->hide, wanted, f) == 0) {
		rc = sites_init(&sites, &frames, r->options->by, &no_filter, weights, f);
		if (rc == 0) {
			judge_sites(report, r, &sites);
			sites_deinit(&sites);
		}
		source_frames_deinit(&frames);
	}
	free(wanted);
	free(weights);
	profile_deinit(&profile);
	return rc;
}

/* The cut of first..last that held most; of equals the last. */
static size_t crest(const struct history *h, size_t first, size_t last)
{
	size_t i, best = first;

	for (i = first; i <= last; i++)
		if (h->cuts[i]->info.live_bytes >= h->cuts[best]->info.live_bytes)
			best = i;
	return best;
}

/* The last cut not later than the share of the run. */
static size_t cut_at(const struct history *h, double share)
{
	double from = (double)h->cut_ns[0], to = (double)h->cut_ns[h->n_cuts - 1];
	size_t i;

	for (i = h->n_cuts - 1; i > 0 && (double)h->cut_ns[i] > from + share * (to - from); i--)
		;
	return i;
}

/* Growth of all live bytes between two cuts. */
static int compare_cuts(
	const struct history *h, size_t from, size_t to, struct growth *growth, struct fail *f)
{
	struct snapshot *a = NULL, *b = NULL;
	struct comparison comparison;
	struct profile profile;
	uint32_t *group_of;
	int rc = -1;

	if (snapshot_read(h->cuts[from]->path, 0, &a, f) == 0 &&
		snapshot_read(h->cuts[to]->path, 0, &b, f) == 0) {
		profile_init(&profile);
		profile_add(&profile, a);
		profile_add(&profile, b);
		compare_init(&comparison, &profile, true);
		group_of = alloc_array(profile.n_stacks, sizeof(*group_of));
		compare_group(&comparison, group_of, profile.n_stacks, 1);
		*growth = comparison.total.growth;
		free(group_of);
		compare_deinit(&comparison);
		profile_deinit(&profile);
		rc = 0;
	}
	snapshot_free(a);
	snapshot_free(b);
	return rc;
}

static void set_growth(
	struct check_row *row, const struct history *h, const struct growth *growth, double seconds)
{
	row->to_bytes = growth->bytes / seconds;
	row->to_range.lo = growth->range.lo / seconds;
	row->to_range.hi = growth->range.hi / seconds;
	if (row->to_range.lo > row->limit_bytes) {
		row->verdict = CHECK_FAIL;
	} else if (row->to_range.hi > row->limit_bytes) {
		row->verdict = CHECK_SKIP;
		report_note(row, h->cuts[h->n_cuts - 1]->info.interval_bytes > 1
					 ? "cannot tell: the limit is within the range; a longer "
					   "run tells more"
					 : "cannot tell: the limit is within the range");
	}
}

static int judge_growth(struct check_report *report, struct reading *r, struct fail *f)
{
	const struct history *h = &r->history;
	struct check_row *row = report_add(report, CHECK_GROWTH, CHECK_PASS);
	size_t start, middle, last = h->n_cuts - 1;
	struct growth growth;
	double seconds;

	row->has_limit = true;
	row->limit_bytes = r->budget->growth;
	row->budget_line = r->budget->growth_line;
	if (h->n_cuts < 2) {
		row->verdict = CHECK_SKIP;
		report_note(row, "one snapshot at a regular time: growth needs two");
		return 0;
	}
	start = h->n_cuts > 3 ? cut_at(h, START_SHARE) : 0;
	middle = cut_at(h, (1 + START_SHARE) / 2);
	if (start < middle)
		start++;
	seconds = (double)(h->cut_ns[last] - h->cut_ns[middle]) / NS_PER_S;
	if (compare_cuts(h, crest(h, start, middle), crest(h, middle + 1, last), &growth, f) < 0)
		return -1;
	set_growth(row, h, &growth, seconds);
	return 0;
}

static int read_and_judge(struct check_report *report, struct reading *r, struct fail *f)
{
	const char *path = r->side->runs[0].path;

	if (!moment_is_run(path))
		return fail_set(f, EXIT_CODE_USAGE,
			"'%s' is one snapshot: leaks and growth take a run directory", path);
	if (run_dir_read(path, &r->dir, f) < 0 ||
		history_choose(&r->history, &r->dir, NULL, f) < 0 ||
		history_open_last(&r->history, &r->last, f) < 0)
		return -1;
	if (r->budget->has_growth && judge_growth(report, r, f) < 0)
		return -1;
	if (r->budget->no_leaks && judge_leaks(report, r, f) < 0)
		return -1;
	if (!r->options->quiet) {
		trend_notes_warn(&r->history, r->last);
		trend_notes_warn_fall(&r->history, path);
	}
	return 0;
}

int long_run_judge(struct check_report *report, const struct check_side *side,
	const struct budget *budget, const struct options *o, struct fail *f)
{
	struct reading r = { .side = side, .budget = budget, .options = o };
	int rc = 0;

	baseline_judge_budget(report, side, budget);
	if (budget->has_growth || budget->no_leaks)
		rc = read_and_judge(report, &r, f);
	snapshot_free(r.last);
	history_deinit(&r.history);
	run_dir_deinit(&r.dir);
	report_sort(report);
	return rc;
}
