/*
 * test_churn.c - rates and lifetimes from two snapshots: sums, sizes, flags and order, and that
 * levels may be mixed. Snapshots are made in memory, as the reader would leave them.
 */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/churn.h"
#include "sample_math.h"

#define SECOND      UINT64_C(1000000000)
#define MIB         1048576.0
#define STACKS      3
#define SAMPLES_MAX 20000
#define N_ELEMS(a)  (sizeof(a) / sizeof((a)[0]))

/* One moment of a process with three stacks of one frame each. */
struct moment {
	struct snapshot s;
	struct snapshot_stack stacks[STACKS];
	struct snapshot_death deaths[STACKS][LIFETIMES_BUCKETS];
	struct heapspy_sample *samples;
};

static uint32_t no_name[1];
static uint64_t frames[STACKS] = { 0x1001, 0x2001, 0x3001 };
static uint16_t no_modules[HEAPSPY_MODULE_SERIAL_MAX + 1];

static void moment_init(struct moment *m, double cut_seconds, uint64_t interval_bytes)
{
	uint32_t i, j;

	memset(m, 0, sizeof(*m));
	m->samples = calloc(SAMPLES_MAX, sizeof(*m->samples));
	m->s.info.cut_ns = (uint64_t)(cut_seconds * (double)SECOND);
	m->s.info.interval_bytes = interval_bytes;
	m->s.info.variance_unit_log2 = sample_variance_unit_log2(interval_bytes);
	m->s.strings = (char *)"";
	m->s.strings_bytes = 1;
	m->s.threads = no_name;
	m->s.n_threads = 1;
	m->s.frames = frames;
	m->s.n_frames = STACKS;
	m->s.module_of_serial = no_modules;
	m->s.stacks = m->stacks;
	m->s.n_stacks = STACKS;
	m->s.samples = m->samples;
	m->s.deaths = m->deaths[0];
	m->s.n_deaths = STACKS * LIFETIMES_BUCKETS;
	for (i = 0; i < STACKS; i++) {
		m->stacks[i].id = i + 1;
		m->stacks[i].n_frames = 1;
		m->stacks[i].first_frame = i;
		m->stacks[i].first_death = (size_t)i * LIFETIMES_BUCKETS;
		m->stacks[i].n_deaths = LIFETIMES_BUCKETS;
		for (j = 0; j < LIFETIMES_BUCKETS; j++)
			m->deaths[i][j].bucket = j;
	}
}

static void moment_deinit(struct moment *m)
{
	free(m->samples);
}

static struct sample_weight weight_of(const struct moment *m, uint64_t size, uint32_t level)
{
	return sample_weight(size, m->s.info.interval_bytes << level, m->s.info.variance_unit_log2);
}

static void count_birth(struct moment *m, uint32_t stack, uint64_t size, uint32_t level, uint64_t n)
{
	struct snapshot_counters *c = &m->stacks[stack].allocated;
	struct sample_weight w = weight_of(m, size, level);

	c->n += n;
	c->S += n * size;
	c->B += n * w.bytes;
	c->V += n * w.variance;
	c->C += n * w.count_1024;
}

static void count_death(struct moment *m, uint32_t stack, uint64_t size, uint32_t level,
	double lifetime_ns, uint64_t n)
{
	struct snapshot_death *death = &m->deaths[stack][lifetime_ns < 2 ? 0 : ilogb(lifetime_ns)];
	struct sample_weight w = weight_of(m, size, level);

	death->n += n;
	death->B += n * w.bytes;
	death->C += n * w.count_1024;
}

static void add_live(struct moment *m, uint32_t stack, uint64_t size, double born_seconds,
	uint32_t birth_level, uint32_t u)
{
	struct heapspy_sample *sample = &m->samples[m->s.n_samples];

	if (m->s.n_samples == SAMPLES_MAX) {
		printf("Bail out! more than %d live samples\n", SAMPLES_MAX);
		exit(1);
	}
	sample->address = 16 * ++m->s.n_samples;
	sample->size_thread = size;
	sample->birth_level = (uint64_t)(born_seconds * (double)SECOND) |
			      (uint64_t)birth_level << 56 | (uint64_t)m->s.level << 60;
	sample->stack = stack;
	sample->u = u;
}

struct result {
	struct profile p;
	struct churn c;
};

/* Each stack is a row. */
static void churn(struct result *r, const struct moment *a, const struct moment *b, bool by_blocks)
{
	static const uint32_t group_of[STACKS] = { 0, 1, 2 };

	profile_init(&r->p);
	profile_add(&r->p, &a->s);
	profile_add(&r->p, &b->s);
	churn_init(&r->c, &r->p);
	churn_group(&r->c, &r->p, group_of, STACKS, by_blocks);
}

static void done(struct result *r)
{
	churn_deinit(&r->c);
	profile_deinit(&r->p);
}

static const struct churn_row *row_of(const struct result *r, uint32_t group)
{
	size_t i;

	for (i = 0; i < r->c.n_rows; i++)
		if (r->c.rows[i].group == group)
			return &r->c.rows[i];
	return NULL;
}

/* Ten seconds: 200 samples die after a microsecond, 40 after two seconds, 8 live on. */
static void test_rates_and_flags(void)
{
	struct moment a, b;
	struct result r;
	const struct churn_row *row;
	double weight;
	int i;

	moment_init(&a, 10, 512 << 10);
	moment_init(&b, 20, 512 << 10);
	count_birth(&a, 0, 4096, 0, 1000);
	count_death(&a, 0, 4096, 0, 1000, 1000);
	b.stacks[0] = a.stacks[0];
	memcpy(b.deaths, a.deaths, sizeof(a.deaths));
	count_birth(&b, 0, 4096, 0, 248);
	count_death(&b, 0, 4096, 0, 1000, 200);
	count_death(&b, 0, 4096, 0, 2e9, 40);
	for (i = 0; i < 8; i++)
		add_live(&b, 0, 4096, 15, 0, 0);
	count_birth(&b, 1, 16, 0, 8);
	weight = (double)weight_of(&b, 4096, 0).bytes;
	b.s.info.bytes_seen = (uint64_t)(256 * weight);
	churn(&r, &a, &b, false);
	CHECK(!r.c.exact && r.c.is_total_exact && r.c.window_ns == 1e10 && r.c.n_rows == 2);
	CHECK_NEAR(r.c.process_rate.value, 25.6 * weight, 1);
	CHECK(r.c.total.bytes.rate.value == r.c.process_rate.value);
	row = &r.c.rows[0];
	CHECK(row->group == 0 && row->sums.allocated.samples == 248 && row->sums.died == 240);
	CHECK_NEAR(row->bytes.rate.value, 24.8 * weight, 1);
	CHECK_NEAR(row->bytes.share, 248.0 / 256, 1e-6);
	CHECK_NEAR(row->bytes.rate.range.lo,
		.1 * (248 * 2048 + 524288 * interval_poisson_lo(248, INTERVAL_Z95)), 1e3);
	CHECK_NEAR(row->bytes.young.share.value, 200.0 / 248, 1e-9);
	CHECK_NEAR(row->bytes.young.rate.value, 20 * weight, 1);
	CHECK(row->bytes.median.ns > 512 && row->bytes.median.ns < 1024);
	/* 40 of 48 that outlive a second, up to what those that live on make of it. */
	CHECK(row->bytes.middle.share.value > 40.0 / 248 &&
		row->bytes.middle.share.value < 45.0 / 248);
	CHECK_NEAR(row->bytes.turnover, 24.8 / 4, 1e-6);
	CHECK_NEAR(row->bytes.mean_life_ns, 4e9 / 24.8, 10);
	CHECK(row->flags == (CHURN_HOT | CHURN_HEAVY | CHURN_MID_LIFE));
	/* The other row has the same rate a sample, none of it young, nothing live: no flag. */
	row = &r.c.rows[1];
	CHECK(row->group == 1 && row->flags == 0 && row->bytes.young.rate.value == 0);
	CHECK(isnan(row->bytes.turnover) && isnan(row->bytes.mean_life_ns));
	CHECK(isinf(row->bytes.median.ns));
	done(&r);
	/* By blocks the small ones are first where the rate decides: what dies young is as before.
	 */
	churn(&r, &a, &b, true);
	CHECK(r.c.rows[0].group == 0 &&
		r.c.rows[1].blocks.rate.value > r.c.rows[0].blocks.rate.value);
	CHECK_NEAR(r.c.rows[0].blocks.share + r.c.rows[1].blocks.share, 1, 1e-12);
	done(&r);
	moment_deinit(&a);
	moment_deinit(&b);
}

/* hot and heavy are of the process, and of 1 MiB/s at least. */
static void test_thresholds_of_flags(void)
{
	static const struct {
		unsigned n;
		double process_mib; /* a second */
		unsigned flags;
	} rows[] = { { 400, 10, CHURN_HOT | CHURN_HEAVY }, { 400, 1000, CHURN_HOT },
		{ 400, 3000, 0 }, { 10, 1, 0 }, { 40, 1, CHURN_HOT | CHURN_HEAVY } };
	size_t i;

	for (i = 0; i < N_ELEMS(rows); i++) {
		struct moment a, b;
		struct result r;

		moment_init(&a, 1, 512 << 10);
		moment_init(&b, 11, 512 << 10);
		count_birth(&b, 2, 64, 0, rows[i].n);
		count_death(&b, 2, 64, 0, 1e5, rows[i].n);
		b.s.info.bytes_seen = (uint64_t)(rows[i].process_mib * 10 * MIB);
		churn(&r, &a, &b, false);
		CHECK(r.c.rows[0].flags == rows[i].flags);
		done(&r);
		moment_deinit(&a);
		moment_deinit(&b);
	}
}

/* The number of blocks has an upper limit where all have about one size, in a stack and in a row.
 */
static void test_sizes_that_differ(void)
{
	static const uint32_t together[STACKS] = { 0, 0, 0 };
	struct moment a, b;
	struct result r;
	const struct churn_row *row;

	moment_init(&a, 0, 512 << 10);
	moment_init(&b, 1, 512 << 10);
	count_birth(&b, 0, 100, 0, 100);
	count_birth(&b, 1, 90, 0, 50);
	count_birth(&b, 1, 110, 0, 50);
	count_birth(&b, 2, 40, 0, 50);
	count_birth(&b, 2, 4000, 0, 50);
	churn(&r, &a, &b, false);
	row = row_of(&r, 0);
	CHECK_NEAR(row->blocks.rate.value, 524338 / 100.0 * 100, 200);
	CHECK_NEAR(row->blocks.rate.range.lo / row->blocks.rate.value,
		interval_poisson_lo(100, INTERVAL_Z95) / 100, 1e-3);
	CHECK_NEAR(row->blocks.rate.range.hi / row->blocks.rate.value,
		interval_poisson_hi(100, INTERVAL_Z95) / 100, 1e-3);
	CHECK(isfinite(row_of(&r, 1)->blocks.rate.range.hi));
	CHECK(isinf(row_of(&r, 2)->blocks.rate.range.hi));
	CHECK(row_of(&r, 2)->blocks.rate.range.lo > 0);
	CHECK(isinf(row_of(&r, 2)->blocks.young.rate.range.hi));
	churn_group(&r.c, &r.p, together, 1, false);
	CHECK(r.c.n_rows == 1 && isinf(r.c.rows[0].blocks.rate.range.hi));
	done(&r);
	moment_deinit(&a);
	moment_deinit(&b);
}

static void test_every_block_sampled(void)
{
	struct moment a, b;
	struct result r;
	const struct churn_row *row;

	moment_init(&a, 0, 1);
	moment_init(&b, 2, 1);
	count_birth(&b, 0, 1000, 0, 10);
	count_death(&b, 0, 1000, 0, 1e6, 7);
	add_live(&b, 0, 1000, 1, 0, 0);
	add_live(&b, 0, 1000, 1, 0, 0);
	add_live(&b, 0, 1000, 1, 0, 0);
	b.s.info.bytes_seen = 10000;
	churn(&r, &a, &b, false);
	row = &r.c.rows[0];
	CHECK(r.c.exact && row->bytes.rate.value == 5000 && row->bytes.rate.range.lo == 5000);
	CHECK(row->blocks.rate.value == 5 && row->blocks.rate.range.hi == 5);
	CHECK_NEAR(row->bytes.young.share.value, .7, 1e-12);
	CHECK_NEAR(row->bytes.young.rate.range.lo, 3500, 1e-6);
	CHECK_NEAR(row->bytes.young.rate.range.hi, 3500, 1e-6);
	CHECK(row->flags == 0);
	done(&r);
	moment_deinit(&a);
	moment_deinit(&b);
}

/* A total that missed something is estimated; counters that fall are those of a hostile file. */
static void test_what_is_not_sound(void)
{
	struct moment a, b;
	struct result r;

	moment_init(&a, 3, 512 << 10);
	moment_init(&b, 5, 512 << 10);
	count_birth(&a, 0, 100, 0, 10);
	count_death(&a, 0, 100, 0, 100, 10);
	count_birth(&b, 1, 100, 0, 20);
	count_death(&b, 1, 100, 0, 100, 30);
	a.s.info.bytes_seen = 1 << 20;
	a.s.info.losses[HEAPSPY_LOSS_DEATHS] = 2;
	b.s.info.losses[HEAPSPY_LOSS_DEATHS] = 5;
	b.s.info.losses[HEAPSPY_LOSS_REPLACED] = 1;
	b.s.info.losses[HEAPSPY_LOSS_STATE_FULL] = 4;
	churn(&r, &a, &b, false);
	CHECK(r.c.n_rows == 1 && r.c.rows[0].group == 1 && r.c.process_rate.value == 0);
	CHECK(isnan(r.c.rows[0].bytes.share) && r.c.rows[0].bytes.young.share.value == 1);
	CHECK(r.c.n_lost_deaths == 3 && r.c.n_replaced == 1 && r.c.n_lost == 4);
	done(&r);
	b.s.info.flags = HEAPSPY_INFO_BYTES_LOWER;
	churn(&r, &a, &b, false);
	CHECK(!r.c.is_total_exact && r.c.process_rate.range.lo < r.c.process_rate.value);
	CHECK_NEAR(r.c.process_rate.value, r.c.rows[0].bytes.rate.value, 1e-6);
	done(&r);
	moment_deinit(&a);
	moment_deinit(&b);
}

/* Across a thinning, blocks that live on leave nothing behind: all is as if they were not there. */
static void test_survivors_cancel_across_levels(void)
{
	struct moment a, b;
	struct result r;
	int i, j;

	moment_init(&a, 10, 64 << 10);
	moment_init(&b, 20, 64 << 10);
	b.s.level = b.s.info.level = 3;
	for (i = 0; i < 4000; i++) {
		uint32_t u = (uint32_t)i * 2654435769u;

		add_live(&a, 0, 100, 1 + i / 1000., 0, u);
		if (sample_belongs(u, 100, 64 << 10, 512 << 10))
			add_live(&b, 0, 100, 1 + i / 1000., 0, u);
	}
	count_birth(&b, 0, 100, 3, 10);
	count_death(&b, 0, 100, 3, 1e4, 5);
	for (i = 0; i < 5; i++)
		add_live(&b, 0, 100, 19, 3, 0);
	churn(&r, &a, &b, false);
	CHECK(r.c.interval_bytes[0] == 64 << 10 && r.c.interval_bytes[1] == 512 << 10);
	CHECK(r.c.n_rows == 1);
	CHECK(r.c.rows[0].sums.after.bytes ==
		r.c.rows[0].sums.before.bytes + 5 * (double)weight_of(&b, 100, 3).bytes);
	for (j = 14; j <= LIFETIMES_BUCKETS; j++)
		CHECK_NEAR(r.c.rows[0].table.survival[j], .5, 1e-12);
	done(&r);
	moment_deinit(&a);
	moment_deinit(&b);
}

static double uniform(struct sample_rng *rng)
{
	return ((double)(sample_rng_next(rng) >> 11) + .5) * 0x1p-53;
}

#define AT_A     10.0
#define AT_B     30.0
#define BIRTHS_S 100.0
#define LONG_S   8.0
#define SHORT_S  .02

/* The levels of a run that is thinned twice between A and B. */
static uint32_t level_at(double seconds)
{
	return seconds < 14 ? 0 : seconds < 21 ? 1 : 3;
}

/* What the process allocated from A to B, and what of it died young; bytes a second. */
struct truth {
	double rate, young;
};

/*
 * A process from its start: blocks of two sizes, 60 % of which live for SHORT_S and the others for
 * LONG_S on average. Each is sampled at the level of its birth, and leaves with the level at which
 * it does not belong.
 */
static struct truth live_through(
	struct sample_rng *rng, struct moment *a, struct moment *b, bool thinned)
{
	struct truth truth = { 0 };
	double born = 0;

	for (;;) {
		uint64_t size = uniform(rng) < .7 ? 3000 : 60000, r0 = a->s.info.interval_bytes;
		uint32_t birth_level, death_level, u = (uint32_t)(sample_rng_next(rng) >> 32);
		double lifetime, died;

		born -= log(uniform(rng)) / BIRTHS_S;
		if (born > AT_B)
			return truth;
		lifetime = -log(uniform(rng)) * (uniform(rng) < .6 ? SHORT_S : LONG_S);
		died = born + lifetime;
		if (born > AT_A) {
			truth.rate += (double)size / (AT_B - AT_A);
			truth.young += lifetime < .134217728 ? (double)size / (AT_B - AT_A) : 0;
		}
		birth_level = thinned ? level_at(born) : 0;
		death_level = thinned ? level_at(died) : 0;
		if (uniform(rng) > -expm1(-(double)size / (double)(r0 << birth_level)))
			continue;
		count_birth(b, 0, size, birth_level, 1);
		if (born <= AT_A)
			count_birth(a, 0, size, birth_level, 1);
		if (died <= AT_A)
			count_death(a, 0, size, birth_level, lifetime * 1e9, 1);
		else if (born <= AT_A)
			add_live(a, 0, size, born, birth_level, u);
		if (died > AT_B && sample_belongs(u, size, r0 << birth_level, r0 << b->s.level))
			add_live(b, 0, size, born, birth_level, u);
		if (died <= AT_B && sample_belongs(u, size, r0 << birth_level, r0 << death_level))
			count_death(b, 0, size, death_level, lifetime * 1e9, 1);
	}
}

struct score {
	double n, sum, squares;
};

static void score_add(struct score *score, double error)
{
	score->n++;
	score->sum += error;
	score->squares += error * error;
}

/* Births and deaths of all levels beside the living of the last: no bias, and ranges hold. */
static void test_levels_mix_without_bias(void)
{
	static const int edges[] = { 24, 27, 30, 32, 34 };
	struct sample_rng rng;
	int thinned, run;
	size_t k;

	sample_rng_seed(&rng, 17);
	for (thinned = 0; thinned < 2; thinned++) {
		struct score rates = { 0 }, shares[N_ELEMS(edges)] = { { 0 } };
		double covered = 0, young_covered = 0;

		for (run = 0; run < 400; run++) {
			const struct churn_row *row;
			struct moment a, b;
			struct result r;
			struct truth truth;

			moment_init(&a, AT_A, 16 << 10);
			moment_init(&b, AT_B, 16 << 10);
			b.s.level = b.s.info.level = thinned ? level_at(AT_B) : 0;
			truth = live_through(&rng, &a, &b, thinned);
			churn(&r, &a, &b, false);
			row = &r.c.rows[0];
			score_add(&rates, row->bytes.rate.value / truth.rate - 1);
			covered += row->bytes.rate.range.lo <= truth.rate &&
				   truth.rate <= row->bytes.rate.range.hi;
			young_covered += row->bytes.young.rate.range.lo <= truth.young &&
					 truth.young <= row->bytes.young.rate.range.hi;
			for (k = 0; k < N_ELEMS(edges); k++) {
				double age = ldexp(1e-9, edges[k]);

				score_add(&shares[k], row->table.survival[edges[k]] -
							      .6 * exp(-age / SHORT_S) -
							      .4 * exp(-age / LONG_S));
			}
			done(&r);
			moment_deinit(&a);
			moment_deinit(&b);
		}
		printf("# %s: rate %+.4f, covered %.3f, young covered %.3f; survival",
			thinned ? "thinned twice" : "one level", rates.sum / rates.n, covered / run,
			young_covered / run);
		CHECK(fabs(rates.sum) <= 3 * sqrt(rates.squares));
		CHECK(covered >= .93 * run && young_covered >= .93 * run);
		for (k = 0; k < N_ELEMS(edges); k++) {
			printf(" %+.4f (sd %.4f)", shares[k].sum / shares[k].n,
				sqrt(shares[k].squares / shares[k].n));
			/* A ratio of estimates is off by about one part in the number of samples.
			 */
			CHECK(fabs(shares[k].sum) <= 3 * sqrt(shares[k].squares) + .003 * run);
		}
		printf("\n");
	}
}

int main(void)
{
	TAP_RUN(test_rates_and_flags);
	TAP_RUN(test_thresholds_of_flags);
	TAP_RUN(test_sizes_that_differ);
	TAP_RUN(test_every_block_sampled);
	TAP_RUN(test_what_is_not_sound);
	TAP_RUN(test_survivors_cancel_across_levels);
	TAP_RUN(test_levels_mix_without_bias);
	return tap_done();
}
