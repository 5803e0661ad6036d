/* test_trend.c - plans, sums by age, and the verdicts on runs whose figures are known. */
#undef NDEBUG
#include "analyzer/stats/trend_evidence.h"
#include "analyzer/stats/zigzag.h"
#include "tests/unit/tap.h"
#include "tests/unit/trend_fixture.h"

#define N_ELEMS(a) (sizeof(a) / sizeof((a)[0]))
#define MIB        UINT64_C(1048576)
#define STEP_NS    (30 * NS_PER_S)

/* A run with even cuts, one site, and what came out. */
struct even_run {
	uint64_t cut_ns[FIXTURE_MAX];
	struct trend_run run;
	struct blocks blocks;
	struct fixture_site site;
	struct trend_result result;
};

static struct even_run *even_begin(size_t n_intervals)
{
	struct even_run *r = alloc_array(1, sizeof(*r));
	size_t k;

	for (k = 0; k <= n_intervals; k++)
		r->cut_ns[k] = 7 * NS_PER_S + k * STEP_NS;
	trend_plan_init(&r->run.plan, r->cut_ns, n_intervals + 1);
	r->run.interval_bytes = R512K;
	return r;
}

/* n blocks born in an epoch; dead_at: the first cut that does not show them, 0: none. */
static void even_add(struct even_run *r, int n, size_t epoch, size_t dead_at, uint64_t size_bytes)
{
	uint64_t birth_ns = r->cut_ns[epoch] - (epoch ? STEP_NS / 2 : 0);
	uint64_t death_ns = dead_at ? r->cut_ns[dead_at] - 1 : NEVER_NS;

	while (n-- > 0)
		blocks_add(&r->blocks, birth_ns, death_ns, size_bytes);
}

static const struct trend_result *even_judge(struct even_run *r)
{
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };

	fixture_sum(&r->site, &r->run.plan, r->cut_ns, &r->blocks, r->run.interval_bytes, false);
	trend_judge(&r->run, &r->site.structure, 1, &judging, &r->result);
	return &r->result;
}

static void even_end(struct even_run *r)
{
	trend_plan_deinit(&r->run.plan);
	free(r->blocks.items);
	free(r);
}

static void test_vector_linear_leak(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	size_t e;

	for (e = 1; e <= 24; e++)
		even_add(run, 1, e, 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_LEAK && r->strong);
	CHECK_NEAR(r->late.p, 5.2e-4, .05e-4);
	CHECK_NEAR(r->whole.p, 8.1e-7, .05e-7);
	CHECK(r->old_samples == 11 && r->old_died == 0);
	CHECK_NEAR(r->retire, .042, 5e-4);
	CHECK(r->rho == 0 && r->bins_up == 6 && !r->turned);
	/* Eleven blocks of 4 KiB entered in eleven intervals. */
	CHECK_NEAR(r->rate, 526338.6667 / 30, 1);
	CHECK(r->rate_range.lo > 0 && r->rate_range.lo < r->rate && r->rate_range.hi > r->rate);
	even_end(run);
}

static void test_vector_freed_after_eight_epochs(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	size_t e;

	for (e = 1; e <= 24; e++)
		even_add(run, 1, e, e + 8 <= 24 ? e + 8 : 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_SAWTOOTH);
	CHECK_NEAR(r->rho, 1, 1e-12);
	CHECK_NEAR(r->retire, .929, 5e-4);
	even_end(run);
}

static void test_vector_warm_up(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	size_t e;

	for (e = 1; e <= 10; e++)
		even_add(run, 2, e, 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_WARM_UP);
	CHECK(r->late.p == 1);
	even_end(run);
}

static void test_vector_one_off(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;

	even_add(run, 20, 12, 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_ONE_OFF);
	CHECK(r->share == 1);
	CHECK(r->step_from == 11 && r->step_to == 12);
	CHECK_NEAR(r->step_bytes, 20 * 526339., 1);
	even_end(run);
}

static void test_vector_sawtooth(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	size_t e;

	for (e = 1; e < 24; e++)
		even_add(run, 3, e, (e / 6 + 1) * 6, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_SAWTOOTH);
	/* Six MiB up and down are within the noise of so few samples. */
	CHECK(r->rises == 0 && r->turned && r->died_bytes > 2 * R512K);
	even_end(run);
}

static void test_vectors_steady(void)
{
	struct even_run *kept = even_begin(24), *young = even_begin(24), *large = even_begin(24);
	const struct trend_result *r;
	size_t e;

	even_add(kept, 20, 0, 0, 4096);
	CHECK(even_judge(kept)->verdict == TREND_STEADY);
	for (e = 0; e <= 24; e++)
		even_add(young, 5, e, e < 24 ? e + 1 : 0, 4096);
	r = even_judge(young);
	CHECK(r->verdict == TREND_STEADY);
	CHECK(r->samples == 125 && !r->tested);
	even_add(large, 1, 0, 0, 64 * MIB);
	r = even_judge(large);
	CHECK(r->verdict == TREND_STEADY && r->samples == 1);
	CHECK_NEAR(r->last_variance, 0, 1);
	even_end(kept);
	even_end(young);
	even_end(large);
}

static void test_vector_slowing(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	size_t e;

	for (e = 1; e <= 24; e++)
		even_add(run, e <= 11 ? 3 : 1, e, 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_LEAK_SLOWING);
	CHECK(r->early_samples == 33 && r->late_samples == 11);
	CHECK_NEAR(r->slowing_z, 3.330, 5e-4);
	CHECK(r->load == 1);
	CHECK_NEAR(r->slowed_by, 2. / 3, 1e-9);
	even_end(run);
}

static void test_vector_container(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;

	even_add(run, 1, 0, 5, 2 * MIB);
	even_add(run, 1, 5, 11, 4 * MIB);
	even_add(run, 1, 11, 0, 8 * MIB);
	r = even_judge(run);
	CHECK(r->verdict == TREND_CONTAINER);
	CHECK_NEAR(r->all.p, 2.15e-5, .005e-5);
	CHECK_NEAR(r->last_bytes / r->live_bytes[2], 3.93, 5e-3);
	CHECK(r->container.cut == 2 && r->container.replaced == 1);
	CHECK_NEAR(r->container.from_bytes, 2136280, 1);
	CHECK(r->container.from_largest == (double)(2 * MIB));
	CHECK(r->container.to_largest == (double)(8 * MIB));
	CHECK_NEAR(r->container.to_blocks, 1, .001);
	/* Its rate is the growth of all blocks since then. */
	CHECK_NEAR(r->rate, (r->last_bytes - r->container.from_bytes) / (22 * 30), 1e-6);
	CHECK_NEAR(r->rate_range.lo, r->container.growth.growth.range.lo / (22 * 30), 1e-6);
	CHECK_NEAR(r->rate_range.hi, r->container.growth.growth.range.hi / (22 * 30), 1e-6);
	even_end(run);
}

/* ---- many sites ---- */

/*
 * A site that leaks n blocks in its second half and one that leaks surely; by itself the first is
 * a discovery, among `idle` sites that have done nothing but keep a block it need not be.
 */
static bool is_found(int n_blocks, size_t idle, unsigned look)
{
	struct even_run *weak = even_begin(24), *still = even_begin(24);
	struct age_structure *sites = alloc_array(idle + 1, sizeof(*sites));
	struct trend_result *results = alloc_array(idle + 1, sizeof(*results));
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, look };
	bool found;
	size_t i;
	int k;

	for (k = 0; k < n_blocks; k++)
		even_add(weak, 1, 12 + (size_t)k * 11 / (size_t)n_blocks, 0, 4096);
	even_judge(weak);
	even_add(still, 1, 0, 0, 4096);
	even_judge(still);
	sites[0] = weak->site.structure;
	for (i = 1; i <= idle; i++)
		sites[i] = still->site.structure;
	trend_judge(&weak->run, sites, idle + 1, &judging, results);
	found = results[0].late.significant;
	CHECK(results[0].tested && (!idle || results[1].tested));
	CHECK(results[0].late.p == weak->result.late.p);
	even_end(weak);
	even_end(still);
	free(sites);
	free(results);
	return found;
}

static void test_many_sites(void)
{
	/* p of ten births is .0010: .05 divided by some fifty. */
	CHECK(is_found(10, 0, 0) && is_found(10, 45, 0));
	CHECK(!is_found(10, 55, 0));
	/* p of fifteen is 4.88e-5. */
	CHECK(is_found(15, 950, 0) && !is_found(15, 1100, 0));
}

static void test_repeated_looks(void)
{
	/* .05 / (j (j + 1)) is .00119 for j = 6 and .00089 for j = 7. */
	CHECK(is_found(10, 0, 1) && is_found(10, 0, 6));
	CHECK(!is_found(10, 0, 7));
}

static void test_untested_sites_do_not_count(void)
{
	struct even_run *leak = even_begin(24), *young = even_begin(24);
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	static struct age_structure sites[101];
	static struct trend_result results[101];
	size_t i, e;

	even_add(leak, 10, 18, 0, 4096);
	even_judge(leak);
	/* Never aged, and as many at the end as at the start. */
	for (e = 0; e <= 24; e++)
		even_add(young, 1, e, e < 24 ? e + 1 : 0, 4096);
	even_judge(young);
	sites[0] = leak->site.structure;
	for (i = 1; i <= 100; i++)
		sites[i] = young->site.structure;
	trend_judge(&leak->run, sites, 101, &judging, results);
	CHECK(results[0].late.significant && !results[1].tested && results[1].moved);
	/* They take part where all blocks are compared. */
	CHECK(!results[0].all.significant);
	even_end(leak);
	even_end(young);
}

/* The others count in the tests alone: a result is the same wherever its site stands. */
static void test_order_of_sites_is_no_matter(void)
{
	struct even_run *leak = even_begin(24), *still = even_begin(24);
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	struct age_structure sites[3];
	struct trend_result results[3], turned[3];
	size_t e, i;

	for (e = 1; e <= 24; e++)
		even_add(leak, 1, e, 0, 4096);
	even_add(still, 20, 0, 0, 4096);
	even_judge(leak);
	even_judge(still);
	for (i = 0; i < 3; i++)
		sites[i] = i ? still->site.structure : leak->site.structure;
	trend_judge(&leak->run, sites, 3, &judging, results);
	sites[0] = still->site.structure;
	sites[2] = leak->site.structure;
	trend_judge(&leak->run, sites, 3, &judging, turned);
	for (i = 0; i < 3; i++) {
		const struct trend_result *a = &results[i], *b = &turned[2 - i];

		CHECK(a->verdict == b->verdict && a->live_bytes == b->live_bytes);
		CHECK(a->rate == b->rate && a->rate_range.lo == b->rate_range.lo);
		CHECK(a->late.p == b->late.p && a->late.significant == b->late.significant);
		CHECK(a->all.p == b->all.p && a->all.significant == b->all.significant);
	}
	even_end(leak);
	even_end(still);
}

static void test_load_explains_a_slower_leak(void)
{
	/* Bytes of all others in the early and in the late half. */
	static const struct {
		double early, late, load;
		enum trend_verdict verdict;
	} rows[] = {
		{ 100, 100, 1, TREND_LEAK_SLOWING },
		{ 100, 300, 3, TREND_LEAK_SLOWING },
		{ 300, 100, 1. / 3, TREND_LEAK },
		{ 300, 200, 2. / 3, TREND_LEAK_SLOWING },
		/* Others that allocate next to nothing tell nothing. */
		{ 3, 1, 1, TREND_LEAK_SLOWING },
	};
	struct even_run *run = even_begin(24);
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	double own[] = { 0, 1, 2 };
	size_t i, e;

	for (e = 1; e <= 24; e++)
		even_add(run, e <= 11 ? 3 : 1, e, 0, 4096);
	even_judge(run);
	for (i = 0; i < N_ELEMS(rows); i++) {
		memcpy(run->site.structure.allocated_bytes, own, sizeof(own));
		run->run.seen_bytes[0] = 1000;
		run->run.seen_bytes[1] = 1000 + own[1] + rows[i].early;
		run->run.seen_bytes[2] = 1000 + own[2] + rows[i].early + rows[i].late;
		if (rows[i].early < 10) {
			run->site.structure.allocated_bytes[2] += 100;
			run->run.seen_bytes[2] += 100;
		}
		trend_judge(&run->run, &run->site.structure, 1, &judging, &run->result);
		CHECK_NEAR(run->result.load, rows[i].load, 1e-9);
		CHECK(run->result.verdict == rows[i].verdict);
	}
	even_end(run);
}

static void test_total_rate(void)
{
	struct even_run *leak = even_begin(24), *slower = even_begin(24), *still = even_begin(24);
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	struct age_structure sites[3];
	struct trend_result results[3];
	struct growth total;
	size_t e, n;

	for (e = 1; e <= 24; e++) {
		even_add(leak, 2, e, 0, 4096);
		even_add(slower, e <= 11 ? 3 : 1, e, 0, 4096);
	}
	even_add(still, 20, 0, 0, 4096);
	even_judge(leak);
	even_judge(slower);
	even_judge(still);
	sites[0] = leak->site.structure;
	sites[1] = still->site.structure;
	sites[2] = slower->site.structure;
	trend_judge(&leak->run, sites, 3, &judging, results);
	total = trend_total_rate(&leak->run, results, 3, 1u << TREND_LEAK, &n);
	CHECK(n == 1 && total.bytes == results[0].rate);
	CHECK_NEAR(total.range.lo, results[0].rate_range.lo, 1e-6);
	total = trend_total_rate(
		&leak->run, results, 3, 1u << TREND_LEAK | 1u << TREND_LEAK_SLOWING, &n);
	CHECK(n == 2);
	CHECK_NEAR(total.bytes, results[0].rate + results[2].rate, 1e-6);
	/* Narrower than the two ranges added. */
	CHECK(total.range.lo > results[0].rate_range.lo + results[2].rate_range.lo);
	CHECK(total.range.hi < results[0].rate_range.hi + results[2].rate_range.hi);
	total = trend_total_rate(&leak->run, results, 3, 1u << TREND_CONTAINER, &n);
	CHECK(n == 0 && total.bytes == 0 && total.range.hi == 0);
	CHECK_NEAR(trend_smallest_rate(&leak->run), 16. * R512K / 720, 1e-6);
	CHECK(trend_compare(&results[0], &results[2]) < 0);
	CHECK(trend_compare(&results[2], &results[1]) < 0);
	CHECK(trend_compare(&results[1], &results[1]) == 0);
	even_end(leak);
	even_end(slower);
	even_end(still);
}

/* n blocks an epoch, from the first on, with the lives that n exponential ones would have. */
static double even_add_mortal(struct even_run *r, int n, double mean_life)
{
	size_t last = trend_plan_last(&r->run.plan), e, life;
	double lives = 0;
	int i;

	for (i = 0; i < n; i++) {
		life = (size_t)ceil(-mean_life * log((i + .5) / n));
		lives += (double)life;
		for (e = 1; e <= last; e++)
			even_add(r, 1, e, e + life <= last ? e + life : 0, 4096);
	}
	return lives;
}

static void test_turns_over(void)
{
	struct even_run *run = even_begin(120);
	double level = 526338.6667 * even_add_mortal(run, 10, 60);
	const struct trend_result *r = even_judge(run);

	CHECK(r->verdict == TREND_TURNING_OVER && r->age == 0);
	CHECK(r->has_level);
	CHECK_NEAR(r->level_bytes, level, .1 * level);
	CHECK(r->level_range.lo < level && r->level_range.hi > level);
	CHECK(r->level_range.hi > r->last_bytes);
	even_end(run);
}

/* A queue that is emptied more slowly than filled turns over, and never levels off. */
static void test_backlog_has_no_level(void)
{
	struct even_run *run = even_begin(120);
	const struct trend_result *r;
	size_t e;

	for (e = 1; e <= 120; e++)
		even_add(run, 5, e, e * 5 / 3 + 1 <= 120 ? e * 5 / 3 + 1 : 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_TURNING_OVER);
	CHECK(!r->has_level);
	even_end(run);
}

/* One of six blocks stays, among others that live for a fifth of the window on the average. */
static void test_leak_in_a_pool(void)
{
	struct even_run *run = even_begin(120), *bounded = even_begin(120);
	const struct trend_result *r;
	struct trend_result both[2];
	struct growth total;
	size_t e;

	even_add_mortal(run, 5, 24);
	for (e = 1; e <= 120; e++)
		even_add(run, 1, e, 0, 4096);
	r = even_judge(run);
	CHECK(r->verdict == TREND_LEAK && r->age > 0);
	CHECK(r->retire <= .25 && r->late.significant);
	CHECK_NEAR(r->rate, 526338.6667 / 30, .5 * 526338.6667 / 30);
	/* The same without it is at its level long since. */
	even_add_mortal(bounded, 6, 24);
	CHECK(even_judge(bounded)->verdict == TREND_SAWTOOTH && bounded->result.age == 0);
	/* Rates over different times add. */
	both[0] = run->result;
	both[1] = bounded->result;
	total = trend_total_rate(&run->run, both, 2, 1u << TREND_LEAK | 1u << TREND_SAWTOOTH, NULL);
	CHECK_NEAR(total.bytes, both[0].rate + both[1].rate, 1e-6);
	CHECK(total.range.lo > both[0].rate_range.lo + both[1].rate_range.lo);
	CHECK(total.range.hi < both[0].rate_range.hi + both[1].rate_range.hi);
	even_end(run);
	even_end(bounded);
}

static void test_two_steps_are_no_leak(void)
{
	static const size_t rows[][2] = { { 5, 18 }, { 13, 19 }, { 1, 21 } };
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		struct even_run *run = even_begin(24);
		const struct trend_result *r;

		even_add(run, 15, rows[i][0], 0, 4096);
		even_add(run, 15, rows[i][1], 0, 4096);
		r = even_judge(run);
		CHECK(r->verdict == TREND_WARM_UP);
		CHECK(r->steps_share == 1);
		even_end(run);
	}
}

static void test_grew_late(void)
{
	/* When it grows; whether that is late. */
	static const struct {
		size_t from, to;
		bool late;
	} rows[] = { { 20, 20, true }, { 12, 12, false }, { 18, 24, true }, { 17, 19, true },
		{ 3, 11, false } };
	struct even_run *twice = even_begin(24);
	size_t i, e;

	/* What was there by the last third is not what came late. */
	even_add(twice, 10, 5, 0, 4096);
	even_add(twice, 20, 20, 0, 4096);
	even_judge(twice);
	CHECK(twice->result.grew_late && twice->result.late_cut == 19);
	even_end(twice);
	for (i = 0; i < N_ELEMS(rows); i++) {
		struct even_run *run = even_begin(24);
		const struct trend_result *r;

		even_add(run, 1, 0, 0, 4096);
		for (e = rows[i].from; e <= rows[i].to; e++)
			even_add(run, 21 / (int)(rows[i].to - rows[i].from + 1), e, 0, 4096);
		r = even_judge(run);
		CHECK(r->verdict > TREND_LEAK_SLOWING && r->verdict < TREND_STEADY);
		CHECK(r->grew_late == rows[i].late);
		CHECK(!r->grew_late || r->late_cut == rows[i].from - 1);
		even_end(run);
	}
}

/* What is certain is certain but for when the time begins: one block more or less. */
static void test_few_certain_blocks(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	double step = 64. * MIB / (11 * 30);
	size_t e;

	for (e = 2; e <= 24; e += 2)
		even_add(run, 1, e, 0, 64 * MIB);
	r = even_judge(run);
	CHECK(r->verdict == TREND_LEAK);
	CHECK(r->rate_range.lo <= r->rate - step && r->rate_range.lo > r->rate - 1.1 * step);
	CHECK(r->rate_range.hi >= r->rate + step && r->rate_range.hi < r->rate + 1.2 * step);
	CHECK(r->rate_range.lo < 64. * MIB / 60 && r->rate_range.hi > 64. * MIB / 60);
	even_end(run);
}

/* The interval was doubled twice in the middle: what is lifted leaks all the same. */
static void test_thinned(void)
{
	struct even_run *run = even_begin(48);
	const struct trend_result *r;
	struct sample_rng rng;
	size_t e, i;

	sample_rng_seed(&rng, 11);
	for (e = 1; e <= 48; e++)
		even_add(run, e <= 20 ? 12 : 3, e, 0, 4096);
	for (i = 0; i < run->blocks.n; i++) {
		struct block *block = &run->blocks.items[i];

		block->sample.u = (uint32_t)(sample_rng_next(&rng) >> 32);
		if (block->birth_ns > run->cut_ns[20])
			block->sample.birth_interval_bytes = 4 * R512K;
	}
	run->run.interval_bytes = 4 * R512K;
	r = even_judge(run);
	CHECK(r->verdict == TREND_LEAK);
	CHECK_NEAR(r->early_net_bytes, r->late_net_bytes, .5 * r->late_net_bytes);
	CHECK_NEAR(r->rate, 3 * 4. * R512K / 30, 1000);
	even_end(run);
}

/* With every block sampled nothing is left to chance but when the second half begins. */
static void test_exact(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_result *r;
	size_t e, i;

	for (e = 1; e <= 24; e++)
		even_add(run, 1, e, 0, 100);
	for (i = 0; i < run->blocks.n; i++)
		run->blocks.items[i].sample.birth_interval_bytes = 1;
	run->run.interval_bytes = 1;
	r = even_judge(run);
	CHECK(r->verdict == TREND_LEAK);
	CHECK_NEAR(r->rate, 100. / 30, 1e-9);
	CHECK_NEAR(r->rate - r->rate_range.lo, 100. / (11 * 30), 1e-9);
	CHECK_NEAR(r->rate_range.hi - r->rate, 100. / (11 * 30), 1e-9);
	CHECK(trend_smallest_rate(&run->run) == 0);
	even_end(run);
}

static void test_nothing_at_all(void)
{
	struct even_run *run = even_begin(24);
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	const struct trend_result *r = even_judge(run);

	CHECK(r->verdict == TREND_TOO_FEW);
	CHECK(!r->late.significant && !r->all.significant && !r->tested && !r->moved);
	CHECK(r->rho == 0 && r->share == 0 && r->retire == .5 && !r->has_level);
	trend_judge(&run->run, NULL, 0, &judging, NULL);
	even_end(run);
}

static void test_zigzag(void)
{
	const double teeth[] = { 0, 4, 8, 1, 5, 9, 0, 3, 2, 8, 8, 0 };
	const double at[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
	const double down[] = { 9, 8, 2, 2 }, steps[] = { 1, 1, 1, 21, 22, 22, 22, 30 };
	struct zigzag z = zigzag_count(teeth, N_ELEMS(teeth), 5);
	struct zigzag_rise rise;

	CHECK(z.rises == 3 && z.falls == 3);
	/* The dip to 2 counts once the threshold is down to its depth. */
	z = zigzag_count(teeth, N_ELEMS(teeth), 1);
	CHECK(z.rises == 4 && z.falls == 4);
	z = zigzag_count(teeth, N_ELEMS(teeth), 9.5);
	CHECK(z.rises == 0 && z.falls == 0);
	z = zigzag_count(down, N_ELEMS(down), 5);
	CHECK(z.rises == 0 && z.falls == 1);
	z = zigzag_count(down, 1, 5);
	CHECK(z.rises == 0 && z.falls == 0);
	rise = zigzag_steepest(steps, at, N_ELEMS(steps), 1);
	CHECK(rise.rise == 20 && rise.from == 2 && rise.to == 3);
	rise = zigzag_steepest(steps, at, N_ELEMS(steps), 4);
	CHECK(rise.rise == 21 && rise.from == 2 && rise.to == 4);
	rise = zigzag_steepest(steps, at, N_ELEMS(steps), 0);
	CHECK(rise.rise == 20);
	rise = zigzag_steepest(down, at, N_ELEMS(down), 3);
	CHECK(rise.rise == 0);
}

int main(void)
{
	TAP_RUN(test_vector_linear_leak);
	TAP_RUN(test_vector_freed_after_eight_epochs);
	TAP_RUN(test_vector_warm_up);
	TAP_RUN(test_vector_one_off);
	TAP_RUN(test_vector_sawtooth);
	TAP_RUN(test_vectors_steady);
	TAP_RUN(test_vector_slowing);
	TAP_RUN(test_vector_container);
	TAP_RUN(test_many_sites);
	TAP_RUN(test_repeated_looks);
	TAP_RUN(test_untested_sites_do_not_count);
	TAP_RUN(test_order_of_sites_is_no_matter);
	TAP_RUN(test_load_explains_a_slower_leak);
	TAP_RUN(test_total_rate);
	TAP_RUN(test_turns_over);
	TAP_RUN(test_backlog_has_no_level);
	TAP_RUN(test_leak_in_a_pool);
	TAP_RUN(test_two_steps_are_no_leak);
	TAP_RUN(test_grew_late);
	TAP_RUN(test_few_certain_blocks);
	TAP_RUN(test_thinned);
	TAP_RUN(test_exact);
	TAP_RUN(test_nothing_at_all);
	TAP_RUN(test_zigzag);
	return tap_done();
}
