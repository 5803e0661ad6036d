/*
 * test_age_structure.c - plans of even and uneven times, and sums by age against the same figures
 * found block by block, from their definitions.
 */
#undef NDEBUG
#include "analyzer/stats/trend_evidence.h"
#include "tests/unit/tap.h"
#include "tests/unit/trend_fixture.h"

#define N_SITES    60
#define BLOCKS_MAX 400
#define STEP_NS    (30 * NS_PER_S)

static uint64_t cut_ns[FIXTURE_MAX];

static size_t even_cuts(size_t n_intervals)
{
	size_t k;

	for (k = 0; k <= n_intervals; k++)
		cut_ns[k] = 1000 * NS_PER_S + k * STEP_NS;
	return n_intervals + 1;
}

static void test_even_plan(void)
{
	/* K, settle age in cuts. */
	static const size_t rows[][2] = { { 8, 2 }, { 12, 2 }, { 24, 2 }, { 36, 3 }, { 60, 5 },
		{ 120, 10 }, { 400, 33 } };
	struct trend_plan plan;
	size_t i, j, e;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t last = rows[i][0], settle = rows[i][1];

		trend_plan_init(&plan, cut_ns, even_cuts(last));
		CHECK(!trend_plan_is_short(&plan));
		CHECK(trend_plan_settled(&plan) == settle && trend_plan_last(&plan) == last);
		CHECK(plan.ages[0].entry[0] == 0);
		for (e = 1; e <= last; e++)
			CHECK(plan.ages[0].entry[e] ==
				(e + settle <= last ? e + settle : last + 1));
		for (j = 1; j <= TREND_PLAN_BINS; j++)
			CHECK_NEAR((double)plan.ages[0].bin[j],
				(double)settle + (double)(last - settle) * (double)j / 6, .5);
		CHECK(plan.ages[0].bin[TREND_PLAN_BINS] == last);
		CHECK(plan.ages[0].load_cut[0] == 0 && plan.ages[0].load_cut[2] == last - settle);
		CHECK(plan.ages[0].load_cut[1] == trend_plan_middle(&plan) - settle);
		CHECK_NEAR(plan.window_seconds, 30. * (double)last, 1e-9);
		CHECK_NEAR(plan.interval_seconds, 30, 1e-9);
		CHECK(plan.n_gaps == 0 && plan.largest_gap_seconds == 0);
		trend_plan_deinit(&plan);
	}
}

/* Older settle ages: a quarter and a half of the window, as far as the cuts tell them apart. */
static void test_older_ages(void)
{
	/* K, number of ages, those of the older in cuts. */
	static const size_t rows[][4] = { { 8, 2, 4, 0 }, { 10, 2, 5, 0 }, { 12, 3, 3, 6 },
		{ 24, 3, 6, 12 }, { 120, 3, 30, 60 } };
	struct trend_plan plan;
	size_t i, k, e;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t last = rows[i][0];

		trend_plan_init(&plan, cut_ns, even_cuts(last));
		CHECK(plan.n_ages == rows[i][1]);
		for (k = 1; k < plan.n_ages; k++) {
			const struct trend_age *age = &plan.ages[k];
			size_t settle = rows[i][k + 1];

			CHECK(trend_age_settled(age) == settle && age->entry[0] == 0);
			CHECK(trend_age_has_halves(age, plan.n_cuts));
			for (e = 1; e <= last; e++)
				CHECK(age->entry[e] ==
					(e + settle <= last ? e + settle : last + 1));
			CHECK(age->bin[TREND_PLAN_BINS] == last);
		}
		trend_plan_deinit(&plan);
	}
}

static void test_jitter_shifts_nothing(void)
{
	struct trend_plan even, late;
	struct sample_rng rng;
	size_t k, n = even_cuts(24);

	trend_plan_init(&even, cut_ns, n);
	sample_rng_seed(&rng, 1);
	for (k = 0; k < n; k++)
		cut_ns[k] += sample_rng_next(&rng) % (STEP_NS / 10);
	trend_plan_init(&late, cut_ns, n);
	CHECK(!memcmp(even.ages[0].entry, late.ages[0].entry, n * sizeof(*even.ages[0].entry)));
	CHECK(!memcmp(even.ages[0].bin, late.ages[0].bin, sizeof(even.ages[0].bin)));
	CHECK(!memcmp(even.ages[0].load_cut, late.ages[0].load_cut, sizeof(even.ages[0].load_cut)));
	trend_plan_deinit(&even);
	trend_plan_deinit(&late);
}

static void test_gap(void)
{
	struct trend_plan plan;
	size_t k, n = even_cuts(24);

	/* Ten minutes without a snapshot after cut 12, and two after cut 20. */
	for (k = 13; k < n; k++)
		cut_ns[k] += 600 * NS_PER_S + (k > 20 ? 120 * NS_PER_S : 0);
	trend_plan_init(&plan, cut_ns, n);
	CHECK(plan.n_gaps == 2);
	CHECK_NEAR(plan.largest_gap_seconds, 630, 1e-9);
	CHECK_NEAR(plan.interval_seconds, 30, 1e-9);
	/* A twelfth of the window of 24 minutes is 120 s: four intervals, or the end of the gap. */
	CHECK_NEAR(plan.ages[0].settle_seconds, 120, 1e-9);
	CHECK(plan.ages[0].entry[8] == 12 && plan.ages[0].entry[9] == 13 &&
		plan.ages[0].entry[12] == 13);
	CHECK(plan.ages[0].entry[13] == 17);
	for (k = 1; k <= TREND_PLAN_BINS; k++)
		CHECK(plan.ages[0].bin[k] >= plan.ages[0].bin[k - 1]);
	CHECK(plan.ages[0].bin[TREND_PLAN_BINS] == n - 1);
	trend_plan_deinit(&plan);
}

static void test_short_plans(void)
{
	struct trend_plan plan;
	size_t n;

	for (n = 1; n <= TREND_PLAN_INTERVALS_MIN; n++) {
		even_cuts(n - 1);
		trend_plan_init(&plan, cut_ns, n);
		CHECK(trend_plan_is_short(&plan));
		CHECK(trend_plan_last(&plan) == n - 1);
		trend_plan_deinit(&plan);
	}
}

static void test_epochs(void)
{
	even_cuts(4);
	CHECK(trend_plan_epoch(cut_ns, 5, 0) == 0);
	CHECK(trend_plan_epoch(cut_ns, 5, cut_ns[0]) == 0);
	CHECK(trend_plan_epoch(cut_ns, 5, cut_ns[0] + 1) == 1);
	CHECK(trend_plan_epoch(cut_ns, 5, cut_ns[3]) == 3);
	CHECK(trend_plan_epoch(cut_ns, 5, cut_ns[4] + 1) == 5);
}

/* ---- the same from single blocks ---- */

/* What a definition asks of one block. */
struct view {
	const struct trend_plan *plan;
	const struct trend_age *age;
	const struct block *block;
	size_t epoch, entry;
};

static bool live(const struct view *v, size_t cut)
{
	return v->block->birth_ns <= cut_ns[cut] && v->block->death_ns > cut_ns[cut];
}

static bool aged(const struct view *v, size_t cut)
{
	return live(v, cut) && v->entry <= cut;
}

struct figures {
	struct aggregate late_in, late_out, whole_in, whole_out, born, died;
	double flow_in, flow_out, all_out, old, old_died, bins[TREND_PLAN_BINS], byte_seconds;
	double gone[2], there[2], samples;
};

static void add_if(struct aggregate *sum, const struct aggregate *one, bool condition)
{
	if (condition)
		estimate_add(sum, one);
}

static void add_block(struct figures *x, const struct view *v, const struct aggregate *one)
{
	const struct trend_plan *plan = v->plan;
	size_t a = trend_age_settled(v->age), h = trend_age_middle(v->age), k, j;
	size_t last = trend_plan_last(plan);
	bool seen = false;

	add_if(&x->late_in, one, v->entry > h && aged(v, last));
	add_if(&x->late_out, one, aged(v, h) && !live(v, last));
	add_if(&x->whole_in, one, v->entry > a && aged(v, last));
	add_if(&x->whole_out, one, aged(v, a) && !live(v, last));
	add_if(&x->born, one, v->epoch > 0 && live(v, last));
	add_if(&x->died, one, v->epoch == 0 && live(v, 0) && !live(v, last));
	for (k = a + 1; k <= last; k++) {
		bool entered = v->entry == k && live(v, k);
		bool died = aged(v, k - 1) && !live(v, k);

		x->flow_in += k > h && entered ? one->bytes : 0;
		x->flow_out += k > h && died ? one->bytes : 0;
		x->all_out += died ? one->bytes : 0;
		if (k > h)
			x->byte_seconds += (aged(v, k - 1) + aged(v, k)) * one->bytes / 2 *
					   (plan->seconds[k] - plan->seconds[k - 1]);
	}
	for (k = 0; k <= last; k++)
		seen = seen || live(v, k);
	x->samples += seen;
	if (v->epoch > 0 && aged(v, h)) {
		x->old++;
		x->old_died += !live(v, last);
	}
	for (j = 0; j < TREND_PLAN_BINS; j++) {
		size_t from = v->age->bin[j], to = v->age->bin[j + 1];

		if (v->entry > from && aged(v, to))
			x->bins[j] += one->bytes;
		if (aged(v, from) && !live(v, to))
			x->bins[j] -= one->bytes;
	}
	for (j = 0; j < 2; j++) {
		size_t r = j ? trend_plan_middle(plan) : trend_plan_settled(plan);

		x->there[j] += live(v, r) ? one->bytes : 0;
		x->gone[j] += live(v, r) && !live(v, last) ? one->bytes : 0;
	}
}

static bool same(const struct aggregate *a, const struct aggregate *b)
{
	return a->samples == b->samples && a->size_bytes == b->size_bytes && a->bytes == b->bytes &&
	       a->variance == b->variance;
}

static void compare_age(const struct trend_run *run, unsigned age, const struct age_structure *s,
	const struct blocks *blocks)
{
	struct trend_result r;
	struct figures x = { .samples = 0 };
	size_t i, j;

	for (i = 0; i < blocks->n; i++) {
		struct view v = { &run->plan, &run->plan.ages[age], &blocks->items[i], 0, 0 };
		struct aggregate one = { 0 };

		v.epoch = trend_plan_epoch(cut_ns, run->plan.n_cuts, v.block->birth_ns);
		if (v.epoch == run->plan.n_cuts)
			continue;
		v.entry = v.age->entry[v.epoch];
		if (estimate_add_sample(&one, &v.block->sample, run->interval_bytes, 16))
			add_block(&x, &v, &one);
	}
	trend_evidence(run, s, age, &r);
	CHECK(same(&r.late_in, &x.late_in) && same(&r.late_out, &x.late_out));
	CHECK(r.late.growth.bytes == x.late_in.bytes - x.late_out.bytes);
	CHECK(r.whole.growth.bytes == x.whole_in.bytes - x.whole_out.bytes);
	CHECK(r.whole_samples == x.whole_in.samples);
	CHECK(r.all.growth.bytes == x.born.bytes - x.died.bytes);
	CHECK(r.shrink.growth.bytes == x.died.bytes - x.born.bytes);
	CHECK(r.late_flow.in_bytes == x.flow_in && r.late_flow.out_bytes == x.flow_out);
	CHECK(r.died_bytes == x.all_out);
	CHECK_NEAR(r.late_flow.byte_seconds, x.byte_seconds, 1e-9 * x.byte_seconds);
	CHECK(r.old_samples == x.old && r.old_died == x.old_died);
	CHECK(r.samples == x.samples);
	for (j = 0; j < TREND_PLAN_BINS; j++)
		CHECK(r.bin_bytes[j] == x.bins[j]);
	for (j = 0; j < 2; j++) {
		CHECK(s->base[j].live.bytes == x.there[j]);
		CHECK(s->base[j].live.bytes - s->base[j].left.bytes == x.gone[j]);
	}
}

static void compare(
	const struct trend_run *run, const struct age_structure *s, const struct blocks *blocks)
{
	unsigned age;

	for (age = 0; age < run->plan.n_ages; age++)
		compare_age(run, age, s, blocks);
}

/* Blocks of all sizes and lives, born from long before the first cut to after the last. */
static void random_blocks(struct blocks *blocks, struct sample_rng *rng, size_t n_cuts)
{
	uint64_t begin = cut_ns[0] / 2, span = cut_ns[n_cuts - 1] - begin + 100 * NS_PER_S;
	size_t i, n = sample_rng_next(rng) % BLOCKS_MAX;

	for (i = 0; i < n; i++) {
		uint64_t birth = begin + sample_rng_next(rng) % span;
		uint64_t life = UINT64_C(1) << 28 << sample_rng_next(rng) % 16;
		uint64_t size = UINT64_C(1) << sample_rng_next(rng) % 22;

		blocks_add(blocks, birth,
			sample_rng_next(rng) % 3 ? birth + sample_rng_next(rng) % life : NEVER_NS,
			size + sample_rng_next(rng) % size);
		blocks->items[blocks->n - 1].sample.u = (uint32_t)(sample_rng_next(rng) >> 32);
	}
}

static size_t random_cuts(struct sample_rng *rng)
{
	size_t k, n = 9 + sample_rng_next(rng) % 60;

	cut_ns[0] = 500 * NS_PER_S;
	for (k = 1; k < n; k++)
		cut_ns[k] =
			cut_ns[k - 1] + 1 +
			sample_rng_next(rng) % (sample_rng_next(rng) % 20 ? STEP_NS : 20 * STEP_NS);
	return n;
}

static void check_random_sites(bool even, bool by_cell, uint64_t interval_bytes)
{
	static struct fixture_site site;
	struct trend_run run = { .interval_bytes = interval_bytes };
	struct sample_rng rng;
	size_t i, n;

	sample_rng_seed(&rng, 42);
	for (i = 0; i < N_SITES; i++) {
		struct blocks blocks = { 0 };

		n = even ? even_cuts(8 + i) : random_cuts(&rng);
		trend_plan_init(&run.plan, cut_ns, n);
		random_blocks(&blocks, &rng, n);
		fixture_sum(&site, &run.plan, cut_ns, &blocks, interval_bytes, by_cell);
		compare(&run, &site.structure, &blocks);
		trend_plan_deinit(&run.plan);
		free(blocks.items);
	}
}

static void test_sums_are_those_of_blocks(void)
{
	check_random_sites(true, false, R512K);
}

static void test_cells_are_those_of_blocks(void)
{
	check_random_sites(true, true, R512K);
}

static void test_uneven_times(void)
{
	check_random_sites(false, true, R512K);
}

static void test_lifted(void)
{
	check_random_sites(false, false, 8 * R512K);
}

static void test_stacks_add_to_a_site(void)
{
	static struct fixture_site parts[2], sum, merged;
	struct trend_run run = { .interval_bytes = R512K };
	struct blocks blocks[2] = { { 0 } }, all = { 0 };
	struct trend_result a, b;
	struct sample_rng rng;
	size_t i, k, n = even_cuts(40);

	sample_rng_seed(&rng, 5);
	trend_plan_init(&run.plan, cut_ns, n);
	age_structure_init(&merged.structure, &run.plan, merged.series);
	for (i = 0; i < 2; i++) {
		random_blocks(&blocks[i], &rng, n);
		fixture_sum(&parts[i], &run.plan, cut_ns, &blocks[i], R512K, false);
		age_structure_merge(&merged.structure, &parts[i].structure, &run.plan);
		for (k = 0; k < blocks[i].n; k++)
			blocks_add(&all, blocks[i].items[k].birth_ns, blocks[i].items[k].death_ns,
				blocks[i].items[k].sample.size_bytes);
		free(blocks[i].items);
	}
	fixture_sum(&sum, &run.plan, cut_ns, &all, R512K, false);
	merged.structure.cells = sum.structure.cells;
	merged.structure.n_cells = sum.structure.n_cells;
	CHECK(!memcmp(sum.series, merged.series, sizeof(sum.series)));
	trend_evidence(&run, &sum.structure, 0, &a);
	trend_evidence(&run, &merged.structure, 0, &b);
	a.live_bytes = b.live_bytes;
	CHECK_NEAR(a.late_flow.byte_seconds, b.late_flow.byte_seconds, 1e-3);
	CHECK(same(&a.late_in, &b.late_in) && same(&a.late_out, &b.late_out));
	CHECK(!memcmp(a.bin_bytes, b.bin_bytes, sizeof(a.bin_bytes)));
	CHECK(a.is_container == b.is_container && a.all.p == b.all.p && a.retire == b.retire);
	CHECK(a.rho == b.rho && a.samples == b.samples && a.tested == b.tested);
	CHECK(run.plan.n_ages == TREND_PLAN_AGES);
	for (i = 1; i < run.plan.n_ages; i++) {
		trend_evidence(&run, &sum.structure, (unsigned)i, &a);
		trend_evidence(&run, &merged.structure, (unsigned)i, &b);
		CHECK(same(&a.late_in, &b.late_in) && same(&a.late_out, &b.late_out));
		CHECK(a.age == i && a.retire == b.retire && a.rho == b.rho);
	}
	trend_plan_deinit(&run.plan);
	free(all.items);
}

/* A thread that is held up publishes a sample only after the snapshot in which it belongs. */
static void test_late_sample(void)
{
	static struct fixture_site site;
	struct trend_run run = { .interval_bytes = R512K };
	struct estimate_sample sample = { 4096, R512K, 0 };
	struct aggregate one = { 0 };
	struct trend_result r;
	size_t k, n = even_cuts(24);

	estimate_add_sample(&one, &sample, R512K, 16);
	trend_plan_init(&run.plan, cut_ns, n);
	age_structure_init(&site.structure, &run.plan, site.series);
	for (k = 0; k < n; k++) {
		if (k > 0)
			age_structure_add(&site.structure, &run.plan, k, 0, &one);
		age_structure_end_cut(&site.structure, &run.plan, k);
	}
	trend_evidence(&run, &site.structure, 0, &r);
	CHECK(r.all.growth.bytes == 0 && r.shrink.growth.bytes == 0 && !r.moved);
	CHECK(r.late.growth.bytes == 0 && r.old_samples == 0 && r.died_bytes == 0);
	trend_plan_deinit(&run.plan);
}

int main(void)
{
	TAP_RUN(test_even_plan);
	TAP_RUN(test_older_ages);
	TAP_RUN(test_jitter_shifts_nothing);
	TAP_RUN(test_gap);
	TAP_RUN(test_short_plans);
	TAP_RUN(test_epochs);
	TAP_RUN(test_sums_are_those_of_blocks);
	TAP_RUN(test_cells_are_those_of_blocks);
	TAP_RUN(test_uneven_times);
	TAP_RUN(test_lifted);
	TAP_RUN(test_stacks_add_to_a_site);
	TAP_RUN(test_late_sample);
	return tap_done();
}
