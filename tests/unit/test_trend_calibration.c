/*
 * test_trend_calibration.c - how often verdicts are right: random sites of each scenario, judged
 * in runs of which a ninth leaks, and whether ranges of the rate hold the true one.
 *
 * Seeds are fixed, so each run gives the same table; it is printed for the documentation. The
 * limits are .95 of the leaks found and .01 of the bounded sites leak-like, each scenario by
 * itself, but for those whose natural times are too long for that.
 */
#undef NDEBUG
#include "analyzer/stats/trend_evidence.h"
#include "tests/unit/tap.h"
#include "tests/unit/trend_scenarios.h"

#define N_RUNS          100
#define LEAKS_A_RUN     2
#define BOUNDED_A_RUN   6
#define SITES_A_RUN_MAX 256
/* What is born over a gap is aged at its end at the earliest: a fill is stretched by it. */
#define GAP_FALSE_LEAKS 2 /* times the limit */
#define COVER_MIN       .93
#define COVER_MAX       .98
/* What is told of growth that came late, and of levels. */
#define LATE_MIN        .95
#define LEVELS_MAX      .02 /* of sites that have none */
#define LEVEL_COVER_MIN .9

struct tally {
	unsigned n, verdicts[TREND_N_VERDICTS], fitting;
	unsigned covered, n_rates;
	unsigned late;                   /* that grew late */
	unsigned older[TREND_PLAN_AGES]; /* leak-like, by settle age */
	unsigned levels, levels_covered; /* that have a level, and its range holds the true one */
	bool has_level;                  /* in truth */
};

static struct fixture_site sites[SITES_A_RUN_MAX];
static struct age_structure structures[SITES_A_RUN_MAX];
static struct trend_result results[SITES_A_RUN_MAX];
static struct {
	size_t scenario;
	double late_bytes, level_bytes; /* truth */
} origin[SITES_A_RUN_MAX];

static uint64_t cut_ns[SCENARIO_CUTS];
static struct tally tallies[64];
static double false_leaks; /* times the limit of the scenario */

static size_t make_sites(const struct trend_run *run, struct sample_rng *rng)
{
	const struct trend_plan *plan = &run->plan;
	size_t n = 0, s, i;

	for (s = 0; s < n_scenarios; s++) {
		for (i = 0; i < (scenarios[s].leaks ? LEAKS_A_RUN : BOUNDED_A_RUN); i++) {
			struct scenario_site site = { .rng = rng, .cut_ns = cut_ns };

			site.late_from = (double)cut_ns[plan->ages[0].load_cut[1]] / NS_PER_S;
			site.late_to = (double)cut_ns[plan->ages[0].load_cut[2]] / NS_PER_S;
			scenarios[s].make(&site);
			fixture_sum(&sites[n], plan, cut_ns, &site.blocks, R512K, false);
			structures[n] = sites[n].structure;
			origin[n].scenario = s;
			origin[n].late_bytes = site.late_bytes;
			origin[n].level_bytes = site.level_bytes;
			free(site.blocks.items);
			n++;
		}
	}
	return n;
}

static void count(const struct trend_plan *plan, size_t n)
{
	double seconds =
		plan->seconds[plan->ages[0].load_cut[2]] - plan->seconds[plan->ages[0].load_cut[1]];
	size_t i;

	for (i = 0; i < n; i++) {
		const struct trend_result *r = &results[i];
		struct tally *t = &tallies[origin[i].scenario];
		double rate = origin[i].late_bytes / seconds;

		t->n++;
		t->verdicts[r->verdict]++;
		t->fitting += scenarios[origin[i].scenario].fitting >> r->verdict & 1;
		t->late += r->grew_late;
		if (r->verdict <= TREND_LEAK_SLOWING)
			t->older[r->age]++;
		t->has_level = origin[i].level_bytes > 0;
		if (r->verdict == TREND_TURNING_OVER && r->has_level) {
			t->levels++;
			t->levels_covered += r->level_range.lo <= origin[i].level_bytes &&
					     origin[i].level_bytes <= r->level_range.hi;
		}
		if (r->verdict > TREND_LEAK_SLOWING)
			continue;
		t->n_rates++;
		t->covered += r->rate_range.lo <= rate && rate <= r->rate_range.hi;
	}
}

static double uniform(struct sample_rng *rng)
{
	return (double)(sample_rng_next(rng) >> 11) * 0x1p-53;
}

/* Cuts on time, or by intervals of .3 to 1.7 of the mean with a gap of a tenth of the window. */
static void make_cuts(struct sample_rng *rng, bool even)
{
	size_t k, gap = (size_t)(uniform(rng) * (SCENARIO_CUTS - 1));
	double at[SCENARIO_CUTS] = { 0 };

	for (k = 1; k < SCENARIO_CUTS; k++)
		at[k] = at[k - 1] + (even ? 1 : .3 + 1.4 * uniform(rng)) +
			(!even && k == gap + 1 ? SCENARIO_CUTS * .11 : 0);
	for (k = 0; k < SCENARIO_CUTS; k++)
		cut_ns[k] = (uint64_t)((SCENARIO_BEGIN +
					       SCENARIO_WINDOW * at[k] / at[SCENARIO_CUTS - 1]) *
				       NS_PER_S);
}

static void simulate(bool even)
{
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	struct trend_run run = { .interval_bytes = R512K };
	struct sample_rng rng;
	size_t n;
	int i;

	memset(tallies, 0, sizeof(tallies));
	false_leaks = even ? 1 : GAP_FALSE_LEAKS;
	sample_rng_seed(&rng, 20240805);
	for (i = 0; i < N_RUNS; i++) {
		make_cuts(&rng, even);
		trend_plan_init(&run.plan, cut_ns, SCENARIO_CUTS);
		n = make_sites(&run, &rng);
		trend_judge(&run, structures, n, &judging, results);
		count(&run.plan, n);
		trend_plan_deinit(&run.plan);
	}
}

static double share(unsigned part, unsigned whole)
{
	return whole ? 100. * part / whole : 0;
}

static void print_table(void)
{
	size_t s;
	int v;

	printf("# %-30s %6s %9s %8s %8s  verdicts\n", "scenario", "sites", "leak-like", "slowing",
		"fitting");
	for (s = 0; s < n_scenarios; s++) {
		const struct tally *t = &tallies[s];

		printf("# %-30s %6u %7.1f %% %6.1f %% %6.1f %% ", scenarios[s].name, t->n,
			share(t->verdicts[TREND_LEAK], t->n),
			share(t->verdicts[TREND_LEAK_SLOWING], t->n), share(t->fitting, t->n));
		printf(" late %u, levels %u of %u, by age %u %u %u:", t->late, t->levels_covered,
			t->levels, t->older[0], t->older[1], t->older[2]);
		for (v = 0; v < TREND_N_VERDICTS; v++)
			if (t->verdicts[v])
				printf(" %s %u", trend_verdict_name((enum trend_verdict)v),
					t->verdicts[v]);
		printf("\n");
	}
}

static unsigned leak_like(const struct tally *t)
{
	return t->verdicts[TREND_LEAK] + t->verdicts[TREND_LEAK_SLOWING];
}

static void test_leaks_are_found(void)
{
	size_t s;

	for (s = 0; s < n_scenarios; s++)
		if (scenarios[s].leaks)
			CHECK_NEAR(leak_like(&tallies[s]), tallies[s].n,
				(1 - scenarios[s].limit) * tallies[s].n);
}

static void test_bounded_sites_are_no_leaks(void)
{
	size_t s;

	for (s = 0; s < n_scenarios; s++)
		if (!scenarios[s].leaks)
			CHECK_NEAR(leak_like(&tallies[s]), 0,
				false_leaks * scenarios[s].limit * tallies[s].n);
}

static void test_rate_ranges_cover(void)
{
	unsigned covered = 0, n = 0;
	size_t s;

	for (s = 0; s < n_scenarios; s++) {
		if (!scenarios[s].leaks)
			continue;
		printf("# range of the rate covers, %s: %.1f %%\n", scenarios[s].name,
			share(tallies[s].covered, tallies[s].n_rates));
		covered += tallies[s].covered;
		n += tallies[s].n_rates;
	}
	printf("# together: %.1f %% of %u\n", share(covered, n), n);
	CHECK(covered >= COVER_MIN * n && covered <= COVER_MAX * n);
}

static void test_late_growth_is_told(void)
{
	size_t s;

	for (s = 0; s < n_scenarios; s++)
		if (!strcmp(scenarios[s].name, "leak, very late start"))
			CHECK(tallies[s].late >= LATE_MIN * tallies[s].n);
}

static void test_levels(void)
{
	unsigned covered = 0, n = 0;
	size_t s;

	for (s = 0; s < n_scenarios; s++) {
		const struct tally *t = &tallies[s];

		if (!t->has_level && !scenarios[s].leaks)
			CHECK_NEAR(t->levels, 0, LEVELS_MAX * t->n);
		covered += t->has_level ? t->levels_covered : 0;
		n += t->has_level ? t->levels : 0;
	}
	printf("# range of the level covers: %.1f %% of %u\n", share(covered, n), n);
	CHECK(n > 0 && covered >= LEVEL_COVER_MIN * n);
}

int main(void)
{
	printf("# an hour, a snapshot every 30 s, interval 512 KiB\n");
	simulate(true);
	print_table();
	TAP_RUN(test_leaks_are_found);
	TAP_RUN(test_bounded_sites_are_no_leaks);
	TAP_RUN(test_rate_ranges_cover);
	TAP_RUN(test_late_growth_is_told);
	TAP_RUN(test_levels);
	printf("# the same at uneven times, with a gap\n");
	simulate(false);
	print_table();
	TAP_RUN(test_leaks_are_found);
	TAP_RUN(test_bounded_sites_are_no_leaks);
	TAP_RUN(test_rate_ranges_cover);
	TAP_RUN(test_late_growth_is_told);
	TAP_RUN(test_levels);
	return tap_done();
}
