/*
 * long_run.h - verdicts on one long run, without anything to compare it with: leaks, growth, and
 * what it may use at most.
 */
#ifndef HEAPSPY_CHECK_LONG_RUN_H
#define HEAPSPY_CHECK_LONG_RUN_H

#include "analyzer/check/budget.h"
#include "analyzer/check/report.h"
#include "analyzer/check/runs.h"

/*
 * Adds a row for each limit of the budget that one run can keep, and one for each leak-like site.
 * side has one run. Returns -1 with f filled when its snapshots cannot be read.
 *
 * Leaks: a site fails when it is leak-like, and not slowing, by the rules of stats/trend.h at a
 * false discovery rate of 1 %, half of it for leaks inside sites that do not leak (trend_hidden.h),
 * and in the later half of the window at most a quarter of what entered has died, it kept 8 mean
 * intervals of bytes, and there was an old cohort of 3 samples.
 *
 * Growth: the first quarter of the run is its start and left out. Of the rest, the moment at which
 * the second half held most is compared with the one at which the first half did, so that a heap
 * that goes up and down has to rise from crest to crest.
 */
int long_run_judge(struct check_report *report, const struct check_side *side,
	const struct budget *budget, const struct options *o, struct fail *f);

#endif
