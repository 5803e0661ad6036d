/*
 * cmd_check.c - `heapspy check`: its options, what they add to the budget, which of its two forms
 * is meant, and its exit code. Verdicts are check/'s, the output out/check_*.c's.
 */
#include "analyzer/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/check/baseline.h"
#include "analyzer/check/confirm.h"
#include "analyzer/check/long_run.h"
#include "analyzer/out/check.h"
#include "analyzer/site_names.h"

#define CONFIRM_ALPHA .05

static const struct options_row rows[] = {
	{ OPTION_BASELINE, 0, "baseline", "DIR",
		"runs of what there was: a directory of runs, or one" },
	{ OPTION_CANDIDATE, 0, "candidate", "DIR", "runs of what is to come" },
	{ OPTION_BUDGET, 0, "budget", "FILE", "limits, one a line: peak 2GiB, site NAME +20%" },
	{ OPTION_NO_LEAKS, 0, "no-leaks", NULL, "of a RUN: no site may be leak-like" },
	{ OPTION_MAX_TOTAL, 0, "max-total", "MAX",
		"allocated bytes: 10GiB, or +5% of the baseline" },
	{ OPTION_MAX_PEAK, 0, "max-peak", "MAX", "most live bytes: 2GiB, or +5% of the baseline" },
	{ OPTION_MAX_GROWTH, 0, "max-growth", "RATE", "of a RUN: growth of the heap, as 5MiB/h" },
	{ OPTION_IGNORE, 0, "ignore", "RE",
		"check no sites whose function, file or module is\n"
		"like RE" },
	{ OPTION_BY, 0, "by", "function|line|module", "what a site is" },
	{ OPTION_METRIC, 0, "metric", "live|allocated", "which bytes of a site are compared" },
	{ OPTION_AT, 0, "at", "WHEN", "take live bytes there: peak, mark:NAME, 10m, -5m" },
	{ OPTION_PROGRAM, 0, "program", "NAME", "only runs of this program, also inside others" },
	{ OPTION_CONFIRM, 0, "confirm", "CMD",
		"what fails has to fail again in runs made by CMD\n"
		"(HEAPSPY_CHECK_SIDE: baseline or candidate)" },
	{ OPTION_ROWS, 'n', NULL, "N", "rows to show; 0: all (20)" },
	{ OPTION_ALL, 0, "all", NULL, "show sites that passed or were skipped, too" },
	{ OPTION_HIDE, 0, "hide", "RE",
		"fold functions like RE into their callers, beside\n"
		"the built-in list of allocators and containers;\n"
		"'none': fold nothing" },
	{ OPTION_FULL_NAMES, 0, "full-names", NULL, "never shorten or cut a name" },
	{ OPTION_DEBUGINFOD, 0, "debuginfod", "auto|off",
		"fetch missing debug files; auto: from the servers\n"
		"in DEBUGINFOD_URLS, if any" },
	{ OPTION_FORCE, 0, "force", NULL,
		"compare runs of different programs, with and\n"
		"without an end, or with many samples lost" },
	{ OPTION_JUNIT, 0, "junit", "FILE", "write the checks as JUnit XML, too" },
	{ OPTION_GITHUB, 0, "github", NULL, "print ::error lines for GitHub, too" },
	{ OPTION_JSON, 0, "json", NULL, "one JSON object: all checks, full names" },
	{ OPTION_COLOR, 0, "color", "auto|always|never", "colours; auto: on a terminal" },
	{ OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE" },
	{ OPTION_QUIET, 'q', "quiet", NULL, "only the verdict; no warnings" },
	CMD_ROW_HELP,
};

/* Everything between the options and the output. */
struct work {
	struct options options; /* as given, but for the metric where live bytes tell nothing */
	struct budget budget;
	struct check_report report;
	struct check_side base, candidate;
	struct site_table table;
	struct strbuf reproduce;
};

static int fail_budget(const char *path, const struct budget_errors *errors, struct fail *f)
{
	size_t i, n = errors->n < BUDGET_ERRORS_MAX ? errors->n : BUDGET_ERRORS_MAX;

	for (i = 0; i + 1 < errors->n && i < n; i++)
		fail_warn("%s:%u:%u: %s", path, errors->first[i].line, errors->first[i].column,
			errors->first[i].text);
	if (errors->n > n)
		return fail_set(f, EXIT_CODE_USAGE, "%s: %zu more errors", path, errors->n - n);
	return fail_set(f, EXIT_CODE_USAGE, "%s:%u:%u: %s", path, errors->first[i].line,
		errors->first[i].column, errors->first[i].text);
}

static int add_limit(
	struct budget_limit *limit, const char *option, const char *value, struct fail *f)
{
	if (!value)
		return 0;
	if (!budget_parse_limit(value, limit))
		return fail_set(f, EXIT_CODE_USAGE,
			"--%s: '%s' is not a size like 2GiB, nor growth like +5%%", option, value);
	limit->line = 0;
	return 0;
}

static int add_ignore(struct budget *b, const char *pattern, struct fail *f)
{
	char *wrong = budget_add_ignore(b, pattern, 0);

	if (!wrong)
		return 0;
	fail_set(f, EXIT_CODE_USAGE, "--ignore '%s' is no regular expression: %s", pattern, wrong);
	free(wrong);
	return -1;
}

/* The budget file, if any, and what the command line says instead of it. */
static int make_budget(struct budget *b, const struct options *o, struct fail *f)
{
	struct budget_errors errors = { .n = 0 };

	if (o->budget && budget_read(b, o->budget, &errors, f) < 0)
		return -1;
	if (errors.n)
		return fail_budget(o->budget, &errors, f);
	if (add_limit(&b->total, "max-total", o->max_total, f) < 0 ||
		add_limit(&b->peak, "max-peak", o->max_peak, f) < 0)
		return -1;
	if (o->max_growth) {
		if (!budget_parse_growth(o->max_growth, &b->growth))
			return fail_set(f, EXIT_CODE_USAGE,
				"--max-growth: '%s' is not a size per time like 5MiB/h (s, min, h, "
				"d)",
				o->max_growth);
		b->has_growth = true;
		b->growth_line = 0;
	}
	if (o->no_leaks) {
		b->no_leaks = true;
		b->no_leaks_line = 0;
	}
	return o->filter.ignore ? add_ignore(b, o->filter.ignore, f) : 0;
}

static bool is_same_place(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Which form is meant, and whether all options belong to it. */
static int check_form(const struct options *o, struct fail *f)
{
	const char *alien = NULL;

	if (o->json && o->github && !o->output)
		return fail_set(f, EXIT_CODE_USAGE,
			"--json and --github both print to standard output: send the one to a file "
			"with -o");
	if (!o->baseline && !o->candidate) {
		alien = o->confirm                      ? "--confirm"
			: o->at                         ? "--at"
			: o->metric == METRIC_ALLOCATED ? "--metric"
							: NULL;
		if (o->n_args != 1)
			return fail_set(f, EXIT_CODE_USAGE,
				"check needs a RUN, or --baseline and --candidate (see heapspy "
				"help check)");
		if (alien)
			return fail_set(f, EXIT_CODE_USAGE,
				"%s compares runs: it needs --baseline and --candidate", alien);
		return 0;
	}
	if (!o->baseline || !o->candidate)
		return fail_set(f, EXIT_CODE_USAGE, "--%s needs --%s beside it",
			o->baseline ? "baseline" : "candidate",
			o->baseline ? "candidate" : "baseline");
	alien = o->no_leaks ? "--no-leaks" : o->max_growth ? "--max-growth" : NULL;
	if (alien || o->n_args)
		return fail_set(f, EXIT_CODE_USAGE,
			"%s is for one long RUN; --baseline and --candidate compare many",
			alien ? alien : o->args[0]);
	if (is_same_place(o->baseline, o->candidate))
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' and '%s' are the same: nothing to compare", o->baseline,
			o->candidate);
	return 0;
}

/* Lines of a budget that serves both forms. */
static void warn_of_other_form(const struct budget *b, const struct options *o)
{
	if (o->quiet)
		return;
	if (o->baseline && (b->no_leaks || b->has_growth))
		fail_warn(
			"no-leaks and growth are checked of one long run, not here: heapspy check "
			"RUN");
	if (!o->baseline && (b->total.has_relative || b->peak.has_relative || b->n_sites))
		fail_warn("growth in %% and sites are checked against a baseline, not here");
}

/* The failure to look into: a site tells more than the sum it is in. */
static const struct check_row *worst_of(const struct check_report *report)
{
	const struct check_row *worst = NULL;
	size_t i;

	for (i = 0; i < report->n_rows; i++)
		if (report->rows[i].verdict == CHECK_FAIL &&
			(!worst || (!worst->name && report->rows[i].name)))
			worst = &report->rows[i];
	return worst;
}

static void add_moment(struct strbuf *out, const struct check_run *run, const char *when)
{
	struct strbuf moment = { 0 };

	strbuf_addf(&moment, "%s%s%s", run->path, when ? "@" : "", when ? when : "");
	strbuf_add_char(out, ' ');
	strbuf_add_shell_word(out, moment.data);
	strbuf_deinit(&moment);
}

static void add_focus(struct strbuf *out, const struct work *w, const struct options *o,
	const struct check_row *row)
{
	char *pattern;

	if (o->by == SITES_BY_MODULE) {
		strbuf_add_text(out, " --by module --module ");
		strbuf_add_shell_word(out, row->name);
		return;
	}
	pattern = site_names_pattern(&w->table.sites, &row->place);
	strbuf_add_text(out, " --focus ");
	strbuf_add_shell_word(out, pattern);
	free(pattern);
}

/* The command by which a person would look at it, on a run of each side. */
static void add_reproduction(struct work *w, const struct options *o)
{
	const struct check_row *row = worst_of(&w->report);
	const struct check_run *candidate = &w->candidate.runs[0];
	struct strbuf *out = &w->reproduce;
	const char *when;

	if (!row)
		return;
	when = row->metric == CHECK_PEAK ? "peak" : row->name ? o->at : NULL;
	if (row->metric == CHECK_LEAKS || row->metric == CHECK_GROWTH) {
		strbuf_add_text(out, row->metric == CHECK_LEAKS ? "heapspy trend" : "heapspy diff");
		add_moment(out, candidate, NULL);
		return;
	}
	strbuf_add_text(out, row->has_from ? "heapspy diff --force" : "heapspy top");
	if (row->metric == CHECK_TOTAL || (row->name && o->metric == METRIC_ALLOCATED))
		strbuf_add_text(out, " --metric allocated");
	if (row->has_from)
		add_moment(out, &w->base.runs[0], when);
	add_moment(out, candidate, when);
	if (row->name)
		add_focus(out, w, o, row);
}

static int write_file(const char *path, const struct strbuf *text, struct fail *f)
{
	FILE *stream = fopen(path, "we");
	int error = 0;

	if (!stream)
		return fail_set(f, EXIT_CODE_OTHER, "cannot write '%s': %s", path, strerror(errno));
	if (fwrite(text->data, 1, text->bytes, stream) < text->bytes)
		error = errno;
	if (fclose(stream) && !error)
		error = errno;
	if (error)
		return fail_set(f, EXIT_CODE_OTHER, "cannot write '%s': %s", path, strerror(error));
	return 0;
}

static int show(struct work *w, struct strbuf *out, struct fail *f)
{
	const struct options *o = &w->options;
	struct check_view view = {
		.options = o,
		.report = &w->report,
		.base = o->baseline ? &w->base : NULL,
		.candidate = &w->candidate,
		.budget_path = o->budget,
		.style = table_style_of(o->output ? -1 : STDOUT_FILENO, o->color),
	};
	struct strbuf text = { 0 };
	int rc = 0;
	bool *shown;

	add_reproduction(w, o);
	view.reproduce = w->reproduce.data;
	view.style.full_names = o->full_names;
	shown = check_choose_rows(&view);
	if (o->junit) {
		check_junit(&view, &text);
		rc = write_file(o->junit, &text, f);
		strbuf_clear(&text);
	}
	if (o->github)
		check_github(&view, o->output ? &text : out);
	if (text.bytes)
		fwrite(text.data, 1, text.bytes, stdout);
	if (o->json)
		check_json(&view, out);
	else
		check_text(&view, shown, out);
	free(shown);
	strbuf_deinit(&text);
	return rc;
}

/* Modules without names have sites that no other build knows. */
static void warn_symbols(const struct work *w, const struct options *o)
{
	bool *shown = alloc_array(w->table.sites.n_sites, sizeof(*shown));
	size_t i;

	for (i = 0; i < w->table.n_entries; i++)
		if (w->table.entries[i].samples >= BASELINE_SAMPLES_MIN)
			shown[w->table.entries[i].group] = true;
	input_warn_symbols(&w->table.sites, shown, o);
	free(shown);
}

static int read_side(struct check_side *side, const char *name, const char *path,
	const struct options *o, struct fail *f)
{
	struct runs_choice choice = { .program = o->program, .when = o->at, .options = o };

	return side_read(side, name, path, &choice, f);
}

/*
 * Of a program that frees everything at its end nothing is left to compare: unless it was asked
 * for, what its sites allocated stands in.
 */
static int make_table(struct work *w, struct fail *f)
{
	struct options *o = &w->options;

	if (site_table_init(&w->table, &w->base, &w->candidate, o, f) < 0)
		return -1;
	if (o->has_metric || o->at || site_table_count(&w->table, BASELINE_SAMPLES_MIN))
		return 0;
	site_table_deinit(&w->table);
	o->metric = METRIC_ALLOCATED;
	return site_table_init(&w->table, &w->base, &w->candidate, o, f);
}

/* Sites of the budget that hold nothing are told apart from those that are not there at all. */
static int explain_absent(struct work *w, const struct budget *budget, struct fail *f)
{
	struct options o = w->options;
	struct site_table allocated;
	int rc;

	if (!baseline_has_absent(&w->report))
		return 0;
	o.metric = METRIC_ALLOCATED;
	rc = site_table_init(&allocated, &w->base, &w->candidate, &o, f);
	if (rc == 0)
		baseline_explain_absent(&w->report, budget, &allocated);
	site_table_deinit(&allocated);
	return rc;
}

/* Reads and judges both sides. alpha: of the first look or of the confirming one. */
static int compare(struct work *w, const char *base_path, const char *candidate_path,
	const struct baseline_alpha *alpha, const struct budget *budget, struct fail *f)
{
	const struct options *o = &w->options;

	if (read_side(&w->base, "baseline", base_path, o, f) < 0 ||
		read_side(&w->candidate, "candidate", candidate_path, o, f) < 0 ||
		sides_check(&w->base, &w->candidate, o, f) < 0)
		return -1;
	sides_warn(&w->base, &w->candidate, o);
	if (make_table(w, f) < 0)
		return -1;
	baseline_judge(&w->report, &w->base, &w->candidate, &w->table, budget, alpha);
	return o->metric == METRIC_LIVE ? explain_absent(w, budget, f) : 0;
}

static void work_deinit(struct work *w)
{
	site_table_deinit(&w->table);
	side_deinit(&w->base);
	side_deinit(&w->candidate);
	report_deinit(&w->report);
	budget_deinit(&w->budget);
	strbuf_deinit(&w->reproduce);
}

/* What failed has to fail again in runs of its own. */
static int confirm(struct work *w, struct fail *f)
{
	const struct options *o = &w->options;
	size_t n_failed = report_count(&w->report, CHECK_FAIL);
	double each = CONFIRM_ALPHA / (double)n_failed;
	struct baseline_alpha alpha = { each, each, 0, each };
	struct work again = { .options = w->options };
	struct confirm batch;
	int rc;

	again.options.has_metric = true;
	rc = confirm_run(&batch, o->confirm, w->base.n_runs, w->candidate.n_runs, o->quiet, f);
	if (rc < 0) {
		confirm_remove(&batch);
	} else {
		/* What cannot be compared stays, as the error names it. */
		rc = compare(&again, batch.base_path, batch.candidate_path, &alpha, &w->budget, f);
		if (rc == 0)
			confirm_remove(&batch);
	}
	if (rc == 0)
		baseline_confirm(&w->report, &again.report);
	confirm_deinit(&batch);
	work_deinit(&again);
	return rc;
}

static int check_baseline(struct work *w, struct fail *f)
{
	const struct options *o = &w->options;

	if (compare(w, o->baseline, o->candidate, &baseline_alpha_default, &w->budget, f) < 0)
		return -1;
	warn_symbols(w, o);
	if (o->confirm && report_count(&w->report, CHECK_FAIL))
		return confirm(w, f);
	return 0;
}

static int check_long_run(struct work *w, const struct options *o, struct fail *f)
{
	const struct budget *b = &w->budget;

	if (!b->no_leaks && !b->has_growth && !b->total.has_bytes && !b->peak.has_bytes)
		return fail_set(f, EXIT_CODE_USAGE,
			"nothing to check of one run: give --no-leaks, --max-peak 2GiB, "
			"--max-growth 5MiB/h or a --budget with these");
	if (read_side(&w->candidate, "run", o->args[0], o, f) < 0)
		return -1;
	if (w->candidate.n_runs > 1)
		return fail_set(f, EXIT_CODE_USAGE,
			"'%s' holds %zu runs: check one of them ('%s'), or compare with --baseline "
			"and --candidate",
			o->args[0], w->candidate.n_runs, w->candidate.runs[0].path);
	if (input_check_interposed(&w->candidate.runs[0].input, o, f) < 0)
		return -1;
	input_warn(&w->candidate.runs[0].input, o);
	return long_run_judge(&w->report, &w->candidate, b, o, f);
}

static int run(const struct options *o, struct strbuf *out, struct fail *f)
{
	struct work w = { .options = *o };
	int code = -1;

	if (check_form(o, f) == 0 && make_budget(&w.budget, o, f) == 0) {
		warn_of_other_form(&w.budget, o);
		code = o->baseline ? check_baseline(&w, f) : check_long_run(&w, o, f);
	}
	if (code == 0)
		code = show(&w, out, f);
	if (code == 0 && report_count(&w.report, CHECK_FAIL))
		code = EXIT_CODE_GATE;
	work_deinit(&w);
	return code;
}

const struct command cmd_check = {
	.name = "check",
	.brief = "the CI gate",
	.args = "[RUN]",
	.about = "Passes or fails a build, exit code 0 or 1. One long RUN: no leaks, peak and\n"
		 "growth within limits. --baseline and --candidate: some runs of each, 3 or more,\n"
		 "are compared: bytes allocated, peak, and each site. What cannot be decided is\n"
		 "skipped, and says why.\n",
	.rows = rows,
	.n_rows = CMD_N_ROWS(rows),
	.min_args = 0,
	.max_args = 1,
	.run = run,
};
