/* test_profile.c - snapshots merged into one set of tables. */
#undef NDEBUG
#include "tests/unit/tap.h"
#include "tests/unit/snapshot_fixture.h"

#include "analyzer/profile.h"

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
	CHECK(profile_frames(&p, &p.stacks[0])[0].vaddr == 0xfff);
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
	/* An exact run: ten blocks may be ten bytes off, being empty, but no more than a bit. */
	s->info.interval_bytes = 1;
	s->info.bytes_seen = s->info.bytes_seen_end = 5263390 + 10;
	CHECK(profile_self_test(s, &estimate, &difference));
	s->info.bytes_seen = s->info.bytes_seen_end = 5263390 + 10000;
	CHECK(!profile_self_test(s, &estimate, &difference));
	snapshot_free(s);
}

int main(void)
{
	TAP_RUN(test_equal_stacks_are_one);
	TAP_RUN(test_other_build_is_another_module);
	TAP_RUN(test_self_test);
	return tap_done();
}
