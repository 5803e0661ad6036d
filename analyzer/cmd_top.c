/*
 * cmd_top.c - `heapspy top`: its options and its moment. Sums are ranking.c's, the
 * output out/top_*.c's.
 */
#include "analyzer/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/input.h"
#include "analyzer/out/top.h"
#include "analyzer/ranking.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows to show; 0: all (20)" },
	{ OPTION_BY, 0, "by", "function|line|site|module|thread",
		"what a row is; site: a whole stack; thread: the name\n"
		"of the thread that allocated" },
	{ OPTION_METRIC, 0, "metric", "live|allocated|objects",
		"live bytes, all bytes allocated so far, or live blocks" },
	{ OPTION_MIN, 0, "min", "SIZE", "no rows below SIZE" },
	CMD_ROWS_VIEW,
	{ OPTION_STACKS, 0, "stacks", "N", "the N stacks that hold most below each row" },
	{ OPTION_FORCE, 0, "force", NULL, "show figures of a process that was not interposed" },
	CMD_ROW_CSV,
	CMD_ROWS_OUTPUT,
	CMD_ROW_HELP,
};

struct work {
	struct input input;
	struct profile profile;
	struct ranking ranking;
	struct source_frames frames;
	struct sites sites;
};

static int name_stacks(struct work *w, const struct options *o, struct fail *f)
{
	size_t i, n = w->profile.n_stacks;
	bool *wanted = alloc_array(n, sizeof(*wanted));
	double *weights = alloc_array(n, sizeof(*weights));
	int rc = -1;

	for (i = 0; i < n; i++) {
		wanted[i] = w->ranking.stacks[i].samples > 0;
		weights[i] = w->ranking.stacks[i].bytes + (wanted[i] ? 1e-9 : 0);
	}
	if (source_frames_init(&w->frames, &w->profile, o->hide, wanted, f) == 0)
		rc = sites_init(&w->sites, &w->frames, o->by, &o->filter, weights, f);
	free(wanted);
	free(weights);
	return rc;
}

static void show(const struct work *w, const struct options *o, struct strbuf *out)
{
	bool *sites_shown = alloc_array(w->sites.n_sites, sizeof(*sites_shown));
	struct top_view view = {
		.options = o,
		.input = &w->input,
		.profile = &w->profile,
		.ranking = &w->ranking,
		.sites = &w->sites,
		.n_shown = top_choose_rows(&w->ranking, o),
		.style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color),
	};
	size_t i;

	view.style.full_names = o->full_names;
	if (o->json)
		top_json(&view, out);
	else if (o->csv)
		top_csv(&view, out);
	else
		top_text(&view, out);
	input_warn(&w->input, o);
	input_warn_reasons(&w->input, o);
	input_warn_broken_stacks(&w->input, o);
	for (i = 0; i < view.n_shown && !o->by_thread; i++)
		sites_shown[w->ranking.rows[i].group] = true;
	input_warn_symbols(&w->sites, sites_shown, o);
	free(sites_shown);
}

static void work_deinit(struct work *w)
{
	sites_deinit(&w->sites);
	source_frames_deinit(&w->frames);
	ranking_deinit(&w->ranking);
	profile_deinit(&w->profile);
	input_close(&w->input);
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	bool allocated = o->metric == METRIC_ALLOCATED;
	struct work w = { 0 };
	int code = -1;

	if (o->by_thread && allocated)
		return fail_set(f, EXIT_CODE_USAGE,
			"--by thread works for what is live only: allocations are counted by "
			"stack");
	if (input_open(&w.input, o->args[0], "last",
		    allocated ? INPUT_NEEDS_STACKS : INPUT_NEEDS_LIVE, o, f) < 0)
		return -1;
	if (input_check_interposed(&w.input, o, f) < 0) {
		input_close(&w.input);
		return -1;
	}
	profile_init(&w.profile);
	profile_add(&w.profile, w.input.snapshot);
	ranking_init(&w.ranking, &w.profile, allocated);
	if (name_stacks(&w, o, f) == 0) {
		ranking_group(&w.ranking, &w.profile, w.sites.group_of, w.sites.n_sites,
			o->by_thread,
			o->metric == METRIC_OBJECTS ? RANKING_BY_BLOCKS : RANKING_BY_BYTES);
		show(&w, o, out);
		code = 0;
	}
	work_deinit(&w);
	return code;
}

const struct command cmd_top = {
	.name = "top",
	.brief = "who holds memory at a moment",
	.args = "MOMENT",
	.about = "Shows which sites hold the live heap, each with the range that holds the true\n"
		 "figure in 95 of 100 cases, sorted by the lower end of it.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
