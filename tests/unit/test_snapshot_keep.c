/*
 * state/snapshot_keep.h: what is left of years, counted in numbers alone; and what happens to
 * files, ours and others.
 */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include "preload/state/snapshot_keep.h"
#include "tests/unit/snapshot_fixture.h"
#include "tests/unit/tap.h"

#define YEAR      525600 /* snapshots, at 60 s */
#define YEARS     10
#define OURS      0xc0ffee
#define SOMEBODYS 0xbad

static bool is_there[YEARS * YEAR + 1];

static void test_names(void)
{
	static const struct {
		uint32_t number;
		const char *name;
	} names[] = { { 1, "000001.hspy" }, { 999999, "999999.hspy" }, { 1000000, "1000000.hspy" },
		{ SNAPSHOT_KEEP_NUMBER_MAX, "2147483647.hspy" } };
	char name[SNAPSHOT_KEEP_NAME_BYTES];
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snapshot_keep_name(names[i].number, name);
		CHECK(!strcmp(name, names[i].name));
	}
}

/*
 * The gaps between what is there: never larger than the gap_max-th part of the age; nothing is
 * missing among the dense newest. The first one stays aside.
 */
static void check_spacing(uint32_t last, double gap_max, uint32_t dense)
{
	uint32_t number, newer = last, worst_age = 0, worst_gap = 0;
	double worst = 0;

	for (number = last; number > 1; number--) {
		uint32_t age = last - number, gap = newer - number;

		if (!is_there[number])
			continue;
		CHECK(gap <= 1 || age > dense);
		if (gap > 1 && (double)gap / age > worst) {
			worst = (double)gap / age;
			worst_age = age;
			worst_gap = gap;
		}
		newer = number;
	}
	printf("# after %u: at most a gap of %u at the age %u, 1/%.1f\n", last, worst_gap,
		worst_age, 1 / worst);
	CHECK(worst <= gap_max);
	CHECK(newer - 1 <= gap_max * last); /* the oldest but the first */
}

/* One snapshot after the other, n_max of them kept; all are of one size. */
static void live_through(uint32_t n_max)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number, n = 0, level, steps = 0, most_steps = 0;
	uint64_t all_steps = 0;
	double per_doubling = 0;

	memset(is_there, 0, sizeof(is_there));
	for (level = 0; level < SNAPSHOT_KEEP_LEVELS; level++)
		keep.oldest[level] = 1u << level;
	for (number = 1; number <= YEARS * YEAR; number++) {
		for (steps = 0; n >= n_max; steps++) {
			uint32_t next = snapshot_keep_next(&keep);

			if (!next || next >= number || !is_there[next])
				break;
			if (next != 1) {
				is_there[next] = false;
				n--;
			}
			snapshot_keep_pass(&keep, next);
		}
		CHECK(n < n_max);
		all_steps += steps;
		most_steps = steps > most_steps ? steps : most_steps;
		is_there[number] = true;
		keep.last = number;
		n++;
		/* So many for each doubling of the age, were they evenly spread over them. */
		per_doubling = n_max / (1 + log2((double)number / n_max + 1));
		if (number == 1440 || number == 10080 || number == YEAR || number == YEARS * YEAR)
			check_spacing(number, 2 / per_doubling, (uint32_t)per_doubling / 2);
	}
	CHECK(is_there[1] && is_there[YEARS * YEAR]);
	CHECK(all_steps <= YEARS * YEAR + 1 && most_steps <= 2);
	printf("# %u kept: %.1f a doubling of the age after %d years\n", n_max, per_doubling,
		YEARS);
}

static void test_years_are_thinned_by_their_age(void)
{
	live_through(32);
	live_through(200);
	live_through(1500);
}

static char dir[] = "/tmp/test_snapshot_keep.XXXXXX";
static uint8_t work[SNAPSHOT_KEEP_WORK_BYTES] __attribute__((aligned(8)));

static void path_of(const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", dir, name);
}

static void number_path(uint32_t number, char out[256])
{
	char name[SNAPSHOT_KEEP_NAME_BYTES];

	snapshot_keep_name(number, name);
	path_of(name, out);
}

static bool there(uint32_t number)
{
	struct stat st;
	char path[256];

	number_path(number, path);
	return !lstat(path, &st);
}

/* What a snapshot is; the rest is one of 8 KiB on time. */
struct made {
	uint64_t start_id, live_bytes;
	uint32_t number, reason;
	const char *label;
	size_t padding_bytes;
};

static uint64_t make(struct made made)
{
	struct fixture x;
	struct fixture_bytes file;
	uint8_t zeros[8192] = { 0 };
	char path[256];
	size_t i;
	int fd;

	fixture_init(&x, made.number, 1000);
	x.info.start_id = made.start_id ? made.start_id : OURS;
	x.info.reason = made.reason ? made.reason : HEAPSPY_REASON_INTERVAL;
	x.info.live_bytes = made.live_bytes;
	if (made.label)
		x.info.label = fixture_add_string(&x, made.label);
	for (i = 0; i < 1 + made.padding_bytes / sizeof(zeros); i++)
		fixture_add(&x.bodies[HEAPSPY_SECTION_TICKS], zeros, sizeof(zeros));
	file = fixture_build(&x, 0);
	number_path(made.number, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, file.data, file.bytes) != (ssize_t)file.bytes)
		CHECK(!"can be written");
	close(fd);
	free(file.data);
	fixture_deinit(&x);
	return file.bytes;
}

/* As snapshot_file_write() does it. */
static void write_one(struct snapshot_keep *keep, uint64_t budget_bytes, struct made made)
{
	struct snapshot_keep_place place = { dir, OURS, budget_bytes, work };
	struct made elsewhere = made;
	uint64_t bytes;
	char path[256];

	snapshot_keep_begin(keep, &place);
	if (!made.number)
		made.number = keep->last + 1;
	/* Its size, before it has its place. */
	elsewhere.number = SNAPSHOT_KEEP_NUMBER_MAX;
	bytes = make(elsewhere);
	number_path(SNAPSHOT_KEEP_NUMBER_MAX, path);
	unlink(path);
	snapshot_keep_make_room(keep, &place, bytes);
	make(made);
	snapshot_keep_add(keep, &place, made.number);
}

static uint64_t bytes_there(unsigned *np)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct stat st;
	uint64_t bytes = 0;

	*np = 0;
	while ((entry = readdir(d)))
		if (strstr(entry->d_name, ".hspy") &&
			!fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
			S_ISREG(st.st_mode)) {
			bytes += (uint64_t)st.st_size;
			++*np;
		}
	closedir(d);
	return bytes;
}

static void tidy_up(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while ((entry = readdir(d)))
		if (unlinkat(dirfd(d), entry->d_name, 0) && entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
	closedir(d);
}

static void test_the_budget_holds_and_the_marked_stay(void)
{
	struct snapshot_keep keep = { 0 };
	uint64_t budget_bytes = 512 << 10;
	uint32_t number;
	unsigned n;

	for (number = 1; number <= 2000; number++) {
		struct made made = { .live_bytes = number % 700 };

		if (number == 500)
			made.reason = HEAPSPY_REASON_LIMIT;
		if (number == 701)
			made.live_bytes = 5000, made.reason = HEAPSPY_REASON_PEAK;
		if (number == 900)
			made.label = "before", made.reason = HEAPSPY_REASON_REQUEST;
		if (number == 1301)
			made.reason = HEAPSPY_REASON_EXIT;
		/* A writer that begins anew knows the same by a look at the directory. */
		if (number % 300 == 0)
			memset(&keep, 0, sizeof(keep));
		write_one(&keep, budget_bytes, made);
		CHECK(keep.total_bytes <= budget_bytes);
		CHECK(number % 9 || keep.total_bytes == bytes_there(&n));
	}
	CHECK(keep.total_bytes == bytes_there(&n));
	CHECK(n >= 50 && n < 64);
	CHECK(keep.last == 2000 && keep.fullest == 701 && keep.first == 1);
	CHECK(there(1) && there(500) && there(701) && there(900) && there(1301));
	CHECK(there(2000) && there(1999) && there(1998) && there(1997));
	tidy_up();
}

static void test_what_was_removed_is_counted_over_a_restart(void)
{
	struct snapshot_keep keep = { 0 };
	struct snapshot_keep_place place = { dir, OURS, 100 << 10, work };
	unsigned n, i;

	for (i = 0; i < 100; i++)
		write_one(&keep, place.budget_bytes, (struct made){ 0 });
	bytes_there(&n);
	CHECK(keep.n_pruned == 100 - n);
	tidy_up();
}

/* The fullest of a heap that grows is always the last: those before are like any other. */
static void test_a_growing_heap(void)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number;
	unsigned n;

	for (number = 1; number <= 1000; number++)
		write_one(&keep, 256 << 10, (struct made){ .live_bytes = number });
	CHECK(bytes_there(&n) <= 256 << 10);
	CHECK(n > 20 && there(1) && there(1000) && keep.fullest == 1000);
	tidy_up();
}

/* It stood for a while, was passed by, and is no more: it goes at the next occasion. */
static void test_a_fullest_that_is_outdone_goes(void)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number;

	for (number = 1; number <= 400; number++)
		write_one(&keep, 256 << 10, (struct made){ .live_bytes = number == 51 ? 9 : 1 });
	CHECK(there(51) && !there(49) && !there(53));
	write_one(&keep, 256 << 10, (struct made){ .live_bytes = 10 });
	CHECK(there(51));
	write_one(&keep, 256 << 10, (struct made){ .live_bytes = 1 });
	CHECK(!there(51) && there(401));
	tidy_up();
}

/* Labels without end: half of the budget is theirs, and the newest of them are there. */
static void test_labels_take_half_at_most(void)
{
	struct snapshot_keep keep = { 0 };
	uint64_t budget_bytes = 512 << 10;
	uint32_t number, n_even = 0;
	unsigned n;

	for (number = 1; number <= 1000; number++) {
		if (number == 600)
			memset(&keep, 0, sizeof(keep));
		write_one(
			&keep, budget_bytes, (struct made){ .label = number % 2 ? "each" : NULL });
		CHECK(bytes_there(&n) <= budget_bytes);
	}
	for (number = 2; number <= 1000; number += 2)
		n_even += there(number);
	CHECK(n_even > 10);
	CHECK(there(1) && there(997) && there(998) && there(999) && there(1000));
	tidy_up();
}

static void test_a_budget_below_one_snapshot(void)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number;
	unsigned n;

	for (number = 1; number <= 40; number++)
		write_one(&keep, 64 << 10,
			(struct made){ .live_bytes = number == 20, .padding_bytes = 100 << 10 });
	bytes_there(&n);
	CHECK(n == 3 && there(1) && there(20) && there(40));
	CHECK(keep.said);
	tidy_up();
}

static void test_no_budget_no_removal(void)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number;
	unsigned n;

	for (number = 1; number <= 100; number++)
		write_one(&keep, 0, (struct made){ 0 });
	bytes_there(&n);
	CHECK(n == 100 && !keep.n_pruned);
	tidy_up();
}

/* Of another process, no snapshot, no file, or elsewhere: all of it stays. */
static void test_what_is_not_ours_stays(void)
{
	struct snapshot_keep keep = { 0 };
	char path[256], target[256];
	uint32_t number;
	unsigned n;
	int fd;

	path_of("elsewhere", target);
	fd = open(target, O_WRONLY | O_CREAT, 0600);
	close(fd);
	make((struct made){ .number = 3, .start_id = SOMEBODYS });
	number_path(5, path);
	CHECK(!symlink(target, path));
	number_path(7, path);
	CHECK(!mkfifo(path, 0600));
	number_path(9, path);
	CHECK(!mkdir(path, 0700));
	number_path(11, path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(write(fd, "short", 5) == 5);
	close(fd);
	path_of("0000013.hspy", path); /* not as we write it */
	make((struct made){ .number = 13 });
	number_path(13, target);
	CHECK(!rename(target, path));
	for (number = 20; number <= 300; number++) {
		if (number == 150)
			memset(&keep, 0, sizeof(keep));
		write_one(&keep, 128 << 10, (struct made){ .number = number });
	}
	CHECK(!access(path, F_OK));
	path_of("elsewhere", target);
	CHECK(!access(target, F_OK));
	for (number = 3; number <= 11; number += 2)
		CHECK(there(number));
	CHECK(keep.first == 20 && there(20));
	bytes_there(&n);
	CHECK(n < 24);
	tidy_up();
}

/* The same process from outside, and somebody who tidies up by hand. */
static void test_others_write_and_remove(void)
{
	struct snapshot_keep keep = { 0 }, outside;
	uint64_t budget_bytes = 512 << 10;
	uint32_t number;
	char path[256];
	unsigned n;

	for (number = 1; number <= 200; number++) {
		if (number % 10 == 5) { /* whoever writes next steps over it: find_number() */
			struct snapshot_keep_place place = { dir, OURS, budget_bytes, work };

			memset(&outside, 0, sizeof(outside));
			write_one(&outside, budget_bytes, (struct made){ 0 });
			snapshot_keep_add(&keep, &place, outside.last);
		}
		write_one(&keep, budget_bytes, (struct made){ 0 });
	}
	CHECK(keep.last == 220);
	for (number = 20; number <= 215; number++) {
		number_path(number, path);
		unlink(path);
	}
	write_one(&keep, budget_bytes, (struct made){ 0 });
	CHECK(bytes_there(&n) == keep.total_bytes);
	CHECK(there(1) && there(216) && there(217) && there(218) && there(219) && there(220));
	for (number = 1; number <= 300; number++)
		write_one(&keep, budget_bytes, (struct made){ 0 });
	CHECK(bytes_there(&n) <= budget_bytes && n > 50);
	tidy_up();
}

/* A number that leaps ahead is no reason to forget the budget, nor what was before it. */
static void test_a_leap_of_numbers(void)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number;
	unsigned n;

	for (number = 1; number <= 60; number++)
		write_one(&keep, 256 << 10, (struct made){ 0 });
	write_one(&keep, 256 << 10, (struct made){ .number = 100000000 });
	for (number = 1; number <= 100; number++) {
		write_one(&keep, 256 << 10, (struct made){ 0 });
		CHECK(keep.total_bytes <= 256 << 10);
	}
	CHECK(bytes_there(&n) == keep.total_bytes && n > 20);
	CHECK(there(1) && there(100000100) && there(100000099) && keep.last == 100000100);
	tidy_up();
}

/* Behind a million the names are longer, and all goes on. */
static void test_a_million_and_the_end_of_numbers(void)
{
	struct snapshot_keep keep = { 0 };
	uint32_t number;
	unsigned n;

	for (number = 999900; number <= 1000100; number++)
		write_one(&keep, 128 << 10, (struct made){ .number = number });
	CHECK(bytes_there(&n) <= 128 << 10);
	CHECK(there(999900) && there(1000100) && there(1000099) && n > 10);
	tidy_up();
	memset(&keep, 0, sizeof(keep));
	for (number = SNAPSHOT_KEEP_NUMBER_MAX - 50; number < SNAPSHOT_KEEP_NUMBER_MAX; number++)
		write_one(&keep, 128 << 10, (struct made){ .number = number });
	CHECK(bytes_there(&n) <= 128 << 10);
	CHECK(there(SNAPSHOT_KEEP_NUMBER_MAX - 1) && keep.last == SNAPSHOT_KEEP_NUMBER_MAX - 1);
	tidy_up();
}

int main(void)
{
	if (!mkdtemp(dir))
		return 99;
	TAP_RUN(test_names);
	TAP_RUN(test_years_are_thinned_by_their_age);
	TAP_RUN(test_the_budget_holds_and_the_marked_stay);
	TAP_RUN(test_what_was_removed_is_counted_over_a_restart);
	TAP_RUN(test_a_growing_heap);
	TAP_RUN(test_a_fullest_that_is_outdone_goes);
	TAP_RUN(test_labels_take_half_at_most);
	TAP_RUN(test_a_budget_below_one_snapshot);
	TAP_RUN(test_no_budget_no_removal);
	TAP_RUN(test_what_is_not_ours_stays);
	TAP_RUN(test_others_write_and_remove);
	TAP_RUN(test_a_leap_of_numbers);
	TAP_RUN(test_a_million_and_the_end_of_numbers);
	rmdir(dir);
	return tap_done();
}
