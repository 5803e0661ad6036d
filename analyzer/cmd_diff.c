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
#include "analyzer/input.h"
#include "analyzer/out/diff.h"
#include "analyzer/units.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows to show; 0: all (20)" },
	{ OPTION_BY, 0, "by", "function|line|site|module", "what a row is; site: a whole stack" },
	{ OPTION_MIN, 0, "min", "SIZE", "no rows that changed by less than SIZE" },
	CMD_ROWS_VIEW,
	{ OPTION_STACKS, 0, "stacks", "N", "the N stacks that moved most below each row" },
	{ OPTION_THIRD, 0, "third", "C", "only what is new in B and still live in C" },
	{ OPTION_EXIT_CODE, 0, "exit-code", NULL, "exit 1 when a site grew" },
	{ OPTION_FORCE, 0, "force", NULL,
		"compare different processes, or figures of one that\n"
		"was not interposed" },
	CMD_ROW_CSV,
	CMD_ROWS_OUTPUT,
	CMD_ROW_HELP,
};

/* Everything between the options and the output. */
struct work {
	struct input a, b, third;
	struct profile profile;
	struct comparison comparison;
	struct source_frames frames;
	struct sites sites;
};

static bool same_process(const struct snapshot *a, const struct snapshot *b)
{
	return a->info.start_id == b->info.start_id && a->info.pid == b->info.pid;
}

static int open_moments(struct work *w, const struct options *o, struct fail *f)
{
	const char *b = o->n_args > 1 ? o->args[1] : o->args[0];

	if (input_open(&w->a, o->args[0], o->n_args == 1 ? "first" : "last", INPUT_NEEDS_LIVE, o,
		    f) < 0)
		return -1;
	/* A mistake in the one moment is said before that there should be two. */
	if (o->n_args == 1 && !moment_is_run(b))
		return fail_set(f, EXIT_CODE_USAGE,
			"diff needs two moments, or a run directory for its first and last");
	if (input_open(&w->b, b, "last", INPUT_NEEDS_LIVE, o, f) < 0)
		return -1;
	if (o->third && input_open(&w->third, o->third, "last", INPUT_NEEDS_LIVE, o, f) < 0)
		return -1;
	return 0;
}

static bool same_snapshot(const struct snapshot *a, const struct snapshot *b)
{
	return same_process(a, b) && a->info.number == b->info.number &&
	       a->info.cut_ns == b->info.cut_ns;
}

/* A comparison of a snapshot with itself would say "no change" whatever had happened. */
static int fail_nothing_to_compare(const struct work *w, const struct options *o, struct fail *f)
{
	const struct snapshot *s = w->a.snapshot;
	const char *a = o->args[0], *b = o->n_args > 1 ? o->args[1] : a;
	struct moment_parts parts = moment_split(a);
	struct strbuf text = { 0 };

	if (w->a.moment.n_in_run == 1 && w->b.moment.n_in_run == 1)
		strbuf_addf(&text, "'%s' holds one %ssnapshot (", parts.path,
			w->a.moment.n_passed ? "readable " : "");
	else
		strbuf_addf(&text, "'%s' and '%s' are the same snapshot ('%s', ", a, b, s->path);
	strbuf_add_text(&text, s->info.reason == HEAPSPY_REASON_EXIT ? "at exit, " : "at ");
	units_add_clock(&text, s->info.cut_ns);
	strbuf_add_text(&text, "): nothing to compare; ");
	if (w->a.moment.n_in_run == 1 && w->b.moment.n_in_run == 1) {
		strbuf_add_text(&text, "snapshots come every HEAPSPY_INTERVAL (60s unless set); "
				       "see: heapspy top ");
		strbuf_add_shell_word(&text, parts.path);
	} else if (w->a.moment.n_in_run > 1) {
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

static int check_same_process(
	const struct input *x, const struct input *y, const char *names, struct fail *f)
{
	const struct snapshot *a = x->snapshot, *b = y->snapshot;

	if (same_process(a, b))
		return 0;
	if (strcmp(input_comm(a), input_comm(b)))
		return fail_set(f, EXIT_CODE_INPUT,
			"%s are different programs (%s, %s); compare them anyway with --force",
			names, input_comm(a), input_comm(b));
	return fail_set(f, EXIT_CODE_INPUT,
		"%s are different processes of %s (pid %u and %u); nothing of one lives on in "
		"the other;\ncompare them anyway with --force",
		names, input_comm(a), a->info.pid, b->info.pid);
}

/* Whether the moments can be compared, and in which order. */
static int check_moments(struct work *w, const struct options *o, struct fail *f)
{
	if (input_check_interposed(&w->a, o, f) < 0 || input_check_interposed(&w->b, o, f) < 0)
		return -1;
	if (same_snapshot(w->a.snapshot, w->b.snapshot))
		return fail_nothing_to_compare(w, o, f);
	if (!o->force && check_same_process(&w->a, &w->b, "A and B", f) < 0)
		return -1;
	/* The third moment works by recognizing samples, which no --force can bring back. */
	if (w->third.snapshot && (check_same_process(&w->a, &w->b, "A and B", f) < 0 ||
					 check_same_process(&w->b, &w->third, "B and C", f) < 0))
		return fail_set(f, EXIT_CODE_INPUT, "--third needs three moments of one process");
	if (same_process(w->a.snapshot, w->b.snapshot) &&
		w->a.snapshot->info.cut_ns > w->b.snapshot->info.cut_ns) {
		struct input later = w->a;

		w->a = w->b;
		w->b = later;
		if (!o->quiet)
			fail_warn("A is later than B: they are compared the other way round");
	}
	if (w->third.snapshot && w->third.snapshot->info.cut_ns <= w->b.snapshot->info.cut_ns)
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

		wanted[i] = sums->before.samples > 0 || sums->after.samples > 0;
		/* What moved decides which place a row shows; blocks of 0 bytes count too. */
		weights[i] = sums->born.bytes + sums->died.bytes +
			     1e-6 * (sums->before.bytes + sums->after.bytes) +
			     (wanted[i] ? 1e-9 : 0);
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

static void warn(struct work *w, const struct options *o, const bool *shown)
{
	bool *sites_shown = alloc_array(w->sites.n_sites, sizeof(*sites_shown));
	size_t i;

	w->b.said_beside = same_directory(w->a.snapshot->path, w->b.snapshot->path);
	input_warn(&w->a, o);
	if (strcmp(w->a.snapshot->path, w->b.snapshot->path))
		input_warn(&w->b, o);
	input_warn_broken_stacks(&w->b, o);
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
		.a = &w->a,
		.b = &w->b,
		.third = w->third.snapshot ? &w->third : NULL,
		.comparison = &w->comparison,
		.sites = &w->sites,
		.style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color),
	};
	bool *shown;

	strbuf_add_shell_word(&arguments, o->args[0]);
	if (o->n_args > 1) {
		strbuf_add_char(&arguments, ' ');
		strbuf_add_shell_word(&arguments, o->args[1]);
	}
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
	input_close(&w->a);
	input_close(&w->b);
	input_close(&w->third);
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct work w = { 0 };
	int code = -1;

	if (open_moments(&w, o, f) < 0 || check_moments(&w, o, f) < 0) {
		work_deinit(&w);
		return -1;
	}
	profile_init(&w.profile);
	profile_add(&w.profile, w.a.snapshot);
	profile_add(&w.profile, w.b.snapshot);
	if (w.third.snapshot)
		profile_add(&w.profile, w.third.snapshot);
	compare_init(&w.comparison, &w.profile, same_process(w.a.snapshot, w.b.snapshot));
	if (name_stacks(&w, o, f) == 0) {
		compare_group(&w.comparison, w.sites.group_of, w.sites.n_stacks, w.sites.n_sites);
		show(&w, o, out);
		code = o->exit_code && w.comparison.n_grew ? EXIT_CODE_GATE : 0;
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
