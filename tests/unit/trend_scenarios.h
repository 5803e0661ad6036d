/*
 * trend_scenarios.h - kinds of sites as programs have them, leaking and bounded, with random
 * parameters: what of their blocks is sampled at 512 KiB over an hour.
 */
#ifndef HEAPSPY_TREND_SCENARIOS_H
#define HEAPSPY_TREND_SCENARIOS_H

#include "tests/unit/trend_fixture.h"

#define SCENARIO_CUTS   121
#define SCENARIO_STEP   30.
#define SCENARIO_WINDOW ((SCENARIO_CUTS - 1) * SCENARIO_STEP)
/* Two windows lie before the first cut, for what was there before. */
#define SCENARIO_BEGIN  (2 * SCENARIO_WINDOW)
#define SCENARIO_END    (3 * SCENARIO_WINDOW)

struct scenario_site {
	struct sample_rng *rng;
	const uint64_t *cut_ns;
	struct blocks blocks;
	/* Bytes of the blocks that are never freed, born after late_from and up to late_to. */
	double late_from, late_to, late_bytes;
	double level_bytes; /* live bytes in equilibrium; 0: has none */
};

struct scenario {
	const char *name;
	bool leaks;
	double limit;     /* share that is leak-like: of leaks at least, of bounded ones at most */
	unsigned fitting; /* bit v: verdict v is a right label */
	void (*make)(struct scenario_site *site);
};

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

#endif
