/*
 * cmd_churn.c - `heapspy churn`: its options and which moments it takes. The sums are churn.c's,
 * the output out/churn_*.c's.
 */
#include "analyzer/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/churn.h"
#include "analyzer/input_pair.h"
#include "analyzer/out/churn.h"
#include "analyzer/units.h"

static const struct options_row rows[] = {
	{ OPTION_ROWS, 'n', NULL, "N", "rows to show; 0: all (20)" },
	{ OPTION_BY, 0, "by", "function|line|site|module", "what a row is; site: a whole stack" },
	{ OPTION_METRIC, 0, "metric", "allocated|objects", "bytes, or blocks" },
	{ OPTION_SINCE, 0, "since", "WHEN",
		"of RUN: A is RUN@WHEN; 10m, -1h, 14:03, 3, mark:NAME" },
	{ OPTION_UNTIL, 0, "until", "WHEN", "of RUN: B is RUN@WHEN" },
	{ OPTION_MIN, 0, "min", "SIZE", "no rows below SIZE a second, instead of below 1 %" },
	CMD_ROWS_VIEW,
	{ OPTION_STACKS, 0, "stacks", "N", "the N stacks that allocate most below each row" },
	{ OPTION_FORCE, 0, "force", NULL, "show figures of a process that was not interposed" },
	CMD_ROW_CSV,
	CMD_ROWS_OUTPUT,
	CMD_ROW_HELP,
};

/* Everything between the options and the output. */
struct work {
	struct input_pair pair;
	struct profile profile;
	struct churn churn;
	struct source_frames frames;
	struct sites sites;
};

/* No time between A and B, so no rates. */
static int fail_no_time(const struct work *w, const struct options *o, struct fail *f)
{
	const struct moment *m = &w->pair.a.moment;
	struct moment_parts parts = moment_split(w->pair.a_text);
	struct strbuf text = { 0 };

	if (m->n_in_run == 1 && w->pair.b.moment.n_in_run == 1) {
		strbuf_addf(&text, "'%s' holds one %ssnapshot", parts.path,
			m->n_passed ? "readable " : "");
		strbuf_add_text(&text, ", and a rate needs two; they come every HEAPSPY_INTERVAL "
				       "(60s unless set); see: heapspy top --metric allocated ");
		strbuf_add_shell_word(&text, parts.path);
	} else {
		strbuf_addf(&text, "A and B are both of ");
		units_add_clock(&text, w->pair.a.snapshot->info.cut_ns);
		strbuf_addf(&text, " ('%s'): nothing was allocated in between",
			w->pair.a.snapshot->path);
		if (m->n_in_run > 1) {
			strbuf_add_text(&text, "; first to last: heapspy churn ");
			strbuf_add_shell_word(&text, parts.path);
		}
	}
	fail_set(f, EXIT_CODE_INPUT, "%s", text.data);
	strbuf_deinit(&text);
	free(parts.path);
	return -1;
}

/* Whether the moments have something in between, and in which order. */
static int check_moments(struct work *w, const struct options *o, struct fail *f)
{
	const struct heapspy_info *a = &w->pair.a.snapshot->info, *b = &w->pair.b.snapshot->info;

	if (input_check_interposed(&w->pair.a, o, f) < 0 ||
		input_check_interposed(&w->pair.b, o, f) < 0)
		return -1;
	if (!input_is_same_process(w->pair.a.snapshot, w->pair.b.snapshot))
		return fail_set(f, EXIT_CODE_INPUT,
			"A and B are of different processes (%s, pid %u, and %s, pid %u): nothing "
			"was allocated between them; churn needs two moments of one",
			input_comm(w->pair.a.snapshot), a->pid, input_comm(w->pair.b.snapshot),
			b->pid);
	if (a->cut_ns == b->cut_ns)
		return fail_no_time(w, o, f);
	input_pair_order(&w->pair, o, "taken");
	return 0;
}

/* Every stack with blocks under watch counts: those born before A tell how long blocks live. */
static int name_stacks(struct work *w, const struct options *o, struct fail *f)
{
	size_t i, n = w->profile.n_stacks;
	bool *wanted = alloc_array(n, sizeof(*wanted));
	double *weights = alloc_array(n, sizeof(*weights));
	int rc = -1;

	for (i = 0; i < n; i++) {
		const struct churn_sums *sums = &w->churn.stacks[i];

		wanted[i] = sums->allocated.samples > 0 || sums->before.samples > 0 ||
			    sums->after.samples > 0 || sums->died > 0;
		/* The place that allocates most is the one a row shows. */
		weights[i] = sums->allocated.bytes + (wanted[i] ? 1e-9 : 0);
	}
	if (source_frames_init(&w->frames, &w->profile, o->hide, wanted, f) == 0)
		rc = sites_init(&w->sites, &w->frames, o->by, &o->filter, weights, f);
	free(wanted);
	free(weights);
	return rc;
}

/* Blocks whose end was not seen, or not when it was. */
static void warn_lifetimes(const struct churn *c)
{
	struct strbuf text = { 0 };

	if (!c->n_lost_deaths && !c->n_replaced)
		return;
	strbuf_add_text(&text, "between A and B ");
	if (c->n_lost_deaths) {
		units_add_count(&text, c->n_lost_deaths);
		strbuf_addf(&text, " sample%s died without room for the lifetime%s",
			c->n_lost_deaths == 1 ? "" : "s", c->n_replaced ? ", and " : "");
	}
	if (c->n_replaced) {
		units_add_count(&text, c->n_replaced);
		strbuf_addf(&text, " %s found dead only when the address was used again",
			c->n_replaced == 1 ? "was" : "were");
	}
	fail_warn("%s: lifetimes look longer than they are", text.data);
	strbuf_deinit(&text);
}

static void warn(struct work *w, const struct options *o, const bool *shown)
{
	bool *sites_shown = alloc_array(w->sites.n_sites, sizeof(*sites_shown));
	size_t i;

	/* What lies beside a run is said once. */
	w->pair.b.said_beside = o->n_args == 1;
	input_warn(&w->pair.a, o);
	input_warn(&w->pair.b, o);
	input_warn_reasons(&w->pair.b, o);
	input_warn_broken_stacks(&w->pair.b, o);
	if (!o->quiet)
		warn_lifetimes(&w->churn);
	for (i = 0; i < w->churn.n_rows; i++)
		sites_shown[w->churn.rows[i].group] |= shown[i];
	input_warn_symbols(&w->sites, sites_shown, o);
	free(sites_shown);
}

static void show(struct work *w, const struct options *o, struct strbuf *out)
{
	struct strbuf arguments = { 0 };
	struct churn_view view = {
		.options = o,
		.a = &w->pair.a,
		.b = &w->pair.b,
		.churn = &w->churn,
		.sites = &w->sites,
		.style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color),
	};
	bool *shown;

	input_pair_add_arguments(&arguments, &w->pair, o);
	view.arguments = arguments.data;
	view.style.full_names = o->full_names;
	shown = churn_choose_rows(&view);
	if (o->json)
		churn_json(&view, out);
	else if (o->csv)
		churn_csv(&view, out);
	else
		churn_text(&view, shown, out);
	warn(w, o, shown);
	free(shown);
	strbuf_deinit(&arguments);
}

static void work_deinit(struct work *w)
{
	sites_deinit(&w->sites);
	source_frames_deinit(&w->frames);
	churn_deinit(&w->churn);
	profile_deinit(&w->profile);
	input_pair_close(&w->pair);
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct work w = { 0 };
	int code = -1;

	if (input_pair_open(&w.pair, o, "churn", INPUT_NEEDS_LIVE, f) < 0 ||
		check_moments(&w, o, f) < 0) {
		work_deinit(&w);
		return -1;
	}
	profile_init(&w.profile);
	profile_add(&w.profile, w.pair.a.snapshot);
	profile_add(&w.profile, w.pair.b.snapshot);
	churn_init(&w.churn, &w.profile);
	if (name_stacks(&w, o, f) == 0) {
		churn_group(&w.churn, &w.profile, w.sites.group_of, w.sites.n_sites,
			o->metric == METRIC_OBJECTS);
		show(&w, o, out);
		code = 0;
	}
	work_deinit(&w);
	return code;
}

const struct command cmd_churn = {
	.name = "churn",
	.brief = "who allocates and frees most",
	.args = "A B | RUN",
	.about = "Shows which sites allocate between A and B, how much a second, and how long it\n"
		 "lives: temporary is what dies within 134 ms. RUN alone: from its first to its\n"
		 "last snapshot. Rows are sorted by the lower end of what dies young.\n"
		 "\n"
		 "hot: at least 1 % of all bytes and 1 MiB/s die young here; heavy: 10 %;\n"
		 "mid-life: at least 1 % outlive one second and die between A and B.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
