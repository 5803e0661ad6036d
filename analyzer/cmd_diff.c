/*
 * cmd_diff.c - `heapspy diff`: its options, which moments it compares, and its
 * exit code. The comparison is compare.c's, the output out/diff_*.c's.
 */
#include "analyzer/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/compare.h"
#include "analyzer/input_pair.h"
#include "analyzer/out/diff.h"
#include "analyzer/units.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows to show; 0: all (20)" },
	{ OPTION_BY, 0, "by", "function|line|site|module", "what a row is; site: a whole stack" },
	{ OPTION_METRIC, 0, "metric", "live|allocated",
		"growth of what is live (default), or what was\n"
		"allocated in between" },
	{ OPTION_SINCE, 0, "since", "WHEN",
		"of RUN: A is RUN@WHEN; 10m, -1h, 14:03, 3, mark:NAME" },
	{ OPTION_UNTIL, 0, "until", "WHEN", "of RUN: B is RUN@WHEN" },
	{ OPTION_MIN, 0, "min", "SIZE", "no rows that changed by less than SIZE" },
	CMD_ROWS_VIEW,
	{ OPTION_STACKS, 0, "stacks", "N", "the N stacks that moved most below each row" },
	{ OPTION_THIRD, 0, "third", "C", "only what is new in B and still live in C" },
	{ OPTION_EXIT_CODE, 0, "exit-code", NULL, "exit 1 when a site grew, by --min at least" },
	{ OPTION_FORCE, 0, "force", NULL,
		"compare different processes, or figures of one that\n"
		"was not interposed" },
	CMD_ROW_CSV,
	CMD_ROWS_OUTPUT,
	CMD_ROW_HELP,
};

/* Everything between the options and the output. */
struct work {
	struct input_pair pair;
	struct input third;
	struct profile profile;
	struct comparison comparison;
	struct source_frames frames;
	struct sites sites;
};

static int open_moments(struct work *w, const struct options *o, struct fail *f)
{
	uint32_t need = o->metric == METRIC_ALLOCATED ? INPUT_NEEDS_STACKS : INPUT_NEEDS_LIVE;

	if (o->third && o->metric == METRIC_ALLOCATED)
		return fail_set(f, EXIT_CODE_USAGE,
			"--third asks what is still live: it does not go with --metric allocated");
	if (input_pair_open(&w->pair, o, "diff", need, f) < 0)
		return -1;
	return o->third ? input_open(&w->third, o->third, "last", need, o, f) : 0;
}

static bool same_snapshot(const struct snapshot *a, const struct snapshot *b)
{
	return input_is_same_process(a, b) && a->info.number == b->info.number &&
	       a->info.cut_ns == b->info.cut_ns;
}

/* A comparison of a snapshot with itself would say "no change" whatever had happened. */
static int fail_nothing_to_compare(const struct work *w, struct fail *f)
{
	const struct snapshot *s = w->pair.a.snapshot;
	const char *a = w->pair.a_text, *b = w->pair.b_text;
	struct moment_parts parts = moment_split(a);
	struct strbuf text = { 0 };

	if (w->pair.a.moment.n_in_run == 1 && w->pair.b.moment.n_in_run == 1)
		strbuf_addf(&text, "'%s' holds one %ssnapshot (", parts.path,
			w->pair.a.moment.n_passed ? "readable " : "");
	else
		strbuf_addf(&text, "'%s' and '%s' are the same snapshot ('%s', ", a, b, s->path);
	strbuf_add_text(&text, s->info.reason == HEAPSPY_REASON_EXIT ? "at exit, " : "at ");
	units_add_clock(&text, s->info.cut_ns);
	strbuf_add_text(&text, "): nothing to compare; ");
	if (w->pair.a.moment.n_in_run == 1 && w->pair.b.moment.n_in_run == 1) {
		strbuf_add_text(&text, "snapshots come every HEAPSPY_INTERVAL (60s unless set); "
				       "see: heapspy top ");
		strbuf_add_shell_word(&text, parts.path);
	} else if (w->pair.a.moment.n_in_run > 1) {
		strbuf_add_text(&text, "first to last: heapspy diff ");
		strbuf_add_shell_word(&text, parts.path);
	} else {
		strbuf_add_text(&text, "see: heapspy top ");
		strbuf_add_shell_word(&text, a);
	}
	fail_set(f, EXIT_CODE_INPUT, "%s", text.data);
	strbuf_deinit(&text);
	free(parts.path);
	return -1;
}

/* A program that was started again, as its container's first process or by exec. */
static int fail_different_starts(
	const struct snapshot *a, const struct snapshot *b, const char *names, struct fail *f)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%s are two starts of %s (pid %u, ", names, input_comm(a), a->info.pid);
	units_add_wall_time(&text, a->info.start_wall_ns);
	strbuf_add_text(&text, " and ");
	units_add_wall_time(&text, b->info.start_wall_ns);
	strbuf_add_text(&text, "); nothing of one lives on in the other;\ncompare them anyway with "
			       "--force");
	fail_set(f, EXIT_CODE_INPUT, "%s", text.data);
	strbuf_deinit(&text);
	return -1;
}

static int check_same_process(
	const struct input *x, const struct input *y, const char *names, struct fail *f)
{
	const struct snapshot *a = x->snapshot, *b = y->snapshot;

	if (input_is_same_process(a, b))
		return 0;
	if (strcmp(input_comm(a), input_comm(b)))
		return fail_set(f, EXIT_CODE_INPUT,
			"%s are different programs (%s, %s); compare them anyway with --force",
			names, input_comm(a), input_comm(b));
	if ((a->info.flags | b->info.flags) & HEAPSPY_INFO_FORK_CHILD)
		return fail_set(f, EXIT_CODE_INPUT,
			"%s are different processes of %s (pid %u and %u); a forked child counts "
			"from its fork on;\ncompare them anyway with --force",
			names, input_comm(a), a->info.pid, b->info.pid);
	if (a->info.pid == b->info.pid)
		return fail_different_starts(a, b, names, f);
	return fail_set(f, EXIT_CODE_INPUT,
		"%s are different processes of %s (pid %u and %u); nothing of one lives on in "
		"the other;\ncompare them anyway with --force",
		names, input_comm(a), a->info.pid, b->info.pid);
}

/* Whether the moments can be compared, and in which order. */
static int check_moments(struct work *w, const struct options *o, struct fail *f)
{
	if (input_check_interposed(&w->pair.a, o, f) < 0 ||
		input_check_interposed(&w->pair.b, o, f) < 0)
		return -1;
	if (same_snapshot(w->pair.a.snapshot, w->pair.b.snapshot))
		return fail_nothing_to_compare(w, f);
	if (!o->force && check_same_process(&w->pair.a, &w->pair.b, "A and B", f) < 0)
		return -1;
	/* The third moment works by recognizing samples, which no --force can bring back. */
	if (w->third.snapshot &&
		(check_same_process(&w->pair.a, &w->pair.b, "A and B", f) < 0 ||
			check_same_process(&w->pair.b, &w->third, "B and C", f) < 0))
		return fail_set(f, EXIT_CODE_INPUT, "--third needs three moments of one process");
	if (input_is_same_process(w->pair.a.snapshot, w->pair.b.snapshot))
		input_pair_order(&w->pair, o, "compared");
	if (w->third.snapshot && w->third.snapshot->info.cut_ns <= w->pair.b.snapshot->info.cut_ns)
		return fail_set(f, EXIT_CODE_USAGE, "--third: C is not later than B");
	return 0;
}

static int name_stacks(struct work *w, const struct options *o, struct fail *f)
{
	size_t i, n = w->profile.n_stacks;
	bool *wanted = alloc_array(n, sizeof(*wanted));
	double *weights = alloc_array(n, sizeof(*weights));
	int rc = -1;

	for (i = 0; i < n; i++) {
		const struct compare_sums *sums = &w->comparison.stacks[i];

		wanted[i] = sums->born.samples > 0 ||
			    (!w->comparison.is_one_sided &&
				    (sums->before.samples > 0 || sums->after.samples > 0));
		/* What moved decides which place a row shows; blocks of 0 bytes count too. */
		if (wanted[i])
			weights[i] = sums->born.bytes + sums->died.bytes +
				     1e-6 * (sums->before.bytes + sums->after.bytes) + 1e-9;
	}
	if (source_frames_init(&w->frames, &w->profile, o->hide, wanted, f) == 0)
		rc = sites_init(&w->sites, &w->frames, o->by, &o->filter, weights, f);
	free(wanted);
	free(weights);
	return rc;
}

/* Whether two files lie in one directory: what was passed over in it is said once. */
static bool same_directory(const char *a, const char *b)
{
	size_t bytes = strrchr(a, '/') ? (size_t)(strrchr(a, '/') - a) : 0;

	return bytes && !strncmp(a, b, bytes) && strrchr(b, '/') == b + bytes;
}

/* What was lost before A was lost for both, and may since have died unseen. */
static void warn_lost(const struct work *w, const struct options *o)
{
	uint64_t n_before, n_after;
	bool before = input_is_lower_bound(w->pair.a.snapshot, &n_before);
	bool after = input_is_lower_bound(w->pair.b.snapshot, &n_after);

	if (o->quiet || !after)
		return;
	if (!before)
		fail_warn("%llu sample%s lost after A: growth is a lower bound",
			(unsigned long long)n_after, n_after == 1 ? " was" : "s were");
	else
		fail_warn("%llu sample%s lost, %llu of them before A: no figure holds their "
			  "blocks, alive or dead",
			(unsigned long long)n_after, n_after == 1 ? " was" : "s were",
			(unsigned long long)n_before);
}

/* What a program frees in a slow shutdown hides what it lost before. */
static void warn_fall(const struct work *w, const struct options *o)
{
	struct strbuf text = { 0 };

	if (o->quiet || o->n_args > 1 || !(w->pair.b.moment.fall.share > 0))
		return;
	run_end_add_hint(&text, &w->pair.b.moment.fall, "diff", o->args[0]);
	fail_warn("%s", text.data);
	strbuf_deinit(&text);
}

static void warn(struct work *w, const struct options *o, const bool *shown)
{
	bool *sites_shown = alloc_array(w->sites.n_sites, sizeof(*sites_shown));
	size_t i;

	w->pair.b.said_beside = same_directory(w->pair.a.snapshot->path, w->pair.b.snapshot->path);
	if (w->comparison.same_process) {
		w->pair.a.said_lost = w->pair.b.said_lost = true;
		warn_lost(w, o);
	}
	input_warn(&w->pair.a, o);
	if (strcmp(w->pair.a.snapshot->path, w->pair.b.snapshot->path))
		input_warn(&w->pair.b, o);
	input_warn_reasons(&w->pair.b, o);
	input_warn_broken_stacks(&w->pair.b, o);
	warn_fall(w, o);
	for (i = 0; i < w->comparison.n_rows; i++)
		sites_shown[w->comparison.rows[i].group] |= shown[i];
	input_warn_symbols(&w->sites, sites_shown, o);
	free(sites_shown);
}

static void show(struct work *w, const struct options *o, struct strbuf *out)
{
	struct strbuf arguments = { 0 };
	struct diff_view view = {
		.options = o,
		.a = &w->pair.a,
		.b = &w->pair.b,
		.third = w->third.snapshot ? &w->third : NULL,
		.b_text = w->pair.b_text,
		.comparison = &w->comparison,
		.sites = &w->sites,
		.style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color),
	};
	bool *shown;

	input_pair_add_arguments(&arguments, &w->pair, o);
	if (o->third) {
		strbuf_add_text(&arguments, " --third ");
		strbuf_add_shell_word(&arguments, o->third);
	}
	view.arguments = arguments.data;
	view.style.full_names = o->full_names;
	shown = diff_choose_rows(&view);
	if (o->json)
		diff_json(&view, out);
	else if (o->csv)
		diff_csv(&view, out);
	else
		diff_text(&view, shown, out);
	warn(w, o, shown);
	free(shown);
	strbuf_deinit(&arguments);
}

static void work_deinit(struct work *w)
{
	sites_deinit(&w->sites);
	source_frames_deinit(&w->frames);
	compare_deinit(&w->comparison);
	profile_deinit(&w->profile);
	input_pair_close(&w->pair);
	input_close(&w->third);
}

/* Whether a site grew that the table shows, or would if it had no end. */
static bool any_grew(const struct comparison *c, const struct options *o)
{
	size_t i;

	for (i = 0; i < c->n_rows; i++)
		if (c->rows[i].verdict == COMPARE_GREW &&
			c->rows[i].growth.bytes >= (double)o->min_bytes)
			return true;
	return false;
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct work w = { 0 };
	bool same;
	int code = -1;

	if (open_moments(&w, o, f) < 0 || check_moments(&w, o, f) < 0) {
		work_deinit(&w);
		return -1;
	}
	profile_init(&w.profile);
	profile_add(&w.profile, w.pair.a.snapshot);
	profile_add(&w.profile, w.pair.b.snapshot);
	if (w.third.snapshot)
		profile_add(&w.profile, w.third.snapshot);
	same = input_is_same_process(w.pair.a.snapshot, w.pair.b.snapshot);
	if (o->metric == METRIC_ALLOCATED)
		compare_init_allocated(&w.comparison, &w.profile, same);
	else
		compare_init(&w.comparison, &w.profile, same);
	if (name_stacks(&w, o, f) == 0) {
		compare_group(&w.comparison, w.sites.group_of, w.sites.n_stacks, w.sites.n_sites);
		show(&w, o, out);
		code = o->exit_code && any_grew(&w.comparison, o) ? EXIT_CODE_GATE : 0;
	}
	work_deinit(&w);
	return code;
}

const struct command cmd_diff = {
	.name = "diff",
	.brief = "what grew between two moments",
	.args = "A B | RUN",
	.about = "Shows which sites hold more, or less, at B than at A, each with the range that\n"
		 "holds the true growth in 95 of 100 cases. RUN alone: its first and last\n"
		 "snapshot. Rows are sorted by the lower end of the range.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
