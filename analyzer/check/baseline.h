/*
 * baseline.h - verdicts on a candidate against a baseline: bytes allocated, peak and sites.
 */
#ifndef HEAPSPY_CHECK_BASELINE_H
#define HEAPSPY_CHECK_BASELINE_H

#include "analyzer/check/budget.h"
#include "analyzer/check/report.h"
#include "analyzer/check/runs.h"
#include "analyzer/check/site_table.h"

/* Limits where the budget has none. */
#define BASELINE_TOTAL_LIMIT    .05
#define BASELINE_SITE_LIMIT     .20
/* Growth of a site that passes, in mean intervals: a few samples more or less. */
#define BASELINE_SITE_INTERVALS 8
/* Sites with fewer samples in all runs together are not checked. */
#define BASELINE_SAMPLES_MIN    16

/* Chance of an alarm where nothing changed. */
struct baseline_alpha {
	double total, peak;
	double sites;    /* of all sites together, divided by their number; 0: see site */
	double one_site; /* of each site, if sites is 0 */
};

/* 1 % in all: .0025 each for the totals, .005 for the sites. */
extern const struct baseline_alpha baseline_alpha_default;

/*
 * Adds a row for the total, the peak, each limit in bytes of the budget for these, and each site
 * that the runs can tell of. With a single run on a side sites are reported and never fail.
 */
void baseline_judge(struct check_report *report, const struct check_side *base,
	const struct check_side *candidate, const struct site_table *table,
	const struct budget *budget, const struct baseline_alpha *alpha);

/* Whether the budget names sites that no run has: a row of the report says so for each. */
bool baseline_has_absent(const struct check_report *report);

/*
 * Says of those that allocate, in `allocated` (the same sides by METRIC_ALLOCATED), that they are
 * there, and only hold nothing at the moment judged.
 */
void baseline_explain_absent(struct check_report *report, const struct budget *budget,
	const struct site_table *allocated);

/*
 * Settles failures by a second batch of runs: rows of report that failed and do not fail again in
 * `again` pass; a note tells what became of each.
 */
void baseline_confirm(struct check_report *report, const struct check_report *again);

/* The total and the peak of a run against a limit in bytes, for both forms of the command. */
void baseline_judge_budget(
	struct check_report *report, const struct check_side *side, const struct budget *budget);

#endif
