/* trend_notes.c - owns the words for a run that is not as it should be. Finding out is history.c's.
 */
#include "analyzer/trend_notes.h"

#include "analyzer/run_end.h"
#include "analyzer/units.h"

#define NS_PER_S      1e9
/* Of the cuts: who counts the files of a run, and finds more than this left out, wonders. */
#define LEFT_OUT_PART 4
/* Of the age: what thinning by age leaves without a snapshot, even where it keeps very few. */
#define PRUNED_PART   3

/* "3 of marks or peaks, the one at exit": behind ", " but the first. */
static void add_part(struct strbuf *out, size_t n, const char *words)
{
	if (!n)
		return;
	strbuf_add_text(out, out->bytes ? ", " : "");
	units_add_count(out, n);
	strbuf_addf(out, " %s", words);
}

void trend_notes_add_short(
	struct strbuf *out, const struct history *h, const struct options *o, bool has_ended)
{
	size_t n_missing = TREND_PLAN_INTERVALS_MIN + 1 - h->n_cuts;

	if (h->is_lopsided) {
		units_add_count(out, h->n_cuts);
		strbuf_add_text(out, " snapshots, and a gap of ");
		units_add_duration(out, h->run.plan.largest_gap_seconds * NS_PER_S);
		strbuf_add_text(out, " that takes a half of the time: verdicts need snapshots in "
				     "both; choose a part with --since, --until");
		return;
	}
	units_add_count(out, h->n_cuts);
	strbuf_addf(out, " snapshot%s on time", h->n_cuts == 1 ? "" : "s");
	if (o->since || o->until)
		strbuf_add_text(out, " in this part of the run");
	if (h->n_cuts > 1) {
		strbuf_add_text(out, ", every ");
		units_add_duration(out, h->run.plan.interval_seconds * NS_PER_S);
	}
	strbuf_addf(out, ": verdicts need %d", TREND_PLAN_INTERVALS_MIN + 1);
	if (o->since || o->until)
		return;
	if (has_ended) {
		strbuf_add_text(out, "; run it longer, or with a shorter --interval");
	} else if (h->n_cuts > 1) {
		strbuf_add_text(out, ", in about ");
		units_add_duration(
			out, (double)n_missing * h->run.plan.interval_seconds * NS_PER_S);
	}
}

static void warn_others(const struct history *h, const struct snapshot *last)
{
	if (h->n_of_others)
		fail_warn("this run holds snapshots of %zu processes; these verdicts are of the "
			  "last one, pid %u; left out: %zu snapshot%s",
			h->n_other_processes + 1, last->info.pid, h->n_of_others,
			h->n_of_others == 1 ? "" : "s");
}

static void warn_left_out(const struct history *h, const struct snapshot *last)
{
	struct strbuf text = { 0 };

	/* A few are usual, and there are always some of peaks. */
	if (h->n_between - h->n_peaks > h->n_cuts / LEFT_OUT_PART)
		add_part(&text, h->n_between - h->n_peaks, "taken at marks or limits");
	if (!h->n_thinned && !last->info.n_pruned && h->n_dense > h->n_cuts / LEFT_OUT_PART)
		add_part(&text, h->n_dense, "too near to others");
	if (h->exit_freed > 0)
		strbuf_addf(&text,
			"%sthe one at exit, by which %.0f %% of the memory had been freed",
			text.bytes ? ", " : "", 100 * h->exit_freed);
	if (text.bytes)
		fail_warn("snapshots left out: %s", text.data);
	if (h->n_thinned) {
		strbuf_clear(&text);
		units_add_count(&text, h->n_thinned);
		fail_warn("%s snapshots: %zu of them%s are used", text.data, h->n_cuts,
			last->info.n_pruned ? "" : ", evenly spaced,");
	}
	if (h->n_unreadable == 1)
		fail_warn("one snapshot was passed over: %s", h->first_failure.text);
	else if (h->n_unreadable)
		fail_warn("%zu snapshots were passed over; the first: %s", h->n_unreadable,
			h->first_failure.text);
	if (h->uses_labels)
		fail_warn("snapshots that the program asked for count here as well: there are too "
			  "few on time");
	strbuf_deinit(&text);
}

/* Cut i comes late after the one before; see find_gaps() in trend_plan.c for how late. */
static bool is_gap(const struct history *h, size_t i)
{
	double seconds = (double)(h->cut_ns[i] - h->cut_ns[i - 1]) / NS_PER_S;

	return seconds > TREND_PLAN_GAP_INTERVALS * h->run.plan.interval_seconds;
}

/*
 * Of a run that is kept to a budget on disk the older part is sparse, and nothing is wrong with
 * it: snapshot_keep.h. Larger gaps are of another making.
 */
static bool is_made_by_age(const struct history *h, size_t i, const struct snapshot *last)
{
	uint64_t age_ns = h->cut_ns[h->n_cuts - 1] - h->cut_ns[i - 1];

	return last->info.n_pruned && h->cut_ns[i] - h->cut_ns[i - 1] <= age_ns / PRUNED_PART;
}

static void warn_gaps(const struct history *h, const struct snapshot *last)
{
	struct strbuf text = { 0 };
	size_t i, n = 0, best = 0;

	for (i = 1; i < h->n_cuts; i++) {
		if (!is_gap(h, i) || is_made_by_age(h, i, last))
			continue;
		n++;
		if (!best ||
			h->cut_ns[i] - h->cut_ns[i - 1] > h->cut_ns[best] - h->cut_ns[best - 1])
			best = i;
	}
	if (!n)
		return;
	strbuf_add_text(&text, "no snapshots from ");
	units_add_clock(&text, h->cut_ns[best - 1]);
	strbuf_add_text(&text, " to ");
	units_add_clock(&text, h->cut_ns[best]);
	if (n > 1)
		strbuf_addf(&text, ", nor in %zu shorter gap%s", n - 1, n == 2 ? "" : "s");
	/* Nobody else can take them then. */
	if (last->info.flags & HEAPSPY_INFO_STATE_PRIVATE)
		strbuf_add_text(&text, " (the process keeps its state to itself, and writes only "
				       "as it allocates)");
	fail_warn("%s: what came and went there is not seen", text.data);
	strbuf_deinit(&text);
}

static void warn_thinning(const struct history *h, const struct snapshot *last)
{
	struct strbuf text = { 0 };

	if (h->level == h->first_level)
		return;
	if (last->info.level_ns[h->level]) {
		strbuf_add_text(&text, "at ");
		units_add_clock(&text, last->info.level_ns[h->level]);
	} else {
		strbuf_add_text(&text, "inside this time");
	}
	strbuf_add_text(&text, " sampling became sparser, from ");
	units_add_bytes(&text, (double)profile_interval_bytes(last, h->first_level));
	strbuf_add_text(&text, " to ");
	units_add_bytes(&text, (double)profile_interval_bytes(last, h->level));
	fail_warn("%s: all of it is read at the latter", text.data);
	strbuf_deinit(&text);
}

void trend_notes_warn(const struct history *h, const struct snapshot *last)
{
	warn_others(h, last);
	warn_left_out(h, last);
	if (h->is_short)
		return;
	warn_gaps(h, last);
	warn_thinning(h, last);
	if (h->unknown_samples)
		fail_warn("%llu samples are of stacks that the last snapshot does not know; they "
			  "are in no row",
			(unsigned long long)h->unknown_samples);
}

void trend_notes_warn_fall(const struct history *h, const char *run)
{
	struct run_fall fall = run_end_find_fall(h->cuts, h->n_cuts);
	struct strbuf text = { 0 };

	if (!(fall.share > 0))
		return;
	run_end_add_hint(&text, &fall, "trend", run);
	fail_warn("%s", text.data);
	strbuf_deinit(&text);
}
