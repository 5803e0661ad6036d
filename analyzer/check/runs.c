/*
 * runs.c - owns which directories are the runs of a side, and what makes two sides
 * incomparable. What is compared is baseline.c's.
 */
#include "analyzer/check/runs.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyzer/alloc.h"
#include "analyzer/profile.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/read/run_near.h"
#include "analyzer/units.h"

#define DEPTH_MAX  4 /* directories below the one that was named */
#define RUNS_MAX   1000
#define LOST_SHARE .01 /* of the samples of a run, beyond which it is a lower bound */

uint64_t run_interval_bytes(const struct check_run *run)
{
	return profile_interval_bytes(run->input.snapshot, run->last.level);
}

static const char *run_comm(const struct check_run *run)
{
	return input_comm(run->input.snapshot);
}

/* The program has come to its end, or was seen after it. */
static bool has_ended(const struct check_run *run)
{
	return run->last.reason == HEAPSPY_REASON_EXIT ||
	       run->last.reason == HEAPSPY_REASON_RECOVERED;
}

static int read_last(struct check_run *run, bool is_dir, struct fail *f)
{
	struct run_dir dir;
	char label[1];

	if (!is_dir)
		return snapshot_peek(run->path, &run->last, label, sizeof(label), f);
	if (run_dir_read(run->path, &dir, f) < 0)
		return -1;
	run->last = dir.entries[dir.n_entries - 1].info;
	run_dir_deinit(&dir);
	return 0;
}

static void run_deinit(struct check_run *run)
{
	input_close(&run->input);
	free(run->path);
}

static int add_run(struct check_side *side, const char *path, bool is_dir,
	const struct runs_choice *choice, struct fail *f)
{
	struct check_run run = { .path = alloc_text(path, strlen(path)) };
	struct strbuf moment = { 0 };
	int rc;

	if (side->n_runs >= RUNS_MAX) {
		free(run.path);
		return fail_set(
			f, EXIT_CODE_USAGE, "more than %d runs below '%s'", RUNS_MAX, side->path);
	}
	strbuf_add_text(&moment, path);
	if (choice->when)
		strbuf_addf(&moment, "@%s", choice->when);
	else if (is_dir && choice->options->metric == METRIC_ALLOCATED)
		strbuf_add_text(&moment, "@last");
	rc = read_last(&run, is_dir, f);
	if (rc == 0)
		rc = input_open(
			&run.input, moment.data, "last", INPUT_NEEDS_LIVE, choice->options, f);
	strbuf_deinit(&moment);
	if (rc < 0 || (choice->program && strcmp(choice->program, run_comm(&run)))) {
		run_deinit(&run);
		return rc;
	}
	side->runs = alloc_room(side->runs, side->n_runs, &side->capacity, sizeof(*side->runs));
	side->runs[side->n_runs++] = run;
	return 0;
}

static int skip_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int add_below(struct check_side *side, const char *path, unsigned depth,
	const struct runs_choice *choice, struct fail *f)
{
	struct dirent **entries;
	int i, n, rc = 0;

	if (run_near_holds_snapshots(path)) {
		rc = add_run(side, path, true, choice, f);
		/* The first process is the run; the others inside count only by their name. */
		if (rc < 0 || !choice->program)
			return rc;
	}
	if (depth == DEPTH_MAX)
		return 0;
	n = scandir(path, &entries, skip_hidden, versionsort);
	for (i = 0; i < n; i++) {
		struct strbuf inside = { 0 };
		struct stat st;

		strbuf_addf(&inside, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/",
			entries[i]->d_name);
		if (rc == 0 && lstat(inside.data, &st) == 0 && S_ISDIR(st.st_mode))
			rc = add_below(side, inside.data, depth + 1, choice, f);
		strbuf_deinit(&inside);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return rc;
}

/* A forked child begins empty: it is part of a run, and none of its own. */
static void leave_out_forked(struct check_side *side)
{
	size_t i, n = 0, n_forked = 0;

	for (i = 0; i < side->n_runs; i++)
		n_forked += (side->runs[i].last.flags & HEAPSPY_INFO_FORK_CHILD) != 0;
	if (n_forked == side->n_runs)
		return;
	for (i = 0; i < side->n_runs; i++)
		if (side->runs[i].last.flags & HEAPSPY_INFO_FORK_CHILD)
			run_deinit(&side->runs[i]);
		else
			side->runs[n++] = side->runs[i];
	side->n_forked = n_forked;
	side->n_runs = n;
}

static int fail_no_runs(
	const struct check_side *side, const struct runs_choice *choice, struct fail *f)
{
	struct strbuf words = { 0 };

	if (choice->program)
		strbuf_addf(&words, "no run of the program '%s' below '%s'", choice->program,
			side->path);
	else
		strbuf_addf(&words,
			"no runs in '%s': the %s is a run, or a directory with one directory of "
			"snapshots for each run",
			side->path, side->name);
	fail_set(f, EXIT_CODE_INPUT, "%s", words.data);
	strbuf_deinit(&words);
	return -1;
}

int side_read(struct check_side *side, const char *name, const char *path,
	const struct runs_choice *choice, struct fail *f)
{
	struct stat st;
	int rc;

	memset(side, 0, sizeof(*side));
	side->name = name;
	side->path = path;
	if (stat(path, &st) < 0) {
		fail_set(f, EXIT_CODE_INPUT, "there is no %s '%s'", name, path);
		run_near_suggest(path, NULL, f);
		return -1;
	}
	if (S_ISDIR(st.st_mode))
		rc = add_below(side, path, 0, choice, f);
	else
		rc = add_run(side, path, false, choice, f);
	if (rc < 0)
		return -1;
	if (!side->n_runs)
		return fail_no_runs(side, choice, f);
	leave_out_forked(side);
	return 0;
}

void side_deinit(struct check_side *side)
{
	size_t i;

	for (i = 0; i < side->n_runs; i++)
		run_deinit(&side->runs[i]);
	free(side->runs);
	memset(side, 0, sizeof(*side));
}

/* Both sides as one list. */
struct all_runs {
	const struct check_side *base, *candidate;
};

static size_t all_count(const struct all_runs *all)
{
	return all->base->n_runs + all->candidate->n_runs;
}

static const struct check_run *all_at(const struct all_runs *all, size_t i)
{
	return i < all->base->n_runs ? &all->base->runs[i]
				     : &all->candidate->runs[i - all->base->n_runs];
}

static int check_one_program(const struct all_runs *all, struct fail *f)
{
	const struct check_run *first = all_at(all, 0);
	size_t i;

	for (i = 1; i < all_count(all); i++)
		if (strcmp(run_comm(first), run_comm(all_at(all, i))))
			return fail_set(f, EXIT_CODE_INPUT,
				"runs of different programs: %s ('%s') and %s ('%s')\n"
				"choose one with --program NAME, or compare them anyway with "
				"--force",
				run_comm(first), first->path, run_comm(all_at(all, i)),
				all_at(all, i)->path);
	return 0;
}

/* A run that counts twice makes the spread look smaller than it is. */
static int check_each_once(const struct all_runs *all, struct fail *f)
{
	size_t i, j;

	for (i = 1; i < all_count(all); i++)
		for (j = 0; j < i; j++) {
			const struct check_run *a = all_at(all, j), *b = all_at(all, i);

			if (a->last.start_id == b->last.start_id && a->last.pid == b->last.pid)
				return fail_set(f, EXIT_CODE_INPUT,
					"'%s' and '%s' are the same run: it would count twice "
					"(--force lets it)",
					a->path, b->path);
		}
	return 0;
}

static int check_ends(const struct all_runs *all, struct fail *f)
{
	const struct check_run *ended = NULL, *other = NULL;
	size_t i;

	for (i = 0; i < all_count(all); i++)
		if (has_ended(all_at(all, i)))
			ended = ended ? ended : all_at(all, i);
		else
			other = other ? other : all_at(all, i);
	if (!ended || !other)
		return 0;
	return fail_set(f, EXIT_CODE_INPUT,
		"'%s' has no snapshot of its end (killed, or still running), '%s' has one:\n"
		"they did not do the same; compare them anyway with --force",
		other->path, ended->path);
}

static int check_losses(const struct all_runs *all, struct fail *f)
{
	size_t i;

	for (i = 0; i < all_count(all); i++) {
		const struct check_run *run = all_at(all, i);
		uint64_t n_lost = run->last.losses[HEAPSPY_LOSS_STATE_FULL] +
				  run->last.losses[HEAPSPY_LOSS_NO_SCRATCH];

		if ((double)n_lost > LOST_SHARE * (double)run->last.samples)
			return fail_set(f, EXIT_CODE_INPUT,
				"'%s' lost %llu of %llu samples: its figures are lower bounds "
				"(HEAPSPY_STATE_MAX gives room); compare it anyway with --force",
				run->path, (unsigned long long)n_lost,
				(unsigned long long)(run->last.samples + n_lost));
	}
	return 0;
}

int sides_check(const struct check_side *base, const struct check_side *candidate,
	const struct options *o, struct fail *f)
{
	struct all_runs all = { base, candidate };
	size_t i;

	for (i = 0; i < all_count(&all); i++)
		if (input_check_interposed(&all_at(&all, i)->input, o, f) < 0)
			return -1;
	if (o->force)
		return 0;
	if (check_one_program(&all, f) < 0 || check_each_once(&all, f) < 0 ||
		check_ends(&all, f) < 0 || check_losses(&all, f) < 0)
		return -1;
	return 0;
}

static void warn_some(size_t n, size_t n_all, const char *text)
{
	if (n)
		fail_warn("%zu of %zu runs: %s", n, n_all, text);
}

static void warn_intervals(const struct all_runs *all)
{
	uint64_t least = UINT64_MAX, most = 0;
	size_t i, n_thinned = 0;
	struct strbuf text = { 0 };

	for (i = 0; i < all_count(all); i++) {
		uint64_t interval = run_interval_bytes(all_at(all, i));

		least = interval < least ? interval : least;
		most = interval > most ? interval : most;
		n_thinned += all_at(all, i)->last.level > 0;
	}
	if (least == most)
		return;
	strbuf_add_text(&text, "runs are sampled at intervals of ");
	units_add_bytes(&text, (double)least);
	strbuf_add_text(&text, " to ");
	units_add_bytes(&text, (double)most);
	if (n_thinned)
		strbuf_addf(&text, " (%zu thinned)", n_thinned);
	strbuf_add_text(&text, ": what is small is judged by the largest");
	fail_warn("%s", text.data);
	strbuf_deinit(&text);
}

static void warn_no_end(const struct all_runs *all)
{
	uint64_t least = UINT64_MAX, most = 0;
	struct strbuf text = { 0 };
	size_t i;

	for (i = 0; i < all_count(all); i++) {
		const struct check_run *run = all_at(all, i);

		if (has_ended(run))
			return;
		least = run->last.cut_ns < least ? run->last.cut_ns : least;
		most = run->last.cut_ns > most ? run->last.cut_ns : most;
	}
	strbuf_add_text(&text, "no run has a snapshot of its end: each is taken at its last, ");
	units_add_clock(&text, least);
	strbuf_add_text(&text, " to ");
	units_add_clock(&text, most);
	strbuf_add_text(&text, " from its start");
	fail_warn("%s", text.data);
	strbuf_deinit(&text);
}

void sides_warn(
	const struct check_side *base, const struct check_side *candidate, const struct options *o)
{
	struct all_runs all = { base, candidate };
	size_t i, n = all_count(&all), n_lost = 0, n_unseen = 0, n_untrue = 0, n_damaged = 0;

	if (o->quiet)
		return;
	if (base->n_forked + candidate->n_forked)
		fail_warn("%zu forked children beside the runs are left out",
			base->n_forked + candidate->n_forked);
	for (i = 0; i < n; i++) {
		const struct check_run *run = all_at(&all, i);
		const struct snapshot *s = run->input.snapshot;
		double estimate, difference;
		uint64_t lost;

		n_lost += input_is_lower_bound(s, &lost);
		n_unseen += (run->last.flags & HEAPSPY_INFO_UNSEEN_DOORS) != 0;
		n_damaged += run->input.moment.n_passed > 0;
		n_untrue += !(run->last.flags &
				    (HEAPSPY_INFO_BYTES_LOWER | HEAPSPY_INFO_NOT_INTERPOSED)) &&
			    !profile_self_test(s, &estimate, &difference);
	}
	warn_no_end(&all);
	warn_intervals(&all);
	warn_some(n_lost, n, "samples were lost; figures are lower bounds");
	warn_some(n_unseen, n,
		"the program frees by functions that are not seen, too; what they free looks live "
		"(docs/allocators.md)");
	warn_some(n_untrue, n, "the self test fails; see: heapspy top RUN");
	warn_some(n_damaged, n, "snapshots that cannot be read were passed over");
}
