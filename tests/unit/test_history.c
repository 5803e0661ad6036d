/*
 * test_history.c - runs on disk: which snapshots become cuts, what is summed over them, and what
 * is said of files that are damaged, of another process, or lacking.
 */
#undef NDEBUG
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/history.h"
#include "analyzer/sites.h"
#include "sample_math.h"
#include "tests/unit/snapshot_fixture.h"
#include "tests/unit/tap.h"

#define NS_PER_S       1000000000ull
#define STEP_NS        (30 * NS_PER_S)
#define N_STACKS       3
#define HOSTILE_ROUNDS 200
#define LEAK_BYTES     526339 /* what a sample of 4096 bytes stands for at 512 KiB */

static char place[256];
static unsigned n_places;

/* How the snapshots of a run differ from those of a healthy one. */
struct shape {
	unsigned n; /* snapshots, numbered from 1 */
	uint32_t (*reason)(unsigned number);
	uint64_t (*cut_ns)(unsigned number);
	uint64_t (*start_id)(unsigned number);
	unsigned level_from;    /* from this number on the interval is doubled; 0: never */
	bool keeps_at_exit;     /* else nearly all is freed */
	uint32_t unknown_stack; /* id of a sample that no snapshot has in its stacks; 0: none */
};

static uint64_t even_ns(unsigned number)
{
	return number * STEP_NS;
}

/*
 * Stack 1 leaks one block a snapshot, stack 2 keeps ten from the start, stack 3 has a young one.
 */
static void add_blocks(struct fixture *x, const struct shape *shape, unsigned number)
{
	uint64_t (*cut_ns)(unsigned) = shape->cut_ns ? shape->cut_ns : even_ns;
	unsigned i, level = shape->level_from && number >= shape->level_from;
	struct heapspy_sample sample;

	for (i = 1; i <= number; i++) {
		sample = fixture_sample(0x10000 + 16 * i, 4096, cut_ns(i) - 1, 1, i << 20);
		sample.birth_level |= (uint64_t)level << 60;
		fixture_add_sample(x, &sample);
	}
	for (i = 1; i <= 10; i++) {
		sample = fixture_sample(0x20000 + 16 * i, 4096, 1000 + i, 2, i << 20);
		sample.birth_level |= (uint64_t)level << 60;
		fixture_add_sample(x, &sample);
	}
	sample = fixture_sample(0x30000 + 16 * number, 4096, cut_ns(number) - 1, 3, 1 << 20);
	sample.birth_level |= (uint64_t)level << 60;
	fixture_add_sample(x, &sample);
	x->info.level = level;
}

static void file_name(unsigned number, char path[320])
{
	snprintf(path, 320, "%s/%06u.hspy", place, number);
}

static void write_bytes(unsigned number, const void *data, size_t bytes)
{
	char path[320];
	FILE *out;

	file_name(number, path);
	out = fopen(path, "wb");
	if (!out || fwrite(data, 1, bytes, out) != bytes || fclose(out))
		printf("Bail out! cannot write %s\n", path);
}

static void write_snapshot(const struct shape *shape, unsigned number)
{
	struct fixture_bytes file;
	struct fixture x;
	unsigned i;

	fixture_init(&x, number, shape->cut_ns ? shape->cut_ns(number) : even_ns(number));
	if (shape->reason)
		x.info.reason = shape->reason(number);
	if (shape->start_id)
		x.info.start_id = shape->start_id(number);
	x.info.live_bytes = 1000 + number;
	if (x.info.reason == HEAPSPY_REASON_EXIT && !shape->keeps_at_exit)
		x.info.live_bytes = 10;
	x.info.bytes_seen = x.info.bytes_seen_end = number * 100000000ull;
	fixture_add_module(&x, 1, "/nowhere/api", 0x400000);
	/* The table grows: the young stack is there from the third on, in another place. */
	for (i = N_STACKS; i >= 1; i--)
		if (i < 3 || number >= 3)
			fixture_add_stack(&x, i, 0x401000 + 0x100 * i, 2 + i);
	add_blocks(&x, shape, number);
	if (number < 3)
		x.bodies[HEAPSPY_SECTION_LIVE].bytes -= sizeof(struct heapspy_sample);
	file = fixture_build(&x, 0);
	write_bytes(number, file.data, file.bytes);
	free(file.data);
	fixture_deinit(&x);
}

static void make_run(const struct shape *shape)
{
	unsigned number;

	snprintf(
		place, sizeof(place), "/tmp/heapspy-test-history-%d-%u", (int)getpid(), n_places++);
	mkdir(place, 0700);
	for (number = 1; number <= shape->n; number++)
		write_snapshot(shape, number);
}

static void remove_run(unsigned n)
{
	char path[320];

	for (; n; n--) {
		file_name(n, path);
		unlink(path);
	}
	rmdir(place);
}

/* Everything that the command has open. */
struct work {
	struct run_dir run;
	struct history history;
	struct snapshot *last;
	struct profile profile;
	struct history_sites sites;
	struct trend_result *results;
	struct fail fail;
	unsigned n_progress;
};

static void count_progress(void *user, size_t n, size_t n_all)
{
	struct work *w = user;

	CHECK(n <= n_all);
	w->n_progress++;
}

static int choose(struct work *w, const struct history_window *window)
{
	memset(w, 0, sizeof(*w));
	profile_init(&w->profile);
	if (run_dir_read(place, &w->run, &w->fail) < 0)
		return -1;
	return history_choose(&w->history, &w->run, window, &w->fail);
}

static int sum(struct work *w)
{
	if (history_open_last(&w->history, &w->last, &w->fail) < 0)
		return -1;
	profile_add(&w->profile, w->last);
	return history_sum(&w->history, &w->profile, count_progress, w, &w->fail);
}

/* Each stack a site. */
static void judge(struct work *w)
{
	const struct trend_judging judging = { TREND_DISCOVERY_RATE, 0 };
	size_t i, n = w->profile.n_stacks;
	uint32_t *group_of = alloc_array(n, sizeof(*group_of));

	for (i = 0; i < n; i++)
		group_of[i] = (uint32_t)i;
	history_group(&w->history, group_of, n, &w->sites);
	w->results = alloc_array(w->sites.n_sites, sizeof(*w->results));
	trend_judge(&w->history.run, w->sites.structures, w->sites.n_sites, &judging, w->results);
	free(group_of);
}

static void close_work(struct work *w)
{
	free(w->results);
	history_sites_deinit(&w->sites);
	profile_deinit(&w->profile);
	snapshot_free(w->last);
	history_deinit(&w->history);
	run_dir_deinit(&w->run);
}

/* The site of the stack with this id; n_sites: none. */
static size_t site_of(const struct work *w, uint32_t id)
{
	size_t i, k;

	for (i = 0; i < w->last->n_stacks; i++)
		for (k = 0; w->last->stacks[i].id == id && k < w->sites.n_sites; k++)
			if (w->sites.groups[k] == w->profile.moments[0].stack_of[i])
				return k;
	return w->sites.n_sites;
}

static const struct age_structure *structure_of(const struct work *w, uint32_t id)
{
	return &w->sites.structures[site_of(w, id)];
}

static const struct trend_result *result_of(const struct work *w, uint32_t id)
{
	return &w->results[site_of(w, id)];
}

static void check_leak(const struct work *w)
{
	const struct trend_result *leak = result_of(w, 1);

	CHECK(leak->verdict == TREND_LEAK);
	CHECK(result_of(w, 2)->verdict == TREND_STEADY);
	CHECK_NEAR(leak->rate, LEAK_BYTES / 30., 1);
}

static void test_healthy_run(void)
{
	const struct shape shape = { .n = 26 };
	const struct trend_result *leak, *young;
	struct work w;
	size_t k;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.n_cuts == 26 && !w.history.is_short && !w.history.exit_left_out);
	CHECK(sum(&w) == 0);
	CHECK(w.n_progress == 27 && w.history.unknown_samples == 0);
	judge(&w);
	CHECK(w.sites.n_sites == 3);
	check_leak(&w);
	leak = result_of(&w, 1);
	young = result_of(&w, 3);
	for (k = 0; k < 26; k++) {
		CHECK(leak->live_bytes[k] == (double)(k + 1) * LEAK_BYTES);
		CHECK(young->live_bytes[k] == (k < 2 ? 0 : LEAK_BYTES));
	}
	CHECK(leak->samples == 26 && leak->old_samples > 0 && leak->old_died == 0);
	CHECK(leak->load == 1);
	CHECK(young->samples == 24 && !young->tested);
	CHECK(w.history.run.interval_bytes == 512 << 10);
	CHECK(w.history.run.seen_bytes[0] == 1e8 && w.history.run.seen_bytes[2] == 24e8);
	/* Only two stacks are there at first. */
	CHECK(structure_of(&w, 1)->allocated_bytes[0] == 10 * 526339.);
	CHECK(structure_of(&w, 3)->allocated_bytes[0] == 0);
	CHECK(structure_of(&w, 3)->allocated_bytes[2] == 10 * 526339.);
	CHECK(history_mean_bytes(&w.history, w.sites.groups[0]) > 0);
	close_work(&w);
	remove_run(shape.n);
}

static void test_groups(void)
{
	const struct shape shape = { .n = 26 };
	struct work w;
	uint32_t group_of[N_STACKS];
	size_t i, last = 25;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0 && sum(&w) == 0);
	/* Two stacks to one site, the third filtered out. */
	for (i = 0; i < N_STACKS; i++)
		group_of[w.profile.moments[0].stack_of[i]] =
			w.last->stacks[i].id < 3 ? 7 : SITES_NO_GROUP;
	history_group(&w.history, group_of, 8, &w.sites);
	CHECK(w.sites.n_sites == 1 && w.sites.groups[0] == 7);
	CHECK(w.sites.structures[0].samples == 36);
	CHECK(w.sites.structures[0].live_bytes[last] == 36. * LEAK_BYTES);
	/* One cell an epoch; the first holds the ten that are old and the block of the first. */
	CHECK(w.sites.structures[0].n_cells == 26);
	CHECK(w.sites.structures[0].cells[0].epoch == 0);
	CHECK(w.sites.structures[0].cells[0].samples == 11);
	CHECK(w.sites.structures[0].cells[25].epoch == 25);
	close_work(&w);
	remove_run(shape.n);
}

static uint32_t some_labels(unsigned number)
{
	if (number == 26)
		return HEAPSPY_REASON_EXIT;
	if (number == 5)
		return HEAPSPY_REASON_REQUEST;
	if (number == 9)
		return HEAPSPY_REASON_PEAK;
	if (number == 10)
		return HEAPSPY_REASON_LIMIT;
	return number % 8 == 7 ? HEAPSPY_REASON_LABEL : HEAPSPY_REASON_INTERVAL;
}

static void test_reasons(void)
{
	const struct shape shape = { .n = 26, .reason = some_labels };
	struct work w;
	size_t i;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	/* Without the labels 7, 15, 23, peak, limit, and what was left at the exit. */
	CHECK(w.history.n_cuts == 20 && w.history.n_between == 5 && !w.history.uses_labels);
	CHECK(w.history.exit_left_out);
	for (i = 0; i < w.history.n_cuts; i++)
		CHECK(w.history.cuts[i]->info.reason == HEAPSPY_REASON_INTERVAL ||
			w.history.cuts[i]->info.reason == HEAPSPY_REASON_REQUEST);
	CHECK(sum(&w) == 0);
	judge(&w);
	check_leak(&w);
	close_work(&w);
	remove_run(shape.n);
}

static uint32_t exit_at_12(unsigned number)
{
	return number == 12 ? HEAPSPY_REASON_EXIT : HEAPSPY_REASON_INTERVAL;
}

static uint32_t exit_at_9(unsigned number)
{
	return number == 9 ? HEAPSPY_REASON_EXIT : HEAPSPY_REASON_INTERVAL;
}

/* With enough others it is no cut, whatever it kept; else only if it freed nothing. */
static void test_exit(void)
{
	const struct {
		struct shape shape;
		size_t n_cuts;
		bool is_short, is_freed;
	} cases[] = {
		{ { .n = 12, .reason = exit_at_12, .keeps_at_exit = true }, 11, false, false },
		{ { .n = 12, .reason = exit_at_12 }, 11, false, true },
		{ { .n = 9, .reason = exit_at_9, .keeps_at_exit = true }, 9, false, false },
		{ { .n = 9, .reason = exit_at_9 }, 8, true, true },
	};
	struct work w;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_run(&cases[i].shape);
		CHECK(choose(&w, NULL) == 0);
		CHECK(w.history.n_cuts == cases[i].n_cuts);
		CHECK(w.history.is_short == cases[i].is_short);
		CHECK((w.history.exit_freed > .9) == cases[i].is_freed);
		CHECK(w.history.exit_left_out == (cases[i].n_cuts < cases[i].shape.n));
		close_work(&w);
		remove_run(cases[i].shape.n);
	}
}

/* Files numbered against their times, as a copy of a run may be. */
static uint64_t backwards(unsigned number)
{
	return (27 - number) * STEP_NS;
}

static void test_numbers_against_time(void)
{
	const struct shape shape = { .n = 26, .cut_ns = backwards };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.n_cuts == 26 && w.history.n_dense == 0 && !w.history.is_short);
	CHECK(w.history.cuts[0]->number == 26 && w.history.cuts[25]->number == 1);
	CHECK(w.history.cut_ns[0] == STEP_NS && w.history.cut_ns[25] == 26 * STEP_NS);
	close_work(&w);
	remove_run(shape.n);
}

static uint32_t mostly_labels(unsigned number)
{
	return number % 4 ? HEAPSPY_REASON_LABEL : HEAPSPY_REASON_INTERVAL;
}

static uint32_t only_peaks(unsigned number)
{
	(void)number;
	return HEAPSPY_REASON_PEAK;
}

static void test_few_but_labels(void)
{
	const struct shape shape = { .n = 26, .reason = mostly_labels };
	const struct shape peaks = { .n = 3, .reason = only_peaks };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.uses_labels && w.history.n_cuts == 26 && w.history.n_between == 0);
	close_work(&w);
	remove_run(shape.n);
	make_run(&peaks);
	CHECK(choose(&w, NULL) < 0 && strstr(w.fail.text, "no snapshot at a regular time"));
	close_work(&w);
	remove_run(peaks.n);
}

static void test_short_run(void)
{
	const struct shape shape = { .n = 8 };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0 && w.history.is_short && w.history.n_cuts == 8);
	CHECK(sum(&w) == 0 && w.n_progress == 0);
	CHECK(!history_was_live(&w.history, 0));
	close_work(&w);
	remove_run(shape.n);
}

static void test_window(void)
{
	const struct shape shape = { .n = 26 };
	struct history_window window = { 5 * STEP_NS, 20 * STEP_NS };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, &window) == 0);
	CHECK(w.history.n_cuts == 16 && w.history.n_outside == 10);
	CHECK(w.history.cut_ns[0] == 5 * STEP_NS && w.history.cut_ns[15] == 20 * STEP_NS);
	CHECK(sum(&w) == 0);
	judge(&w);
	check_leak(&w);
	/* What was born before the window is there at its start. */
	CHECK(result_of(&w, 1)->first_bytes == 5. * LEAK_BYTES);
	close_work(&w);
	window.from_ns = 1000 * STEP_NS;
	window.to_ns = UINT64_MAX;
	CHECK(choose(&w, &window) < 0 && strstr(w.fail.text, "time asked for"));
	close_work(&w);
	remove_run(shape.n);
}

static uint64_t restarted(unsigned number)
{
	return number < 4 ? 1 : number < 6 ? 2 : 3;
}

static void test_other_processes(void)
{
	const struct shape shape = { .n = 26, .start_id = restarted };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.n_other_processes == 2 && w.history.n_of_others == 5);
	CHECK(w.history.n_cuts == 21 && w.history.cuts[0]->number == 6);
	close_work(&w);
	remove_run(shape.n);
}

/* 900 snapshots, and a burst of requests among them. */
static uint64_t with_burst(unsigned number)
{
	if (number <= 450)
		return number * STEP_NS;
	if (number <= 550)
		return 450 * STEP_NS + (number - 450) * (STEP_NS / 200);
	return (number - 100) * STEP_NS;
}

static void test_many_snapshots(void)
{
	const struct shape shape = { .n = 900, .cut_ns = with_burst };
	struct work w;
	size_t i;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.n_cuts > 250 && w.history.n_cuts <= HISTORY_CUTS_MAX);
	CHECK(w.history.n_cuts + w.history.n_dense == 900 && w.history.n_thinned == 900);
	CHECK(w.history.cuts[w.history.n_cuts - 1]->number == 900);
	for (i = 1; i < w.history.n_cuts; i++)
		CHECK_NEAR((double)(w.history.cut_ns[i] - w.history.cut_ns[i - 1]) / 3e10, 3, 1.01);
	CHECK(w.history.run.plan.n_gaps == 0);
	close_work(&w);
	remove_run(shape.n);
}

static uint64_t with_gap(unsigned number)
{
	return (number + (number > 14 ? 20 : 0)) * STEP_NS;
}

static void test_gap_is_told(void)
{
	const struct shape shape = { .n = 40, .cut_ns = with_gap };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0 && sum(&w) == 0);
	judge(&w);
	CHECK(w.history.run.plan.n_gaps == 1);
	CHECK_NEAR(w.history.run.plan.largest_gap_seconds, 21 * 30, 1e-9);
	CHECK(result_of(&w, 1)->verdict == TREND_LEAK);
	close_work(&w);
	remove_run(shape.n);
}

static uint64_t with_long_gap(unsigned number)
{
	return (number + (number > 14 ? 200 : 0)) * STEP_NS;
}

static void test_gap_of_half_the_time(void)
{
	const struct shape shape = { .n = 20, .cut_ns = with_long_gap };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.n_cuts == 20 && w.history.is_lopsided && w.history.is_short);
	CHECK(sum(&w) == 0 && w.n_progress == 0);
	close_work(&w);
	remove_run(shape.n);
}

/* Half of what was sampled before the doubling does not belong to the larger interval. */
static void test_thinned_inside(void)
{
	const struct shape shape = { .n = 26, .level_from = 20 };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0 && sum(&w) == 0);
	judge(&w);
	CHECK(w.history.first_level == 0 && w.history.level == 1);
	CHECK(w.history.run.interval_bytes == 1 << 20);
	/* All have small u: they stay, at twice the weight, in the first snapshot, too. */
	CHECK_NEAR(result_of(&w, 2)->first_bytes, 10. * ((1 << 20) + 2048), 20);
	CHECK(result_of(&w, 2)->all.growth.bytes == 0 && !result_of(&w, 2)->moved);
	close_work(&w);
	remove_run(shape.n);
}

static void damage(unsigned number, size_t at_from_end)
{
	struct fixture_bytes file = { 0 };
	uint8_t buffer[65536];
	char path[320];
	FILE *in;

	file_name(number, path);
	in = fopen(path, "rb");
	file.bytes = fread(buffer, 1, sizeof(buffer), in);
	fclose(in);
	if (at_from_end)
		buffer[file.bytes - at_from_end] ^= 1;
	write_bytes(number, buffer, at_from_end ? file.bytes : file.bytes / 2);
}

static void test_damaged(void)
{
	const struct shape shape = { .n = 26 };
	struct work w;

	make_run(&shape);
	/* Its last samples, those of the last snapshot, and one cut in half. */
	damage(12, 20);
	damage(13, 20);
	damage(26, 20);
	damage(5, 0);
	CHECK(choose(&w, NULL) == 0);
	CHECK(w.history.n_unreadable == 1 && w.history.n_cuts == 25);
	CHECK(sum(&w) == 0);
	CHECK(w.history.n_unreadable == 4 && w.history.n_cuts == 22);
	CHECK(strstr(w.history.first_failure.text, "000005.hspy"));
	CHECK(w.last->info.number == 25);
	judge(&w);
	CHECK(result_of(&w, 1)->verdict == TREND_LEAK);
	CHECK(result_of(&w, 1)->samples == 25);
	close_work(&w);
	remove_run(shape.n);
}

static void test_so_damaged_that_it_is_short(void)
{
	const struct shape shape = { .n = 12 };
	unsigned number;
	struct work w;

	make_run(&shape);
	for (number = 2; number <= 8; number++)
		damage(number, 20);
	CHECK(choose(&w, NULL) == 0 && !w.history.is_short);
	CHECK(sum(&w) == 0);
	CHECK(w.history.is_short && w.history.n_cuts == 5 && w.history.n_unreadable == 7);
	close_work(&w);
	remove_run(shape.n);
}

static void test_changed_while_reading(void)
{
	const struct shape shape = { .n = 20 };
	char path[320];
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	file_name(7, path);
	unlink(path);
	write_snapshot(&(struct shape){ .n = 20, .start_id = restarted }, 8);
	CHECK(sum(&w) == 0);
	CHECK(w.history.n_unreadable == 2 && w.history.n_cuts == 18);
	CHECK(strstr(w.history.first_failure.text, "000007.hspy"));
	close_work(&w);
	remove_run(shape.n);
}

static void test_nothing_readable(void)
{
	const struct shape shape = { .n = 2 };
	struct work w;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	damage(1, 20);
	damage(2, 20);
	CHECK(sum(&w) < 0 && strstr(w.fail.text, "000001.hspy"));
	close_work(&w);
	remove_run(shape.n);
}

/* The last snapshot lacks a stack that one before has: its samples are a site of their own. */
static void test_unknown_stack(void)
{
	const struct shape shape = { .n = 26 };
	struct work w;
	size_t i;

	make_run(&shape);
	CHECK(choose(&w, NULL) == 0);
	CHECK(history_open_last(&w.history, &w.last, &w.fail) == 0);
	/* As if ids had been given anew. */
	for (i = 0; i < w.last->n_stacks; i++)
		if (w.last->stacks[i].id == 1)
			w.last->stacks[i].id = 77;
	profile_add(&w.profile, w.last);
	CHECK(history_sum(&w.history, &w.profile, NULL, NULL, &w.fail) == 0);
	CHECK(w.history.unknown_samples == 25 * 26 / 2);
	judge(&w);
	CHECK(w.sites.n_sites == 4 && w.sites.groups[3] == HISTORY_UNKNOWN_GROUP);
	CHECK(w.sites.structures[3].live_bytes[24] == 25. * LEAK_BYTES);
	CHECK(w.sites.structures[3].live_bytes[25] == 0);
	close_work(&w);
	remove_run(shape.n);
}

/* ---- hostile files ---- */

static void check_figures(const struct trend_result *r)
{
	const struct trend_growth *tests[] = { &r->late, &r->whole, &r->all, &r->shrink };
	size_t i;

	CHECK(r->verdict < TREND_N_VERDICTS);
	CHECK(r->rate_range.lo <= r->rate && r->rate <= r->rate_range.hi);
	CHECK(r->share >= 0 && r->share <= 1 && r->retire > 0 && r->retire < 1);
	CHECK(r->rho == r->rho && r->load >= 0 && r->slowed_by >= 0 && r->slowed_by <= 1);
	CHECK(r->min_bytes <= r->max_bytes && r->first_bytes >= 0 && r->last_variance >= 0);
	CHECK(!r->has_level || (r->level_bytes >= 0 && r->level_range.lo <= r->level_bytes));
	for (i = 0; i < 4; i++) {
		CHECK(tests[i]->p >= 0 && tests[i]->p <= 1);
		CHECK(tests[i]->growth.range.lo <= tests[i]->growth.range.hi);
	}
}

/* Writes a few random words over a snapshot and sets its checksums right again. */
static void mutate(unsigned number, struct sample_rng *rng)
{
	static const uint64_t words[] = { 0, 1, 2, 15, 255, 1ull << 20, 1ull << 40, 1ull << 52,
		1ull << 56, 3ull << 60, UINT32_MAX, INT64_MAX, UINT64_MAX };
	uint8_t buffer[65536];
	char path[320];
	size_t bytes, at;
	FILE *in;
	int n;

	file_name(number, path);
	in = fopen(path, "rb");
	bytes = fread(buffer, 1, sizeof(buffer), in);
	fclose(in);
	for (n = 1 + (int)(sample_rng_next(rng) % 4); n > 0; n--) {
		uint64_t word = words[sample_rng_next(rng) % (sizeof(words) / sizeof(words[0]))];

		/* Not the table of sections, which damage of every kind is tried on elsewhere. */
		at = 256 + sample_rng_next(rng) % (bytes / 8 - 32) * 8;
		memcpy(buffer + at, &word, sizeof(word));
	}
	fixture_seal(buffer, bytes);
	write_bytes(number, buffer, bytes);
}

static void test_hostile_runs(void)
{
	const struct shape shape = { .n = 12 };
	unsigned round, n_judged = 0, numbers[3];
	struct sample_rng rng;
	struct work w;
	size_t i;

	sample_rng_seed(&rng, 99);
	make_run(&shape);
	for (round = 0; round < HOSTILE_ROUNDS; round++) {
		for (i = 0; i < 3; i++) {
			numbers[i] = 1 + (unsigned)(sample_rng_next(&rng) % shape.n);
			mutate(numbers[i], &rng);
		}
		if (choose(&w, NULL) == 0 && sum(&w) == 0 && !w.history.is_short) {
			judge(&w);
			n_judged++;
			for (i = 0; i < w.sites.n_sites; i++)
				check_figures(&w.results[i]);
		}
		close_work(&w);
		for (i = 0; i < 3; i++)
			write_snapshot(&shape, numbers[i]);
	}
	/* Most are taken, or nothing would be tried. */
	CHECK(n_judged > HOSTILE_ROUNDS / 2);
	printf("# %u of %d runs judged\n", n_judged, HOSTILE_ROUNDS);
	remove_run(shape.n);
}

int main(void)
{
	TAP_RUN(test_healthy_run);
	TAP_RUN(test_groups);
	TAP_RUN(test_reasons);
	TAP_RUN(test_exit);
	TAP_RUN(test_numbers_against_time);
	TAP_RUN(test_few_but_labels);
	TAP_RUN(test_short_run);
	TAP_RUN(test_window);
	TAP_RUN(test_other_processes);
	TAP_RUN(test_many_snapshots);
	TAP_RUN(test_gap_is_told);
	TAP_RUN(test_gap_of_half_the_time);
	TAP_RUN(test_thinned_inside);
	TAP_RUN(test_damaged);
	TAP_RUN(test_so_damaged_that_it_is_short);
	TAP_RUN(test_changed_while_reading);
	TAP_RUN(test_nothing_readable);
	TAP_RUN(test_unknown_stack);
	TAP_RUN(test_hostile_runs);
	return tap_done();
}
