/*
 * trend_evidence.h - what speaks for and against a leak at one site: every field of a struct
 * trend_result but the verdict and what depends on the other sites.
 */
#ifndef HEAPSPY_STATS_TREND_EVIDENCE_H
#define HEAPSPY_STATS_TREND_EVIDENCE_H

#include "analyzer/stats/trend.h"

/*
 * Fills *result from the figures of a site, those of aged blocks by plan.ages[age]. Left 0:
 * verdict, strong, and the `significant` of the four tests. Pure; safe in any thread.
 */
void trend_evidence(const struct trend_run *run, const struct age_structure *site, unsigned age,
	struct trend_result *result);

/* Makes the rate of a result, which has a container, that of the container. */
void trend_evidence_container_rate(
	const struct trend_run *run, const struct age_structure *site, struct trend_result *result);

/*
 * Bytes per second with the 95 % range: by MOVER, see growth.h, each side by the time in which it
 * came about, and give or take one certain block (flow->in_step_bytes).
 */
struct growth trend_evidence_rate(const struct trend_run *run, const struct trend_flow *flow);

#endif
