/*
 * trend_look.c - owns the order in which a run is read, named, judged and shown. Reading is
 * history.c's, verdicts are stats/trend.c's, words out/trend_*.c's.
 */
#include "analyzer/trend_look.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/cmd.h"
#include "analyzer/history.h"
#include "analyzer/input.h"
#include "analyzer/moment.h"
#include "analyzer/out/trend.h"
#include "analyzer/read/run_dir.h"
#include "analyzer/symbols_progress.h"
#include "analyzer/trend_hidden.h"
#include "analyzer/trend_notes.h"

/* Of the parts of rows, which are a second look at what the rows have shown. */
#define HIDDEN_DISCOVERY_RATE (TREND_DISCOVERY_RATE / 2)

struct trend_look {
	const struct options *options;
	bool in_watch;
	unsigned number; /* 0: the only one, or without verdicts */
	struct symbols *symbols;
	struct run_dir run;
	struct history history;
	struct input last; /* its moment holds what lies beside, and is the run's */
	struct profile profile;
	struct source_frames frames;
	struct sites sites;
	struct history_sites groups, stacks;
	struct trend_hidden hidden;
	struct trend_result *results, *stack_results; /* of rows, then of what these hide */
	const struct trend_result **stack_of;         /* by stack of the profile */
	struct trend_row *rows;
	size_t n_results;
};

/* "10m", "@10m", "mark:x": WHEN with or without the '@' that stands before it elsewhere. */
static int choose_time(const struct trend_look *look, const char *option, const char *when,
	uint64_t *nsp, struct fail *f)
{
	const struct run_entry *entry;
	char note[160];
	struct fail why;

	if (when[0] == '@')
		when++;
	if (moment_choose(
		    &look->run, look->options->args[0], when, &entry, note, sizeof(note), &why) < 0)
		return fail_set(f, why.exit_code, "--%s: %s", option, why.text);
	*nsp = entry->info.cut_ns;
	if (note[0] && !look->options->quiet)
		fail_warn("--%s %s: %s", option, when, note);
	return 0;
}

static int choose_window(
	const struct trend_look *look, struct history_window *window, struct fail *f)
{
	const struct options *o = look->options;

	*window = (struct history_window){ 0, UINT64_MAX };
	if (o->since && choose_time(look, "since", o->since, &window->from_ns, f) < 0)
		return -1;
	if (o->until && choose_time(look, "until", o->until, &window->to_ns, f) < 0)
		return -1;
	if (window->from_ns >= window->to_ns)
		return fail_set(f, EXIT_CODE_USAGE,
			"--since %s is not before --until %s: nothing lies between",
			o->since ? o->since : "first", o->until ? o->until : "last");
	return 0;
}

/* The runs that lie in the directory are told of as top and diff do. */
static void note_inside(struct trend_look *look)
{
	struct moment *m = &look->last.moment;

	m->n_newer_inside = look->run.n_newer_inside;
	m->newest_inside = look->run.newest_inside;
	m->n_inside = look->run.n_inside;
	m->largest_inside = look->run.largest_inside;
	m->largest_peak_bytes = look->run.largest_peak_bytes;
}

static int open_run(struct trend_look *look, struct fail *f)
{
	struct history_window window;

	if (run_dir_read(look->options->args[0], &look->run, f) < 0 ||
		choose_window(look, &window, f) < 0 ||
		history_choose(&look->history, &look->run, &window, f) < 0 ||
		history_open_last(&look->history, &look->last.snapshot, f) < 0)
		return -1;
	note_inside(look);
	return input_check_interposed(&look->last, look->options, f);
}

static void show_progress(void *user, size_t n, size_t n_all)
{
	symbols_progress_show_count(user, "snapshots", n, n_all);
}

static int read_cuts(struct trend_look *look, struct fail *f)
{
	struct symbols_progress progress;
	int rc;

	profile_add(&look->profile, look->last.snapshot);
	symbols_progress_begin(&progress, look->in_watch ? -1 : STDERR_FILENO);
	rc = history_sum(&look->history, &look->profile, show_progress, &progress, f);
	symbols_progress_end(&progress);
	return rc;
}

static double *weights_of(const struct trend_look *look)
{
	size_t i, n = look->profile.n_stacks;
	double *weights = alloc_array(n, sizeof(*weights));

	for (i = 0; i < n; i++)
		weights[i] = history_mean_bytes(&look->history, i);
	return weights;
}

static int name_stacks(struct trend_look *look, struct fail *f)
{
	const struct options *o = look->options;
	size_t i, n = look->profile.n_stacks;
	bool *wanted = alloc_array(n, sizeof(*wanted));
	double *weights = weights_of(look);
	int rc;

	for (i = 0; i < n; i++)
		wanted[i] = history_was_live(&look->history, i);
	rc = look->symbols ? source_frames_init_shared(&look->frames, &look->profile, o->hide,
				     wanted, look->symbols, f)
			   : source_frames_init(&look->frames, &look->profile, o->hide, wanted, f);
	if (rc == 0)
		rc = sites_init(&look->sites, &look->frames, o->by, &o->filter, weights, f);
	free(wanted);
	free(weights);
	return rc;
}

/* Each stack of the rows as if it were a site of its own. */
static void judge_stacks(struct trend_look *look)
{
	size_t i, n = look->profile.n_stacks;
	uint32_t *group_of = alloc_array(n, sizeof(*group_of));
	struct trend_judging judging = { .discovery_rate = TREND_DISCOVERY_RATE };

	/* Those that the filter leaves out, too, as judge() does. */
	for (i = 0; i < n; i++)
		group_of[i] = (uint32_t)i;
	history_group(&look->history, group_of, n, &look->stacks);
	free(group_of);
	look->stack_results = alloc_array(look->stacks.n_sites, sizeof(*look->stack_results));
	look->stack_of = alloc_array(n, sizeof(*look->stack_of));
	trend_judge(&look->history.run, look->stacks.structures, look->stacks.n_sites, &judging,
		look->stack_results);
	for (i = 0; i < look->stacks.n_sites; i++)
		if (look->stacks.groups[i] < n)
			look->stack_of[look->stacks.groups[i]] = &look->stack_results[i];
}

/* Leaks inside rows that are none; their results follow those of the rows. */
static void find_hidden(struct trend_look *look)
{
	struct trend_judging judging = { .discovery_rate = HIDDEN_DISCOVERY_RATE,
		.look = look->number };
	size_t n = look->n_results;

	trend_hidden_set_places(&look->sites, &look->history, &look->groups, look->results);
	trend_hidden_find(&look->hidden, &look->history, &look->sites, look->options->by,
		&look->groups, look->results, &judging);
	look->results = alloc_resize(look->results, n + look->hidden.n, sizeof(*look->results));
	memcpy(look->results + n, look->hidden.results, look->hidden.n * sizeof(*look->results));
}

static void list_rows(struct trend_look *look)
{
	size_t i, n = look->n_results;

	look->rows = alloc_array(n + look->hidden.n, sizeof(*look->rows));
	for (i = 0; i < n + look->hidden.n; i++) {
		const struct trend_hidden_leak *hidden = i < n ? NULL : &look->hidden.leaks[i - n];
		struct trend_row *row = &look->rows[i];

		row->result = &look->results[i];
		row->group = look->groups.groups[hidden ? hidden->row : i];
		row->hidden = hidden;
		row->site = hidden ? &hidden->site : &look->sites.sites[row->group];
	}
}

/*
 * The groups to judge: the rows, and behind them what the filter leaves out, grouped as if there
 * were no filter. A verdict is a discovery among all sites of the run; what somebody looks at must
 * not change it.
 */
static int group_all(
	const struct trend_look *look, uint32_t *group_of, size_t *n_groupsp, struct fail *f)
{
	static const struct sites_filter no_filter;
	const struct options *o = look->options;
	size_t i, n = look->profile.n_stacks;
	struct sites whole;
	double *weights;
	int rc;

	memcpy(group_of, look->sites.group_of, n * sizeof(*group_of));
	*n_groupsp = look->sites.n_sites;
	if (!o->filter.focus && !o->filter.ignore && !o->filter.module)
		return 0;
	weights = weights_of(look);
	rc = sites_init(&whole, &look->frames, o->by, &no_filter, weights, f);
	free(weights);
	if (rc < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (group_of[i] == SITES_NO_GROUP && whole.group_of[i] != SITES_NO_GROUP)
			group_of[i] = (uint32_t)(look->sites.n_sites + whole.group_of[i]);
	*n_groupsp += whole.n_sites;
	sites_deinit(&whole);
	return 0;
}

/* Keeps the rows of the table, in order, with their results. */
static void drop_others(struct trend_look *look)
{
	struct history_sites *groups = &look->groups;
	size_t i, n = 0;

	for (i = 0; i < groups->n_sites; i++) {
		if (groups->groups[i] >= look->sites.n_sites)
			continue;
		groups->structures[n] = groups->structures[i];
		look->results[n] = look->results[i];
		groups->groups[n++] = groups->groups[i];
	}
	look->n_results = groups->n_sites = n;
}

static int judge(struct trend_look *look, struct fail *f)
{
	const struct options *o = look->options;
	struct history_sites *groups = &look->groups;
	struct trend_judging judging = { .discovery_rate = TREND_DISCOVERY_RATE,
		.look = look->number };
	uint32_t *group_of = alloc_array(look->profile.n_stacks, sizeof(*group_of));
	size_t i, n_groups, n = 0;
	int rc = group_all(look, group_of, &n_groups, f);

	if (rc == 0)
		history_group(&look->history, group_of, n_groups, groups);
	free(group_of);
	if (rc < 0)
		return -1;
	look->results = alloc_array(groups->n_sites, sizeof(*look->results));
	/* What has no stack has no place to show it at. */
	for (i = 0; i < groups->n_sites; i++) {
		if (groups->groups[i] == HISTORY_UNKNOWN_GROUP)
			continue;
		groups->structures[n] = groups->structures[i];
		groups->groups[n++] = groups->groups[i];
	}
	groups->n_sites = n;
	trend_judge(&look->history.run, groups->structures, n, &judging, look->results);
	drop_others(look);
	find_hidden(look);
	list_rows(look);
	if (o->json || o->by == SITES_BY_SITE || (o->has_stacks && o->n_stacks))
		judge_stacks(look);
	return 0;
}

static int take(struct trend_look *look, struct trend_watching *watching, struct fail *f)
{
	if (open_run(look, f) < 0)
		return -1;
	if (look->history.is_short)
		return 0;
	if (read_cuts(look, f) < 0)
		return -1;
	/* Damaged ones may have turned up. */
	if (look->history.is_short)
		return 0;
	if (name_stacks(look, f) < 0)
		return -1;
	if (watching->in_watch)
		look->number = ++watching->look;
	return judge(look, f);
}

int trend_look_take(const struct options *o, struct trend_watching *watching,
	struct trend_look **lookp, struct fail *f)
{
	struct trend_look *look = alloc_array(1, sizeof(*look));

	look->options = o;
	look->in_watch = watching->in_watch;
	look->symbols = watching->symbols;
	profile_init(&look->profile);
	if (take(look, watching, f) < 0) {
		trend_look_free(look);
		return -1;
	}
	*lookp = look;
	return 0;
}

void trend_look_free(struct trend_look *look)
{
	if (!look)
		return;
	free(look->rows);
	free(look->results);
	free(look->stack_results);
	free(look->stack_of);
	trend_hidden_deinit(&look->hidden);
	history_sites_deinit(&look->groups);
	history_sites_deinit(&look->stacks);
	sites_deinit(&look->sites);
	source_frames_deinit(&look->frames);
	profile_deinit(&look->profile);
	snapshot_free(look->last.snapshot);
	history_deinit(&look->history);
	run_dir_deinit(&look->run);
	free(look);
}

static bool is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static struct trend_view view_of(struct trend_look *look, int columns)
{
	const struct options *o = look->options;
	struct trend_view view = {
		.options = o,
		.run = o->args[0],
		.last = &look->last,
		.history = &look->history,
		.sites = &look->sites,
		.results = look->results,
		.n_results = look->n_results,
		.n_rows = look->n_results + look->hidden.n,
		.rows = look->rows,
		.stacks = look->stack_of,
		.style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color),
		.ascii = o->ascii || !is_utf8(),
		.in_watch = look->in_watch,
		.look = look->number,
	};

	view.style.full_names = o->full_names;
	if (columns > 0)
		view.style.columns = columns;
	return view;
}

/* The growth that diff would show between the first and the last cut, or of the run. */
static int diff(struct trend_look *look, struct strbuf *out, struct fail *f)
{
	const struct history *h = &look->history;
	struct options o = *look->options;
	struct strbuf first = { 0 }, last = { 0 };
	char *args[2];
	int rc;

	strbuf_add_text(&first, o.args[0]);
	if (h->n_cuts > 1) {
		strbuf_addf(&first, "@%llu", (unsigned long long)h->cuts[0]->number);
		strbuf_addf(&last, "%s@%llu", o.args[0],
			(unsigned long long)h->cuts[h->n_cuts - 1]->number);
	}
	args[0] = first.data;
	args[1] = last.data;
	o.args = args;
	o.n_args = h->n_cuts > 1 ? 2 : 1;
	o.exit_code = false;
	o.since = o.until = NULL;
	rc = cmd_diff.run(&o, out, f);
	strbuf_deinit(&first);
	strbuf_deinit(&last);
	return rc < 0 ? -1 : 0;
}

static int show_short(
	struct trend_look *look, struct trend_view *view, struct strbuf *out, struct fail *f)
{
	const struct options *o = look->options;
	struct strbuf text = { 0 };
	int rc = 0;

	/* Of one snapshot nothing grew: whoever watches waits for the next one. */
	if (look->history.n_cuts == 1 && look->in_watch && !o->json) {
		bool has_ended = trend_look_has_ended(look);

		trend_notes_add_short(out, &look->history, o, has_ended);
		strbuf_add_text(out, has_ended ? ".\n" : ". Waiting for the next one.\n");
		return 0;
	}
	if (look->history.n_cuts == 1 && !look->in_watch && (o->since || o->until))
		return fail_set(f, EXIT_CODE_INPUT,
			"--since and --until leave one of the %zu snapshots of '%s': nothing to "
			"compare",
			look->run.n_entries, o->args[0]);
	if (o->csv) {
		trend_csv(view, out);
		return 0;
	}
	if (!o->json || !look->in_watch)
		rc = diff(look, &text, f);
	if (rc == 0 && o->json) {
		trend_json_short(view, look->in_watch ? NULL : text.data, out);
	} else if (rc == 0) {
		trend_notes_add_short(out, &look->history, o, trend_look_has_ended(look));
		strbuf_add_text(out, ". What grew so far:\n\n");
		strbuf_add(out, text.data, text.bytes);
	}
	strbuf_deinit(&text);
	return rc;
}

int trend_look_show(struct trend_look *look, int columns, struct strbuf *out, struct fail *f)
{
	const struct options *o = look->options;
	struct trend_view view = view_of(look, columns);

	if (look->history.is_short)
		return show_short(look, &view, out, f);
	trend_arrange(&view);
	if (o->json)
		trend_json(&view, out);
	else if (o->csv)
		trend_csv(&view, out);
	else
		trend_text(&view, out);
	return 0;
}

void trend_look_warn(const struct trend_look *look)
{
	const struct options *o = look->options;
	bool *shown;
	size_t i;

	if (o->quiet)
		return;
	if (look->history.is_short && o->csv) {
		struct strbuf text = { 0 };

		trend_notes_add_short(&text, &look->history, o, trend_look_has_ended(look));
		fail_warn("%s", text.data);
		strbuf_deinit(&text);
	}
	trend_notes_warn(&look->history, look->last.snapshot);
	if (!o->until)
		trend_notes_warn_fall(&look->history, o->args[0]);
	/* The comparison has told the rest. */
	if (look->history.is_short)
		return;
	input_warn(&look->last, o);
	input_warn_reasons(&look->last, o);
	input_warn_broken_stacks(&look->last, o);
	shown = alloc_array(look->sites.n_sites, sizeof(*shown));
	for (i = 0; i < look->n_results + look->hidden.n; i++)
		shown[look->rows[i].group] |= look->rows[i].fate == TREND_SHOWN;
	input_warn_symbols(&look->sites, shown, o);
	free(shown);
}

bool trend_look_has_leaks(const struct trend_look *look)
{
	size_t i;

	for (i = 0; i < look->n_results + look->hidden.n; i++)
		if (look->results[i].verdict <= TREND_LEAK_SLOWING)
			return true;
	return false;
}

bool trend_look_has_ended(const struct trend_look *look)
{
	uint32_t reason = look->run.entries[look->run.n_entries - 1].info.reason;

	return reason == HEAPSPY_REASON_EXIT || reason == HEAPSPY_REASON_RECOVERED;
}
