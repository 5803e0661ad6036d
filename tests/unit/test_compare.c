/* test_compare.c - growth between two snapshots: survivors cancel, sums reconcile. */
#undef NDEBUG
#include "tests/unit/tap.h"
#include "tests/unit/snapshot_fixture.h"

#include <math.h>

#include "analyzer/compare.h"
#include "analyzer/ranking.h"
#include "sample_math.h"

/* Three stacks: ids 1, 2, 3 are groups 0, 1, 2 of the profile, being first in every snapshot. */
static void begin(struct fixture *x, uint32_t number, uint64_t cut_ns)
{
	uint32_t i;

	fixture_init(x, number, cut_ns);
	fixture_add_module(x, 1, "/usr/bin/api", 0x400000);
	for (i = 0; i < 3; i++)
		fixture_add_stack(x, i + 1, 0x401000 + 0x1000 * i, 3);
}

/* n samples of size bytes, told apart by their address. */
static void add_samples(struct fixture *x, uint64_t address, unsigned n, uint64_t size,
	uint64_t birth_ns, uint32_t stack)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		/* u in golden-ratio steps, evenly spread: thinning keeps the share it should. */
		struct heapspy_sample sample = fixture_sample(address + 16 * i, size, birth_ns,
			stack, (uint32_t)(address / 16 + i) * 2654435769u);

		fixture_add_sample(x, &sample);
	}
}

static struct snapshot *decode(struct fixture *x)
{
	struct fixture_bytes file = fixture_build(x, 0);
	struct snapshot *s = NULL;
	struct fail f = { 0 };

	if (snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) < 0)
		printf("# %s\n", f.text);
	free(file.data);
	fixture_deinit(x);
	return s;
}

struct result {
	struct snapshot *s[3];
	struct profile p;
	struct comparison c;
};

static void compare(struct result *r, struct fixture *a, struct fixture *b, struct fixture *third,
	bool same_process)
{
	static const uint32_t group_of[] = { 0, 1, 2 };

	r->s[0] = decode(a);
	r->s[1] = decode(b);
	r->s[2] = third ? decode(third) : NULL;
	profile_init(&r->p);
	profile_add(&r->p, r->s[0]);
	profile_add(&r->p, r->s[1]);
	if (third)
		profile_add(&r->p, r->s[2]);
	compare_init(&r->c, &r->p, same_process);
	compare_group(&r->c, group_of, r->p.n_stacks, 3);
}

static void done(struct result *r)
{
	compare_deinit(&r->c);
	profile_deinit(&r->p);
	snapshot_free(r->s[0]);
	snapshot_free(r->s[1]);
	snapshot_free(r->s[2]);
}

static const struct compare_row *row_of(const struct result *r, uint32_t group)
{
	size_t i;

	for (i = 0; i < r->c.n_rows; i++)
		if (r->c.rows[i].group == group)
			return &r->c.rows[i];
	return NULL;
}

/* after - before = born - died in every row, and the rows sum up to the total. */
static void check_reconciled(const struct result *r)
{
	double bytes = 0, before = 0;
	size_t i;

	for (i = 0; i < r->c.n_rows; i++) {
		const struct compare_sums *s = &r->c.rows[i].sums;

		CHECK(s->after.bytes - s->before.bytes == s->born.bytes - s->died.bytes);
		CHECK(r->c.rows[i].growth.bytes == s->born.bytes - s->died.bytes);
		bytes += r->c.rows[i].growth.bytes;
		before += s->before.bytes;
	}
	CHECK(bytes == r->c.total.growth.bytes && before == r->c.total.sums.before.bytes);
	CHECK(r->c.n_grew + r->c.n_noise + r->c.n_shrank == r->c.n_rows);
}

static void test_survivors_cancel_exactly(void)
{
	struct fixture a, b;
	struct result r;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	add_samples(&a, 0x1000, 500, 100, 10, 1);
	add_samples(&b, 0x1000, 500, 100, 10, 1);
	compare(&r, &a, &b, NULL, true);
	CHECK(compare_is_still(&r.c.total.sums));
	CHECK(r.c.total.growth.bytes == 0 && r.c.n_noise == 1 && r.c.n_rows == 1);
	CHECK(r.c.total.sums.before.samples == 500);
	done(&r);
}

static void test_growth_shrinking_and_noise(void)
{
	struct fixture a, b;
	struct result r;
	const struct compare_row *row;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	add_samples(&a, 0x10000, 100, 4096, 10, 1);
	add_samples(&b, 0x10000, 100, 4096, 10, 1);
	add_samples(&b, 0x90000, 60, 4096, 1500, 1);
	add_samples(&a, 0x30000, 60, 4096, 20, 2);
	add_samples(&b, 0x30000, 10, 4096, 20, 2);
	add_samples(&a, 0x50000, 5, 4096, 30, 3);
	add_samples(&b, 0x60000, 5, 4096, 1600, 3);
	compare(&r, &a, &b, NULL, true);
	check_reconciled(&r);
	CHECK(r.c.n_grew == 1 && r.c.n_shrank == 1 && r.c.n_noise == 1);
	CHECK(r.c.rows[0].group == 0 && r.c.rows[0].verdict == COMPARE_GREW);
	CHECK(r.c.rows[2].group == 1 && r.c.rows[2].verdict == COMPARE_SHRANK);
	row = row_of(&r, 0);
	CHECK(row->sums.born.samples == 60 && row->sums.died.samples == 0);
	CHECK_NEAR(row->growth.bytes, 60 * 526339.0, 0);
	CHECK(row->growth.range.lo > 0 && row->growth.range.lo < row->growth.bytes &&
		row->growth.range.hi > row->growth.bytes);
	row = row_of(&r, 1);
	CHECK(row->sums.died.samples == 50 && row->growth.range.hi < 0);
	row = row_of(&r, 2);
	CHECK(row->sums.died.samples == 5 && row->sums.born.samples == 5 && row->growth.bytes == 0);
	done(&r);
}

/* Chances of 2.5 to 5 % are discoveries of a lone site, and its range still holds 0. */
static void test_no_mark_beside_a_range_that_holds_0(void)
{
	unsigned born, died, n_doubtful = 0;

	for (born = 0; born < 12; born++)
		for (died = 0; died < 12; died++) {
			struct fixture a, b;
			struct result r;
			struct growth_sides sides;
			const struct compare_row *row = &r.c.rows[0];

			begin(&a, 1, 1000);
			begin(&b, 2, 2000);
			add_samples(&a, 0x30000, died, 4096, 10, 1);
			add_samples(&b, 0x60000, born, 4096, 1600, 1);
			compare(&r, &a, &b, NULL, true);
			if (r.c.n_rows) {
				row = &r.c.rows[0];
				CHECK(row->verdict != COMPARE_GREW || row->growth.range.lo > 0);
				CHECK(row->verdict != COMPARE_SHRANK || row->growth.range.hi < 0);
				sides = (struct growth_sides){ row->sums.born, row->sums.died,
					r.c.interval_bytes[1], r.c.interval_bytes[0] };
				n_doubtful += growth_p_value(&sides, 0) <= .05 &&
					      !(row->growth.range.lo > 0);
			}
			done(&r);
		}
	CHECK(n_doubtful > 0);
}

static void test_an_address_used_again_is_another_sample(void)
{
	struct fixture a, b;
	struct result r;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	add_samples(&a, 0x1000, 1, 4096, 10, 1);
	add_samples(&b, 0x1000, 1, 4096, 1010, 1);
	compare(&r, &a, &b, NULL, true);
	CHECK(r.c.total.sums.born.samples == 1 && r.c.total.sums.died.samples == 1);
	done(&r);
}

static void test_late_sample_counts_as_born(void)
{
	struct fixture a, b;
	struct result r;

	/* Born before A's cut, but its thread was preempted before it could publish. */
	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	add_samples(&b, 0x1000, 1, 4096, 900, 1);
	compare(&r, &a, &b, NULL, true);
	CHECK(r.c.total.sums.born.samples == 1 && r.c.total.sums.died.samples == 0);
	CHECK(r.c.total.growth.bytes == 526339);
	done(&r);
}

static void test_equal_samples_are_counted(void)
{
	struct fixture a, b;
	struct result r;
	unsigned i;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	for (i = 0; i < 3; i++)
		add_samples(&a, 0x1000, 1, 4096, 10, 1);
	for (i = 0; i < 5; i++)
		add_samples(&b, 0x1000, 1, 4096, 10, 1);
	add_samples(&a, 0x2000, 1, 4096, 10, 1);
	compare(&r, &a, &b, NULL, true);
	CHECK(r.c.total.sums.born.samples == 2 && r.c.total.sums.died.samples == 1);
	check_reconciled(&r);
	done(&r);
}

/*
 * Few identities, so that most come more than once, in any order: as many are born and died as
 * counting says, whether samples are met on the walk or in the table.
 */
static void test_matching_counts_like_a_multiset(void)
{
	enum { N_IDENTITIES = 40 };
	struct sample_rng rng;
	int run;

	sample_rng_seed(&rng, 12);
	for (run = 0; run < 200; run++) {
		unsigned n[2][N_IDENTITIES] = { { 0 } }, born = 0, died = 0, side, i;
		unsigned n_kinds = 1 + (unsigned)(sample_rng_next(&rng) % N_IDENTITIES);
		struct fixture x[2];
		struct result r;

		for (side = 0; side < 2; side++) {
			unsigned n_samples = (unsigned)(sample_rng_next(&rng) % 300);

			begin(&x[side], side + 1, 1000 * (side + 1));
			for (i = 0; i < n_samples; i++) {
				/* In order, with gaps; in every third run in none. */
				unsigned kind =
					run % 3 ? i * n_kinds / n_samples
						: (unsigned)(sample_rng_next(&rng) % n_kinds);

				if (sample_rng_next(&rng) % 4 == 0)
					continue;
				n[side][kind]++;
				add_samples(
					&x[side], 0x1000 + 16 * kind, 1, 4096, 10, 1 + kind % 3);
			}
		}
		for (i = 0; i < N_IDENTITIES; i++) {
			died += n[0][i] > n[1][i] ? n[0][i] - n[1][i] : 0;
			born += n[1][i] > n[0][i] ? n[1][i] - n[0][i] : 0;
		}
		compare(&r, &x[0], &x[1], NULL, true);
		CHECK(r.c.total.sums.born.samples == born && r.c.total.sums.died.samples == died);
		check_reconciled(&r);
		done(&r);
	}
}

static void test_survivors_cancel_across_thinning(void)
{
	struct fixture a, b;
	struct result r;
	struct heapspy_sample *live;
	size_t i, n, kept = 0;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	b.info.level = 2;
	add_samples(&a, 0x10000, 400, 4096, 10, 1);
	add_samples(&b, 0x10000, 400, 4096, 10, 1);
	/* What the library does: records that do not belong to the level go, the rest move up. */
	live = (struct heapspy_sample *)b.bodies[HEAPSPY_SECTION_LIVE].data;
	n = b.bodies[HEAPSPY_SECTION_LIVE].bytes / sizeof(*live);
	for (i = 0; i < n; i++) {
		if (!sample_belongs(live[i].u, 4096, 512 << 10, 2048 << 10))
			continue;
		live[kept] = live[i];
		live[kept++].birth_level |= 2ull << 60;
	}
	CHECK(kept > 90 && kept < 110);
	b.bodies[HEAPSPY_SECTION_LIVE].bytes = kept * sizeof(*live);
	compare(&r, &a, &b, NULL, true);
	CHECK(r.c.interval_bytes[0] == 2048 << 10 && r.c.interval_bytes[1] == 2048 << 10);
	CHECK(compare_is_still(&r.c.total.sums) && r.c.total.growth.bytes == 0);
	CHECK(r.c.total.sums.before.samples == (double)kept);
	done(&r);
}

static void test_exact_runs_have_no_range(void)
{
	struct fixture a, b;
	struct result r;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	a.info.interval_bytes = b.info.interval_bytes = 1;
	a.info.variance_unit_log2 = b.info.variance_unit_log2 = 0;
	add_samples(&a, 0x1000, 2, 100, 10, 1);
	add_samples(&b, 0x1000, 2, 100, 10, 1);
	add_samples(&b, 0x2000, 1, 7, 1500, 1);
	add_samples(&b, 0x3000, 1, 0, 1500, 2);
	compare(&r, &a, &b, NULL, true);
	CHECK(r.c.exact);
	CHECK(r.c.total.growth.bytes == 7 && r.c.total.growth.range.lo == 7 &&
		r.c.total.growth.range.hi == 7);
	CHECK(row_of(&r, 0)->verdict == COMPARE_GREW);
	/* A block of no bytes is there, and is no growth. */
	CHECK(row_of(&r, 1) && row_of(&r, 1)->verdict == COMPARE_NOISE);
	done(&r);
}

static void test_different_processes_are_independent(void)
{
	struct fixture a, b;
	struct result r;

	begin(&a, 1, 1000);
	begin(&b, 1, 1000);
	b.info.interval_bytes = 1024 << 10;
	add_samples(&a, 0x1000, 10, 4096, 10, 1);
	add_samples(&b, 0x1000, 10, 4096, 10, 1);
	compare(&r, &a, &b, NULL, false);
	CHECK(r.c.total.sums.born.samples == 10 && r.c.total.sums.died.samples == 10);
	CHECK(r.c.interval_bytes[0] == 512 << 10 && r.c.interval_bytes[1] == 1024 << 10);
	CHECK(r.c.total.verdict == COMPARE_NOISE);
	check_reconciled(&r);
	done(&r);
}

/* All that is live is one side: the reference case of 40 against 20 blocks of 256 bytes. */
static void test_different_processes_have_the_range_of_two_estimates(void)
{
	struct fixture a, b;
	struct result r;
	struct growth_sides sides = { .born_interval_bytes = 64 << 10,
		.died_interval_bytes = 512 << 10 };
	struct growth growth;
	struct estimate_sample sample = { .size_bytes = 256 };
	unsigned i;

	begin(&a, 1, 1000);
	begin(&b, 1, 1000);
	add_samples(&a, 0x1000, 20, 256, 10, 1);
	add_samples(&b, 0x1000, 40, 256, 10, 1);
	compare(&r, &a, &b, NULL, false);
	CHECK_NEAR(r.c.total.growth.bytes, 10488320, 20);
	CHECK_NEAR(r.c.total.growth.range.lo, 2212555, 20);
	CHECK_NEAR(r.c.total.growth.range.hi, 19103979, 20);
	CHECK(r.c.n_grew == 1);
	done(&r);

	/* Each side at its own interval. */
	begin(&a, 1, 1000);
	begin(&b, 1, 1000);
	b.info.interval_bytes = 64 << 10;
	b.info.variance_unit_log2 = sample_variance_unit_log2(64 << 10);
	add_samples(&a, 0x1000, 20, 256, 10, 1);
	add_samples(&b, 0x1000, 400, 256, 10, 1);
	for (i = 0; i < 420; i++) {
		sample.birth_interval_bytes = i < 400 ? 64 << 10 : 512 << 10;
		estimate_add_sample(i < 400 ? &sides.born : &sides.died, &sample, 1,
			sample_variance_unit_log2(sample.birth_interval_bytes));
	}
	growth = growth_estimate(&sides, INTERVAL_Z95);
	compare(&r, &a, &b, NULL, false);
	CHECK(r.c.total.growth.bytes == growth.bytes);
	CHECK(r.c.total.growth.range.lo == growth.range.lo);
	CHECK(r.c.total.growth.range.hi == growth.range.hi);
	done(&r);
}

/* Samples of one process whose interval was doubled before them, between them or after them. */
static void test_births_at_several_levels(void)
{
	unsigned level_a, level_b, birth;

	for (level_a = 0; level_a < 3; level_a++)
		for (level_b = level_a; level_b < 4; level_b++) {
			struct fixture x[2];
			struct result r;
			double expected = 0;
			unsigned side, i;

			begin(&x[0], 1, 1000);
			begin(&x[1], 2, 2000);
			x[0].info.level = level_a;
			x[1].info.level = level_b;
			for (i = 0; i < 2000; i++) {
				/* The last 500 are born after A, at any level since. */
				bool is_new = i >= 1500;
				unsigned first = is_new ? level_a : 0;
				unsigned last = is_new ? level_b : level_a;
				uint64_t size = 100 << i % 14;
				uint32_t u = i * 2654435769u;

				birth = first + i % (last - first + 1);
				for (side = is_new; side < 2; side++) {
					unsigned level = side ? level_b : level_a;
					struct heapspy_sample sample =
						fixture_sample(0x1000 + 16 * i, size,
							10 + 1500 * is_new, 1 + is_new, u);

					if (!sample_belongs(u, size, (512ull << 10) << birth,
						    (512ull << 10) << level))
						continue;
					sample.birth_level |=
						(uint64_t)birth << 56 | (uint64_t)level << 60;
					fixture_add_sample(&x[side], &sample);
					if (side && is_new)
						expected += (double)sample_weight(
							size, (512ull << 10) << level_b, 16)
								    .bytes;
				}
			}
			compare(&r, &x[0], &x[1], NULL, true);
			CHECK(row_of(&r, 0) && compare_is_still(&row_of(&r, 0)->sums));
			CHECK(row_of(&r, 0)->growth.bytes == 0);
			CHECK(r.c.total.growth.bytes == expected && expected > 0);
			CHECK(r.c.total.sums.died.samples == 0);
			check_reconciled(&r);
			done(&r);
		}
}

static void test_third_moment(void)
{
	struct fixture a, b, c;
	struct result r;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	begin(&c, 3, 3000);
	add_samples(&a, 0x1000, 5, 4096, 10, 1);
	add_samples(&b, 0x1000, 5, 4096, 10, 1);
	add_samples(&c, 0x1000, 5, 4096, 10, 1);
	add_samples(&b, 0x2000, 8, 4096, 1500, 1);
	add_samples(&b, 0x3000, 9, 4096, 1500, 2);
	add_samples(&c, 0x2000, 8, 4096, 1500, 1);
	add_samples(&c, 0x4000, 7, 4096, 2500, 3);
	compare(&r, &a, &b, &c, true);
	CHECK(r.c.total.sums.born.samples == 8 && r.c.total.sums.died.samples == 0);
	CHECK(row_of(&r, 0) && !row_of(&r, 1) && !row_of(&r, 2));
	/* Nothing can have died: the range is that of what was kept. */
	CHECK(r.c.is_one_sided && r.c.n_grew == 1);
	CHECK(r.c.total.growth.range.lo ==
		interval_of_bytes(&r.c.total.sums.born, 512 << 10, INTERVAL_Z95).lo);
	CHECK(r.c.total.growth.range.lo > 8 * 4096);
	done(&r);

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	begin(&c, 3, 3000);
	add_samples(&b, 0x2000, 1, 64 << 20, 1500, 1);
	add_samples(&c, 0x2000, 1, 64 << 20, 1500, 1);
	compare(&r, &a, &b, &c, true);
	/* A block of 64 MiB cannot be less. */
	CHECK(r.c.rows[0].growth.range.lo == 64 << 20);
	CHECK_NEAR(r.c.rows[0].growth.range.hi, 69031959, 1);
	done(&r);
}

/* Each stack of the fixture has allocated ten blocks of 4096 bytes. */
static void test_allocated_between_two_moments(void)
{
	static const uint32_t group_of[] = { 0, 1, 2, 3 };
	struct fixture a, b;
	struct result r;

	begin(&a, 1, 1000);
	begin(&b, 2, 2000);
	fixture_add_stack(&b, 4, 0x401000, 3);
	fixture_add_stack(&b, 5, 0x409000, 3);
	r.s[0] = decode(&a);
	r.s[1] = decode(&b);
	r.s[2] = NULL;
	profile_init(&r.p);
	profile_add(&r.p, r.s[0]);
	profile_add(&r.p, r.s[1]);
	CHECK(r.p.n_stacks == 4);
	compare_init_allocated(&r.c, &r.p, true);
	compare_group(&r.c, group_of, r.p.n_stacks, 4);
	/* A second record of the first stack, and one more stack. */
	CHECK(r.c.n_rows == 2 && r.c.n_grew == 2 && row_of(&r, 0) && row_of(&r, 3));
	CHECK(row_of(&r, 3)->growth.bytes == 10 * 526339.0);
	CHECK(row_of(&r, 3)->growth.range.lo > 10 * 4096 && row_of(&r, 3)->sums.born.samples == 10);
	CHECK(row_of(&r, 0)->sums.before.samples == 10 && row_of(&r, 0)->sums.after.samples == 20);
	check_reconciled(&r);
	done(&r);
}

static void test_ranking(void)
{
	static const uint32_t group_of[] = { 0, 1, RANKING_NO_GROUP };
	struct fixture x;
	struct snapshot *s;
	struct profile p;
	struct ranking r;
	struct ranking_row rest;

	begin(&x, 1, 1000);
	add_samples(&x, 0x1000, 3, 4096, 100, 1);
	add_samples(&x, 0x2000, 1, 4096, 900, 1);
	add_samples(&x, 0x3000, 1, 64 << 20, 500, 2);
	add_samples(&x, 0x9000, 100, 4096, 500, 3);
	s = decode(&x);
	profile_init(&p);
	profile_add(&p, s);
	ranking_init(&r, &p, false);
	ranking_group(&r, &p, group_of, 2, false, RANKING_BY_BYTES);
	CHECK(r.n_rows == 2);
	/* 64 MiB are certain, four small blocks are not. */
	CHECK(r.rows[0].group == 1 && r.rows[0].bytes.lo == 64 << 20);
	CHECK(r.rows[1].sum.samples == 4 && r.rows[1].age_ns == 900);
	CHECK_NEAR(r.total.sum.bytes, 4 * 526339 + (64 << 20), 0);
	rest = ranking_rest(&r, 1);
	CHECK_NEAR(rest.sum.bytes, 4 * 526339, 0);
	ranking_group(&r, &p, group_of, 2, true, RANKING_BY_BLOCKS);
	CHECK(r.n_rows == 1 && !strcmp(p.threads[r.rows[0].group], "main"));
	CHECK(r.rows[0].sum.samples == 5);
	ranking_deinit(&r);
	ranking_init(&r, &p, true);
	ranking_group(&r, &p, group_of, 2, false, RANKING_BY_BYTES);
	CHECK(r.n_rows == 2 && r.rows[0].sum.samples == 10 && isinf(r.rows[0].blocks.hi));
	ranking_deinit(&r);
	profile_deinit(&p);
	snapshot_free(s);
}

int main(void)
{
	TAP_RUN(test_survivors_cancel_exactly);
	TAP_RUN(test_growth_shrinking_and_noise);
	TAP_RUN(test_no_mark_beside_a_range_that_holds_0);
	TAP_RUN(test_an_address_used_again_is_another_sample);
	TAP_RUN(test_late_sample_counts_as_born);
	TAP_RUN(test_equal_samples_are_counted);
	TAP_RUN(test_matching_counts_like_a_multiset);
	TAP_RUN(test_survivors_cancel_across_thinning);
	TAP_RUN(test_births_at_several_levels);
	TAP_RUN(test_exact_runs_have_no_range);
	TAP_RUN(test_different_processes_are_independent);
	TAP_RUN(test_different_processes_have_the_range_of_two_estimates);
	TAP_RUN(test_third_moment);
	TAP_RUN(test_allocated_between_two_moments);
	TAP_RUN(test_ranking);
	return tap_done();
}
