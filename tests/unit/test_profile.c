/* test_profile.c - snapshots merged into one set of tables. */
#undef NDEBUG
#include "tests/unit/tap.h"
#include "tests/unit/snapshot_fixture.h"

#include <math.h>

#include "analyzer/profile.h"
#include "sample_math.h"

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

static void test_equal_stacks_are_one(void)
{
	struct fixture x;
	struct snapshot *a, *b;
	struct profile p;

	fixture_init(&x, 1, 1000);
	fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
	fixture_add_stack(&x, 5, 0x401000, 3);
	fixture_add_stack(&x, 6, 0x401000, 3); /* a duplicate under another id */
	fixture_add_stack(&x, 7, 0x401000, 2);
	a = decode(&x);
	/* The same program mapped elsewhere, its stacks under other ids. */
	fixture_init(&x, 1, 1000);
	fixture_add_module(&x, 1, "/usr/bin/api", 0x7f0000000000);
	fixture_add_stack(&x, 900, 0x7f0000001000, 3);
	fixture_add_stack(&x, 901, 0x7f0000002000, 3);
	b = decode(&x);
	CHECK(a && b);
	profile_init(&p);
	CHECK(profile_add(&p, a) == 0 && profile_add(&p, b) == 1);
	CHECK(p.n_modules == 1 && p.n_stacks == 3 && p.n_moments == 2);
	CHECK(p.moments[0].stack_of[0] == p.moments[0].stack_of[1]);
	CHECK(p.moments[0].stack_of[0] != p.moments[0].stack_of[2]);
	CHECK(p.moments[1].stack_of[0] == p.moments[0].stack_of[0]);
	CHECK(p.moments[1].stack_of[1] == 2);
	/* A return address counts as the call before it, inside its module. */
	CHECK(profile_frame(&p, &p.stacks[0], 0)->vaddr == 0xfff);
	CHECK(p.n_threads == 2 && p.moments[1].thread_of[1] == p.moments[0].thread_of[1]);
	profile_deinit(&p);
	snapshot_free(a);
	snapshot_free(b);
}

static void test_other_build_is_another_module(void)
{
	struct fixture x;
	struct snapshot *a, *b;
	struct profile p;

	fixture_init(&x, 1, 1000);
	fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
	fixture_add_stack(&x, 5, 0x401000, 1);
	a = decode(&x);
	fixture_init(&x, 1, 1000);
	fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
	((struct heapspy_module *)x.bodies[HEAPSPY_SECTION_MODULES].data)->build_id[0] = 9;
	fixture_add_stack(&x, 5, 0x401000, 1);
	b = decode(&x);
	profile_init(&p);
	profile_add(&p, a);
	profile_add(&p, b);
	CHECK(p.n_modules == 2 && p.n_stacks == 2);
	profile_deinit(&p);
	snapshot_free(a);
	snapshot_free(b);
}

/* Snapshots of one process: equal ids, equal frames as recorded, and yet another place. */
static void test_an_id_alone_makes_no_equal_stacks(void)
{
	static const struct {
		const char *path;
		uint64_t bias, pc;
		uint32_t n_frames;
		bool equal;
	} rows[] = { { "/usr/bin/api", 0x400000, 0x401000, 3, true },
		{ "/usr/bin/api", 0x3f0000, 0x401000, 3, false },
		{ "/usr/bin/other", 0x400000, 0x401000, 3, false },
		{ "/usr/bin/api", 0x400000, 0x401010, 3, false },
		{ "/usr/bin/api", 0x400000, 0x401000, 2, false } };
	unsigned i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct snapshot *a, *b;
		struct fixture x;
		struct profile p;

		fixture_init(&x, 1, 1000);
		fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
		fixture_add_stack(&x, 5, 0x401000, 3);
		a = decode(&x);
		fixture_init(&x, 2, 2000);
		fixture_add_module(&x, 1, rows[i].path, rows[i].bias);
		fixture_add_stack(&x, 5, rows[i].pc, rows[i].n_frames);
		b = decode(&x);
		profile_init(&p);
		profile_add(&p, a);
		profile_add(&p, b);
		CHECK((p.moments[0].stack_of[0] == p.moments[1].stack_of[0]) == rows[i].equal);
		CHECK(p.n_stacks == (rows[i].equal ? 1 : 2));
		CHECK(p.stacks[p.moments[1].stack_of[0]].n_frames == rows[i].n_frames);
		profile_deinit(&p);
		snapshot_free(a);
		snapshot_free(b);
	}
}

static void test_any_number_of_moments(void)
{
	enum { N = 40 };
	struct snapshot *s[N];
	struct fixture x;
	struct profile p;
	uint32_t i, j;

	profile_init(&p);
	for (i = 0; i < N; i++) {
		/* Each has one stack more than the one before, and ids of its own. */
		fixture_init(&x, i + 1, 1000 * (i + 1));
		fixture_add_module(&x, 1, "/usr/bin/api", 0x400000 + 0x10000000 * i);
		for (j = 0; j <= i; j++)
			fixture_add_stack(
				&x, 500 * i + j, 0x401000 + 0x10000000 * i + 0x100 * j, 2);
		s[i] = decode(&x);
		CHECK(s[i] && profile_add(&p, s[i]) == i);
	}
	CHECK(p.n_moments == N && p.n_modules == 1 && p.n_stacks == N);
	for (i = 0; i < N; i++) {
		CHECK(p.moments[i].snapshot == s[i]);
		for (j = 0; j <= i; j++)
			CHECK(p.moments[i].stack_of[j] == j);
	}
	profile_deinit(&p);
	for (i = 0; i < N; i++)
		snapshot_free(s[i]);
}

static void test_self_test(void)
{
	struct fixture x;
	struct snapshot *s;
	double estimate, difference;

	fixture_init(&x, 1, 1000);
	fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
	fixture_add_stack(&x, 5, 0x401000, 1);
	x.info.bytes_seen = 5000000;
	x.info.bytes_seen_end = 5100000;
	s = decode(&x);
	/* Ten samples of 4096 bytes: 5263390, standard error 1657929. */
	CHECK(profile_self_test(s, &estimate, &difference));
	CHECK_NEAR(estimate, 5263390, 0);
	CHECK_NEAR(difference, 163390, 0);
	s->info.bytes_seen_end = 5263390;
	CHECK(profile_self_test(s, &estimate, &difference));
	CHECK_NEAR(difference, 0, 0);
	s->info.bytes_seen = s->info.bytes_seen_end = 5263390 + 4 * 1657000 + (8 << 19);
	CHECK(profile_self_test(s, &estimate, &difference));
	s->info.bytes_seen = s->info.bytes_seen_end = 5263390 + 4 * 1659000 + (8 << 19);
	CHECK(!profile_self_test(s, &estimate, &difference));
	/* Lost samples explain that there is too little, but not too much. */
	s->info.losses[HEAPSPY_LOSS_STATE_FULL] = 1;
	CHECK(profile_self_test(s, &estimate, &difference));
	s->info.bytes_seen = s->info.bytes_seen_end = 1;
	s->info.interval_bytes = 1;
	CHECK(!profile_self_test(s, &estimate, &difference));
	s->info.losses[HEAPSPY_LOSS_STATE_FULL] = 0;
	/* An exact run: ten blocks may be ten bytes off, being empty, but no more than a bit. */
	s->info.interval_bytes = 1;
	s->info.bytes_seen = s->info.bytes_seen_end = 5263390 + 10;
	CHECK(profile_self_test(s, &estimate, &difference));
	s->info.bytes_seen = s->info.bytes_seen_end = 5263390 + 10000;
	CHECK(!profile_self_test(s, &estimate, &difference));
	snapshot_free(s);
}

/* Allocates n_bytes by one thread's countdown from 5 stacks; drops so many of 8 samples. */
static uint64_t allocate(
	struct snapshot *s, struct sample_rng *rng, uint64_t n_bytes, unsigned dropped)
{
	static const uint64_t sizes[] = { 0, 24, 700, 16000, 300000, 3000000 };
	uint64_t interval = profile_interval_bytes(s, s->info.level), seen = 0;
	int64_t left = (int64_t)sample_gap_bytes(sample_rng_next(rng), interval);

	while (seen < n_bytes) {
		uint64_t size = sizes[sample_rng_next(rng) % 6];
		/* Small blocks come by the thousand, so that each size has its share. */
		uint64_t n = size < 1000 ? 1 + sample_rng_next(rng) % 2000 : 1;

		for (; n; n--) {
			struct snapshot_counters *c = &s->stacks[size % 5].allocated;
			struct sample_weight weight;

			seen += sample_length(size);
			left -= (int64_t)sample_length(size);
			if (left >= 0)
				continue;
			left = (int64_t)sample_gap_bytes(sample_rng_next(rng), interval);
			if (sample_rng_next(rng) % 8 < dropped)
				continue;
			weight = sample_weight(size, interval, s->info.variance_unit_log2);
			c->n++;
			c->S += size;
			c->B += weight.bytes;
			c->V += weight.variance;
			c->C += weight.count_1024;
		}
	}
	return seen;
}

/* Several threads, and an interval that is raised meanwhile: weights are those of their time. */
static bool self_test_of_a_run(uint64_t seed, unsigned dropped, double *standard_errors)
{
	struct snapshot_stack stacks[5] = { { 0 } };
	struct snapshot s = { .stacks = stacks, .n_stacks = 5 };
	double estimate, difference, variance = 0;
	struct sample_rng rng;
	bool passed;
	int i;

	sample_rng_seed(&rng, seed);
	s.info.interval_bytes = 64 << 10;
	s.info.variance_unit_log2 = sample_variance_unit_log2(64 << 10);
	for (i = 0; i < 6; i++) {
		s.info.level = (uint32_t)(seed % 3 * (unsigned)i / 3);
		s.info.bytes_seen += allocate(&s, &rng, 16 << 20, dropped);
	}
	s.info.bytes_seen_end = s.info.bytes_seen;
	passed = profile_self_test(&s, &estimate, &difference);
	for (i = 0; i < 5; i++)
		variance += ldexp((double)stacks[i].allocated.V, (int)s.info.variance_unit_log2);
	*standard_errors = difference / sqrt(variance);
	return passed;
}

static void test_self_test_holds_in_every_run(void)
{
	enum { N_RUNS = 300, N_FAULTY = 60 };
	double one, worst = 0, squares = 0;
	int run, failed = 0, found = 0;

	for (run = 0; run < N_RUNS; run++) {
		failed += !self_test_of_a_run((uint64_t)run, 0, &one);
		worst = fmax(worst, fabs(one));
		squares += one * one / N_RUNS;
	}
	/* It would be easy to pass always. */
	for (run = 0; run < N_FAULTY; run++)
		found += !self_test_of_a_run(1000 + (uint64_t)run, 4, &one);
	printf("# self test: %d of %d runs fail, the farthest %.2f standard errors off, %.2f in "
	       "the "
	       "mean square; with half of the samples lost, %d of %d\n",
		failed, N_RUNS, worst, sqrt(squares), found, N_FAULTY);
	CHECK(failed == 0);
	CHECK_NEAR(sqrt(squares), 1, .15);
	CHECK(found == N_FAULTY);
}

int main(void)
{
	TAP_RUN(test_equal_stacks_are_one);
	TAP_RUN(test_other_build_is_another_module);
	TAP_RUN(test_an_id_alone_makes_no_equal_stacks);
	TAP_RUN(test_any_number_of_moments);
	TAP_RUN(test_self_test);
	TAP_RUN(test_self_test_holds_in_every_run);
	return tap_done();
}
