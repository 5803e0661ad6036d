/* input.c - owns opening of moments for commands and the warnings that go with a snapshot. */
#include "analyzer/input.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/profile.h"
#include "analyzer/read/run_near.h"
#include "analyzer/reasons.h"
#include "analyzer/units.h"

/* Share of broken stacks that is worth a warning, and the samples it takes to tell. */
#define BROKEN_SHARE       .2
#define BROKEN_SAMPLES_MIN 10

/* Rises of the interval that are told one by one. */
#define RISES_TOLD 3

static void add_missing(struct strbuf *out, const struct snapshot *s)
{
	uint32_t kind;

	for (kind = HEAPSPY_SECTION_INFO; kind < HEAPSPY_SECTION_TICKS; kind++)
		if (!SNAPSHOT_HAS(s, kind))
			strbuf_addf(
				out, "%s%s", out->bytes ? ", " : "", snapshot_section_name(kind));
}

static int check_sections(
	const struct snapshot *s, uint32_t need, const struct options *o, struct fail *f)
{
	struct strbuf missing = { 0 };
	int rc = 0;

	add_missing(&missing, s);
	if (need & ~s->sections)
		rc = fail_set(f, EXIT_CODE_INPUT,
			"too little of '%s' is whole (missing: %s); heapspy dump --partial shows "
			"the rest",
			s->path, missing.data);
	else if (missing.bytes && !o->quiet)
		fail_warn("'%s' is used in part; missing: %s", s->path, missing.data);
	strbuf_deinit(&missing);
	return rc;
}

/* Why text could not be opened, and what it might have been. */
static int fail_suggesting(const char *text, struct fail *f)
{
	struct moment_parts parts = moment_split(text);

	run_near_suggest(parts.path, parts.when, f);
	free(parts.path);
	return -1;
}

int input_open(struct input *in, const char *text, const char *bare_when, uint32_t need,
	const struct options *o, struct fail *f)
{
	memset(in, 0, sizeof(*in));
	if (moment_resolve(text, bare_when, &in->moment, f) < 0)
		return fail_suggesting(text, f);
	if (snapshot_read(in->moment.path, o->partial ? SNAPSHOT_PARTIAL : 0, &in->snapshot, f) ==
			0 &&
		check_sections(in->snapshot, need, o, f) == 0)
		return 0;
	input_close(in);
	return fail_suggesting(text, f);
}

void input_close(struct input *in)
{
	snapshot_free(in->snapshot);
	in->snapshot = NULL;
	moment_deinit(&in->moment);
}

bool input_is_same_process(const struct snapshot *a, const struct snapshot *b)
{
	return a->info.start_id == b->info.start_id && a->info.pid == b->info.pid;
}

int input_check_interposed(const struct input *in, const struct options *o, struct fail *f)
{
	const struct snapshot *s = in->snapshot;
	const char *front = snapshot_string(s, s->info.front_malloc);

	if (!(s->info.flags & HEAPSPY_INFO_NOT_INTERPOSED) || o->force)
		return 0;
	return fail_set(f, EXIT_CODE_INPUT,
		"not interposed: malloc of %s stands before heapspy's, so '%s' cannot tell what "
		"%s allocated\nfigures of what did come through heapspy: --force",
		front[0] ? front : "another object", s->path, input_comm(s));
}

bool input_is_lower_bound(const struct snapshot *s, uint64_t *n_lostp)
{
	*n_lostp =
		s->info.losses[HEAPSPY_LOSS_STATE_FULL] + s->info.losses[HEAPSPY_LOSS_NO_SCRATCH];
	return *n_lostp || (s->info.flags & HEAPSPY_INFO_LOWER_BOUND);
}

/* Samples of live blocks do not tell on which side of the truth a sum of all allocations is. */
static void warn_self_test(const struct snapshot *s)
{
	struct strbuf stand_for = { 0 }, exact = { 0 };
	double estimate, difference;

	if (!SNAPSHOT_HAS(s, HEAPSPY_SECTION_STACKS) ||
		(s->info.flags & (HEAPSPY_INFO_BYTES_LOWER | HEAPSPY_INFO_NOT_INTERPOSED)) ||
		profile_self_test(s, &estimate, &difference))
		return;
	units_add_bytes(&stand_for, estimate);
	units_add_bytes(&exact, (double)s->info.bytes_seen);
	if (!strcmp(stand_for.data, exact.data)) {
		strbuf_clear(&stand_for);
		strbuf_clear(&exact);
		strbuf_addf(&stand_for, "%.0f B", estimate);
		strbuf_addf(&exact, "%" PRIu64 " B", s->info.bytes_seen);
	}
	fail_warn("'%s' fails its self test: the samples stand for %s, the exact count is %s; do "
		  "not trust its ranges",
		s->path, stand_for.data, exact.data);
	strbuf_deinit(&stand_for);
	strbuf_deinit(&exact);
}

/* The process that was started first is often only the shell of the one that matters. */
static void warn_larger_inside(const struct moment *m)
{
	struct strbuf text = { 0 };

	units_add_count(&text, m->n_inside);
	strbuf_addf(&text, " more process%s of this run %s a directory inside; most memory: ",
		m->n_inside == 1 ? "" : "es", m->n_inside == 1 ? "has" : "have");
	strbuf_add_shell_word(&text, m->largest_inside);
	strbuf_add_text(&text, " (peak about ");
	units_add_bytes(&text, (double)m->largest_peak_bytes);
	strbuf_add_char(&text, ')');
	fail_warn("%s", text.data);
	strbuf_deinit(&text);
}

static void warn_beside(const struct input *in)
{
	if (in->moment.n_passed == 1)
		fail_warn("one snapshot beside '%s' was passed over: %s", in->snapshot->path,
			in->moment.first_passed.text);
	else if (in->moment.n_passed)
		fail_warn("%zu snapshots beside '%s' were passed over; the first: %s",
			in->moment.n_passed, in->snapshot->path, in->moment.first_passed.text);
	if (in->moment.largest_inside)
		warn_larger_inside(&in->moment);
	else if (in->moment.n_newer_inside)
		fail_warn("beside '%s' lie%s %zu newer run%s; the newest: %s", in->snapshot->path,
			in->moment.n_newer_inside == 1 ? "s" : "", in->moment.n_newer_inside,
			in->moment.n_newer_inside == 1 ? "" : "s", in->moment.newest_inside);
}

void input_warn(const struct input *in, const struct options *o)
{
	const struct snapshot *s = in->snapshot;
	uint64_t n_lost;

	if (o->quiet)
		return;
	if (!in->said_beside)
		warn_beside(in);
	if (!in->said_lost && input_is_lower_bound(s, &n_lost))
		fail_warn("'%s': %llu sample%s lost; figures are lower bounds", s->path,
			(unsigned long long)n_lost, n_lost == 1 ? " was" : "s were");
	if (s->info.flags & HEAPSPY_INFO_UNSEEN_DOORS)
		fail_warn("'%s': the program frees by functions that are not seen, too; what they "
			  "free looks live (docs/allocators.md)",
			s->path);
	if (s->info.losses[HEAPSPY_LOSS_MODULES])
		fail_warn("'%s': not every loaded library could be recorded; rows in code of the "
			  "others have no names",
			s->path);
	warn_self_test(s);
}

void input_warn_broken_stacks(const struct input *in, const struct options *o)
{
	const struct heapspy_info *info = &in->snapshot->info;
	double broken = (double)info->losses[HEAPSPY_LOSS_BROKEN_STACKS];
	double samples = (double)info->samples;

	if (o->quiet || samples < BROKEN_SAMPLES_MIN || broken <= BROKEN_SHARE * samples)
		return;
	fail_warn("%.0f %% of the stacks end early, at code without frame information: rows may be "
		  "too deep in libraries",
		broken < samples ? 100 * broken / samples : 100.0);
}

void input_warn_reasons(const struct input *in, const struct options *o)
{
	struct reasons reasons = reasons_of_info(&in->snapshot->info);
	struct strbuf text = { 0 };
	unsigned what;

	for (what = 0; what < REASONS_N && !o->quiet; what++) {
		strbuf_clear(&text);
		if (reasons_add(&text, &reasons, what))
			fail_warn("'%s': %s", in->snapshot->path, text.data);
	}
	strbuf_deinit(&text);
}

/* What gives a module names that it has not brought along. */
static void add_symbols_advice(struct strbuf *out, const struct symbols_report *report)
{
	const char *urls = getenv("DEBUGINFOD_URLS");

	if (report->source != SYMBOLS_DYNSYM && report->source != SYMBOLS_EMPTY)
		return;
	strbuf_add_text(out, "; ");
	if (report->debug_link)
		strbuf_addf(out, "put its debug file '%s' beside it, or ", report->debug_link);
	strbuf_add_text(out, "install its debug package");
	if (!urls || !urls[0])
		strbuf_add_text(out, ", or set DEBUGINFOD_URLS");
}

/* Whether a shown row is named by module; unnamed: and by nothing better than its offset. */
static bool names_a_row(const struct sites *sites, const bool *shown, uint32_t module, bool unnamed)
{
	size_t i;

	for (i = 0; i < sites->n_sites; i++)
		if (shown[i] && sites->sites[i].module_index == module &&
			(!unnamed || strstr(sites->sites[i].function, "+0x")))
			return true;
	return false;
}

static void warn_unnamed(const struct symbols_report *report)
{
	struct strbuf text = { 0 };

	units_add_count(&text, report->n_unnamed);
	strbuf_add_text(&text, " of ");
	units_add_count(&text, report->n_addresses);
	strbuf_addf(
		&text, " addresses in %s have no symbols", source_frames_base_name(report->path));
	if (report->build_id[0])
		strbuf_addf(&text, " (build id %s)", report->build_id);
	if (symbols_source_text(report->source))
		strbuf_addf(&text, ": %s", symbols_source_text(report->source));
	add_symbols_advice(&text, report);
	fail_warn("%s", text.data);
	strbuf_deinit(&text);
}

void input_warn_symbols(const struct sites *sites, const bool *shown, const struct options *o)
{
	const struct source_frames *sf = sites->frames;
	size_t n = symbols_module_count(sf->symbols);
	uint32_t module;

	for (module = 0; module < sf->profile->n_modules && !o->quiet; module++) {
		int handle = sf->module_handles[module];
		struct symbols_report report;

		if (handle < 0 || (size_t)handle >= n)
			continue;
		symbols_get_report(sf->symbols, handle, &report);
		if (report.n_unnamed && names_a_row(sites, shown, module, true))
			warn_unnamed(&report);
		else if (report.source == SYMBOLS_SPLIT && names_a_row(sites, shown, module, false))
			fail_warn("debug info of %s is in .dwo files, which are not read: rows "
				  "have no inlined functions",
				source_frames_base_name(report.path));
	}
}

const char *input_comm(const struct snapshot *s)
{
	const char *comm = snapshot_string(s, s->info.comm);

	return comm[0] ? comm : "?";
}

const char *input_allocator(const struct snapshot *s)
{
	const char *path = snapshot_string(s, s->info.next_malloc), *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void input_add_interval(struct strbuf *out, uint64_t interval_bytes)
{
	if (interval_bytes <= 1) {
		strbuf_add_text(out, "every allocation (exact)");
		return;
	}
	strbuf_add_text(out, "mean interval ");
	units_add_bytes(out, (double)interval_bytes);
}

/* Of a level; level_ns 0: nobody knows since when. */
static void add_rise(
	struct strbuf *out, const struct snapshot *s, uint32_t level, uint64_t level_ns)
{
	strbuf_add_text(out, " -> ");
	units_add_bytes(out, (double)profile_interval_bytes(s, level));
	if (!level_ns)
		return;
	strbuf_add_text(out, " at ");
	units_add_clock(out, level_ns);
}

void input_add_intervals(struct strbuf *out, const struct snapshot *s)
{
	uint32_t level, n_rises = 1, n_told = 0;

	if (!s->level) {
		input_add_interval(out, s->info.interval_bytes);
		return;
	}
	if (s->info.interval_bytes <= 1)
		strbuf_add_text(out, "every allocation");
	else
		input_add_interval(out, s->info.interval_bytes);
	for (level = 1; level < s->level; level++)
		n_rises += s->info.level_ns[level] != 0;
	for (level = 1; level < s->level; level++) {
		if (!s->info.level_ns[level])
			continue;
		if (n_told++ == 0 || n_rises <= RISES_TOLD)
			add_rise(out, s, level, s->info.level_ns[level]);
		else if (n_told == 2)
			strbuf_addf(out, " -> (%u more)", n_rises - 2);
	}
	add_rise(out, s, s->level, s->info.level_ns[s->level]);
}
