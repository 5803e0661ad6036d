/*
 * history_cuts.c - owns which snapshots of a run are its cuts. What the cuts hold is history.c's,
 * what their times mean stats/trend_plan.c's.
 */
#include "analyzer/history_cuts.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/run_end.h"

/*
 * Of one in so many snapshots each next one is taken that is at most this part of a median
 * interval early: even times are thinned evenly, and bursts on request do not outweigh the rest.
 */
#define EARLY_INTERVALS .75

/* Why a snapshot is no cut; TAKEN: it may be one. */
enum place { TAKEN, LABELLED, BETWEEN, OUTSIDE, LEFT_OUT };

static bool same_process(const struct heapspy_info *a, const struct heapspy_info *b)
{
	return a->start_id == b->start_id && a->pid == b->pid;
}

/* By time, as files may have been copied under other numbers. */
static int compare_times(const void *left, const void *right)
{
	const struct run_entry *a = *(const struct run_entry *const *)left;
	const struct run_entry *b = *(const struct run_entry *const *)right;

	if (a->info.cut_ns != b->info.cut_ns)
		return a->info.cut_ns < b->info.cut_ns ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Entries of the last process of the run, by time; counts the others. */
static const struct run_entry **entries_of_last(
	struct history *h, const struct run_dir *run, size_t *np)
{
	const struct run_entry **ours = alloc_array(run->n_entries, sizeof(*ours));
	const struct heapspy_info *last = &run->entries[run->n_entries - 1].info;
	size_t i, k, n = 0;

	for (i = 0; i < run->n_entries; i++) {
		const struct heapspy_info *info = &run->entries[i].info;

		if (same_process(info, last)) {
			ours[n++] = &run->entries[i];
			continue;
		}
		h->n_of_others++;
		/* Snapshots of one process follow each other, but need not. */
		for (k = 0; k < i && !same_process(info, &run->entries[k].info); k++)
			;
		h->n_other_processes += k == i;
	}
	qsort(ours, n, sizeof(*ours), compare_times);
	*np = n;
	return ours;
}

static enum place place_of(const struct heapspy_info *info, const struct history_window *window)
{
	if (window && (info->cut_ns < window->from_ns || info->cut_ns > window->to_ns))
		return OUTSIDE;
	switch (info->reason) {
	case HEAPSPY_REASON_LABEL:
		return LABELLED;
	case HEAPSPY_REASON_PEAK:
	case HEAPSPY_REASON_LIMIT:
		return BETWEEN;
	default:
		return TAKEN;
	}
}

/*
 * The one at exit shows what a program frees on its way out as if it had died in the run: it is a
 * cut only where there are too few others, and it has freed nothing.
 */
static void leave_out_exit(struct history *h, const struct run_entry *const *entries,
	enum place *places, size_t n, size_t n_taken)
{
	size_t i = n - 1, before;

	if (places[i] != TAKEN || entries[i]->info.reason != HEAPSPY_REASON_EXIT || n_taken < 3)
		return;
	for (before = i - 1; places[before] != TAKEN; before--)
		;
	h->exit_freed = run_end_freed(&entries[before]->info, &entries[i]->info);
	if (h->exit_freed > 0 || n_taken - 1 > TREND_PLAN_INTERVALS_MIN) {
		places[i] = LEFT_OUT;
		h->exit_left_out = true;
	}
}

static int compare_u64(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static uint64_t median_interval_ns(const struct history *h)
{
	size_t i, n = h->n_cuts - 1;
	uint64_t *intervals = alloc_array(n, sizeof(*intervals)), median;

	for (i = 0; i < n; i++)
		intervals[i] = h->cuts[i + 1]->info.cut_ns - h->cuts[i]->info.cut_ns;
	qsort(intervals, n, sizeof(*intervals), compare_u64);
	median = intervals[(n - 1) / 2];
	free(intervals);
	return median;
}

/*
 * Keeps the last cut, and before it those that are far enough apart for HISTORY_CUTS_MAX. A burst
 * of short intervals makes the median small, so that more may be left: they are thinned again.
 */
static void thin_out(struct history *h)
{
	size_t i, kept, n = h->n_cuts, stride;
	double apart_ns;

	h->n_thinned = n > HISTORY_CUTS_MAX ? n : 0;
	do {
		n = h->n_cuts;
		if (n < 3)
			return;
		stride = (n + HISTORY_CUTS_MAX - 1) / HISTORY_CUTS_MAX;
		apart_ns = ((double)stride - EARLY_INTERVALS) * (double)median_interval_ns(h);
		kept = n - 1;
		for (i = n - 1; i-- > 0;)
			if ((double)(h->cuts[kept]->info.cut_ns - h->cuts[i]->info.cut_ns) >=
				apart_ns)
				h->cuts[--kept] = h->cuts[i];
		h->n_cuts = n - kept;
		memmove(h->cuts, h->cuts + kept, h->n_cuts * sizeof(h->cuts[0]));
		h->n_dense += kept;
	} while (h->n_cuts > HISTORY_CUTS_MAX && h->n_cuts < n);
}

static void make_plan(struct history *h)
{
	size_t i;

	for (i = 0; i < h->n_cuts; i++)
		h->cut_ns[i] = h->cuts[i]->info.cut_ns;
	trend_plan_deinit(&h->run.plan);
	trend_plan_init(&h->run.plan, h->cut_ns, h->n_cuts);
	h->is_lopsided = !trend_plan_is_short(&h->run.plan) && trend_plan_is_lopsided(&h->run.plan);
	h->is_short = trend_plan_is_short(&h->run.plan) || h->is_lopsided;
	h->first_level = h->cuts[0]->info.level;
	for (i = 0; i < h->n_cuts; i++)
		if (h->cuts[i]->info.level > h->level)
			h->level = h->cuts[i]->info.level;
}

void history_cuts_drop(struct history *h, const bool *bad)
{
	size_t i, n = 0;

	for (i = 0; i < h->n_cuts; i++)
		if (!bad[i])
			h->cuts[n++] = h->cuts[i];
	h->n_cuts = n;
	make_plan(h);
}

void history_cuts_failed(struct history *h, const struct fail *why)
{
	if (!h->n_unreadable++)
		h->first_failure = *why;
}

/* Takes the entries for which there is reason to; their times rise. */
static void take(struct history *h, const struct run_entry *const *entries,
	const enum place *places, size_t n)
{
	size_t i;

	h->n_cuts = 0;
	for (i = 0; i < n; i++) {
		if (places[i] != TAKEN && !(places[i] == LABELLED && h->uses_labels))
			continue;
		if (h->n_cuts && entries[i]->info.cut_ns <= h->cuts[h->n_cuts - 1]->info.cut_ns)
			h->n_dense++;
		else
			h->cuts[h->n_cuts++] = entries[i];
	}
}

int history_choose(struct history *h, const struct run_dir *run,
	const struct history_window *window, struct fail *f)
{
	const struct run_entry **entries;
	size_t i, n, n_of[LEFT_OUT] = { 0 };
	enum place *places;

	memset(h, 0, sizeof(*h));
	h->n_unreadable = run->n_unreadable;
	h->first_failure = run->first_failure;
	entries = entries_of_last(h, run, &n);
	places = alloc_array(n, sizeof(*places));
	for (i = 0; i < n; i++) {
		places[i] = place_of(&entries[i]->info, window);
		n_of[places[i]]++;
		h->n_peaks +=
			places[i] == BETWEEN && entries[i]->info.reason == HEAPSPY_REASON_PEAK;
	}
	leave_out_exit(h, entries, places, n, n_of[TAKEN]);
	n_of[TAKEN] -= h->exit_left_out;
	h->n_outside = n_of[OUTSIDE];
	h->uses_labels = n_of[LABELLED] && n_of[TAKEN] <= TREND_PLAN_INTERVALS_MIN;
	h->n_between = n_of[BETWEEN] + (h->uses_labels ? 0 : n_of[LABELLED]);
	h->cuts = alloc_array(n, sizeof(*h->cuts));
	h->cut_ns = alloc_array(n, sizeof(*h->cut_ns));
	take(h, entries, places, n);
	free(entries);
	free(places);
	if (!h->n_cuts && h->n_outside)
		return fail_set(f, EXIT_CODE_INPUT,
			"none of the %zu snapshots lies in the time asked for", n);
	if (!h->n_cuts)
		return fail_set(f, EXIT_CODE_INPUT,
			"the run has no snapshot at a regular time: its %zu %s of peaks and limits",
			n, n == 1 ? "is" : "are");
	thin_out(h);
	make_plan(h);
	return 0;
}
