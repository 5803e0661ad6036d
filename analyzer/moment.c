/* moment.c - owns the words for moments. Listing a run is read/run_dir.c's. */
#include "analyzer/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "analyzer/alloc.h"
#include "analyzer/stats/peak.h"
#include "analyzer/units.h"

#define MARKS_SHOWN 12
#define PEAK_MISSED 1.1  /* a peak so much above the best snapshot is worth a word */
#define PEAK_STEP   1.02 /* what the library lets pass before it takes another at a peak */
#define NS_PER_S    1000000000ll
#define DAY_NS      (86400 * NS_PER_S)

struct moment_parts moment_split(const char *text)
{
	struct moment_parts parts = { NULL, NULL };
	const char *at = strrchr(text, '@');
	struct stat st;

	if (!at || at == text || stat(text, &st) == 0) {
		parts.path = alloc_text(text, strlen(text));
		return parts;
	}
	parts.path = alloc_text(text, (size_t)(at - text));
	parts.when = at + 1;
	return parts;
}

char *moment_join(const char *run, const char *when)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, when ? "%s@%s" : "%s", run, when);
	return text.data;
}

bool moment_is_run(const char *text)
{
	struct stat st;

	return stat(text, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The entry whose distance_ns is the smallest; of two equal ones the earlier. */
static const struct run_entry *nearest(const struct run_dir *run, const int64_t *distance_ns)
{
	size_t i, best = 0;

	for (i = 1; i < run->n_entries; i++)
		if (llabs(distance_ns[i]) < llabs(distance_ns[best]))
			best = i;
	return &run->entries[best];
}

static const struct run_entry *choose_time(
	const struct run_dir *run, uint64_t ns, bool before_end, char *note, size_t note_bytes)
{
	int64_t *distance_ns = alloc_array(run->n_entries, sizeof(*distance_ns));
	int64_t end_ns = (int64_t)run->entries[run->n_entries - 1].info.cut_ns;
	int64_t wanted_ns = before_end ? end_ns - (int64_t)ns : (int64_t)ns;
	const struct run_entry *entry;
	struct strbuf text = { 0 };
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		distance_ns[i] = (int64_t)run->entries[i].info.cut_ns - wanted_ns;
	entry = nearest(run, distance_ns);
	if (llabs(distance_ns[entry - run->entries]) >= NS_PER_S) {
		strbuf_add_text(&text, "nearest snapshot, at ");
		units_add_clock(&text, entry->info.cut_ns);
		snprintf(note, note_bytes, "%s", text.data);
		strbuf_deinit(&text);
	}
	free(distance_ns);
	return entry;
}

/* Distance of an instant to the nearest occurrence of a local time of day. */
static int64_t clock_distance_ns(uint64_t wall_ns, int second_of_day)
{
	time_t t = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;
	int64_t distance_ns;

	if (!localtime_r(&t, &tm))
		return INT64_MAX / 2;
	distance_ns = (tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec - second_of_day) * NS_PER_S +
		      (int64_t)(wall_ns % NS_PER_S);
	if (distance_ns > DAY_NS / 2)
		distance_ns -= DAY_NS;
	if (distance_ns < -DAY_NS / 2)
		distance_ns += DAY_NS;
	return distance_ns;
}

/* Where a time of day is before the start of the process, or after all there is of it. */
static const char *beyond_run(
	const struct run_dir *run, const struct run_entry *entry, int64_t distance_ns)
{
	if (entry == &run->entries[0] && distance_ns > (int64_t)entry->info.cut_ns)
		return "before the start of the program: the first snapshot";
	if (entry == &run->entries[run->n_entries - 1] && distance_ns < 0)
		return "after the last snapshot: it";
	return "nearest snapshot";
}

/*
 * Of a run of days the last time that it was so late: distances to entries of other days are made
 * large. Where the clock was set back, so that it was so late twice, both are of one day. Returns
 * whether there was another day.
 */
static bool leave_last_day(const struct run_dir *run, int64_t *distance_ns)
{
	int64_t best_ns = INT64_MAX;
	bool has_others = false;
	size_t i, last = 0;

	for (i = 0; i < run->n_entries; i++)
		if (llabs(distance_ns[i]) < best_ns)
			best_ns = llabs(distance_ns[i]);
	if (best_ns < 60 * NS_PER_S)
		best_ns = 60 * NS_PER_S;
	for (i = 0; i < run->n_entries; i++)
		if (llabs(distance_ns[i]) <= best_ns)
			last = i;
	for (i = 0; i < run->n_entries; i++) {
		int64_t apart_ns = (int64_t)(run->entries[i].info.cut_wall_ns -
					     run->entries[last].info.cut_wall_ns);

		if (llabs(apart_ns) < DAY_NS / 2)
			continue;
		has_others |= llabs(distance_ns[i]) <= best_ns;
		distance_ns[i] = INT64_MAX;
	}
	return has_others;
}

static const struct run_entry *choose_clock(
	const struct run_dir *run, int second_of_day, char *note, size_t note_bytes)
{
	int64_t *distance_ns = alloc_array(run->n_entries, sizeof(*distance_ns)), distance;
	const struct run_entry *entry;
	char when[32] = "";
	bool has_others;
	struct tm tm;
	time_t t;
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		distance_ns[i] = clock_distance_ns(run->entries[i].info.cut_wall_ns, second_of_day);
	has_others = leave_last_day(run, distance_ns);
	entry = nearest(run, distance_ns);
	distance = distance_ns[entry - run->entries];
	t = (time_t)(entry->info.cut_wall_ns / NS_PER_S);
	if (llabs(distance) >= 60 * NS_PER_S && localtime_r(&t, &tm) &&
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(note, note_bytes, "%s, at %s", beyond_run(run, entry, distance), when);
	else if (has_others && localtime_r(&t, &tm) &&
		 strftime(when, sizeof(when), "%Y-%m-%d", &tm))
		snprintf(note, note_bytes, "of several days the last, %s", when);
	free(distance_ns);
	return entry;
}

static bool parse_clock(const char *text, int *second_of_dayp)
{
	int hour, minute, second = 0, used = 0;

	if (sscanf(text, "%2d:%2d%n", &hour, &minute, &used) < 2)
		return false;
	if (text[used] == ':') {
		int more = 0;

		if (sscanf(text + used, ":%2d%n", &second, &more) < 1)
			return false;
		used += more;
	}
	*second_of_dayp = hour * 3600 + minute * 60 + second;
	return !text[used] && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 &&
	       second < 60;
}

/* The snapshot that is the back-th from the end, of those that have not been taken at a peak. */
static const struct run_entry *regular_from_end(const struct run_dir *run, size_t back)
{
	size_t i;

	for (i = run->n_entries; i-- > 0;)
		if (run->entries[i].info.reason != HEAPSPY_REASON_PEAK && back-- == 0)
			return &run->entries[i];
	return NULL;
}

/* Where only the last has not been taken at a peak: a peak. */
static const struct run_entry *first_regular(const struct run_dir *run)
{
	size_t i;

	for (i = 0; i + 1 < run->n_entries; i++)
		if (run->entries[i].info.reason != HEAPSPY_REASON_PEAK)
			return &run->entries[i];
	return &run->entries[0];
}

static const struct run_entry *last_regular(const struct run_dir *run)
{
	const struct run_entry *last = regular_from_end(run, 0);

	return last ? last : &run->entries[run->n_entries - 1];
}

static void note_missed_peak(
	const struct heapspy_info *last, double ratio, char *note, size_t note_bytes)
{
	struct strbuf text = { 0 };

	strbuf_add_text(&text, "the fullest snapshot; the peak, at ");
	units_add_clock(&text, last->peak_ns);
	if (ratio < 2)
		strbuf_addf(&text, ", was about %.0f %% higher", 100 * (ratio - 1));
	else
		strbuf_addf(&text, ", was about %.1f times as high", ratio);
	snprintf(note, note_bytes, "%s", text.data);
	strbuf_deinit(&text);
}

/* The most live bytes; of files that do not tell, the largest RSS is the best guess. */
static const struct run_entry *choose_peak(const struct run_dir *run, char *note, size_t note_bytes)
{
	const struct run_entry *live = &run->entries[0], *rss = live, *marked = NULL;
	const struct heapspy_info *last = &run->entries[run->n_entries - 1].info;
	double peak_bytes = peak_of_info(last, 0, INTERVAL_Z95).bytes, live_bytes;
	size_t i;

	for (i = 0; i < run->n_entries; i++) {
		const struct run_entry *entry = &run->entries[i];

		if (entry->info.live_bytes > live->info.live_bytes)
			live = entry;
		if (entry->info.rss_bytes > rss->info.rss_bytes)
			rss = entry;
		if (entry->info.reason == HEAPSPY_REASON_PEAK &&
			(!marked || entry->info.live_bytes >= marked->info.live_bytes))
			marked = entry;
	}
	if (!live->info.live_bytes && marked)
		return marked;
	if (!live->info.live_bytes) {
		snprintf(note, note_bytes, "the snapshot of the largest RSS");
		return rss;
	}
	live_bytes = (double)live->info.live_bytes;
	if (peak_bytes > PEAK_MISSED * live_bytes)
		note_missed_peak(last, peak_bytes / live_bytes, note, note_bytes);
	return marked && (double)marked->info.live_bytes * PEAK_STEP >= live_bytes ? marked : live;
}

/*
 * What a program frees on its way out would hide what it held: then the moment
 * before is the answer to a question that names none.
 */
static const struct run_entry *choose_end(const struct run_dir *run, char *note, size_t note_bytes)
{
	const struct run_entry *last = last_regular(run), *before = regular_from_end(run, 1);
	struct strbuf text = { 0 };
	double freed;

	if (!regular_from_end(run, 2) || last->info.reason != HEAPSPY_REASON_EXIT)
		return last;
	freed = run_end_freed(&before->info, &last->info);
	if (!(freed > 0))
		return last;
	strbuf_add_text(&text, "the last before the exit, by which it had freed ");
	if (freed > .5) {
		strbuf_add_text(&text, "all but ");
		units_add_bytes(&text, (double)last->info.live_bytes);
	} else {
		strbuf_addf(&text, "%.0f %%", 100 * freed);
	}
	snprintf(note, note_bytes, "%s (@last)", text.data);
	strbuf_deinit(&text);
	return before;
}

/* The fall up to an entry, of its process; peaks were chosen for being high. */
static struct run_fall fall_before(const struct run_dir *run, const struct run_entry *end)
{
	const struct run_entry **entries = alloc_array(run->n_entries, sizeof(*entries));
	struct run_fall fall;
	size_t i, n = 0;

	for (i = 0; i < run->n_entries && run->entries[i].number <= end->number; i++)
		if (run->entries[i].info.reason != HEAPSPY_REASON_PEAK &&
			run->entries[i].info.start_id == end->info.start_id)
			entries[n++] = &run->entries[i];
	fall = run_end_find_fall(entries, n);
	free(entries);
	return fall;
}

/* "; its marks: a, b" of the labels there are, each once. */
static void add_marks(struct strbuf *out, const struct run_dir *run)
{
	size_t i, k, n = 0;

	for (i = 0; i < run->n_entries && n < MARKS_SHOWN; i++) {
		const char *label = run->entries[i].label;

		for (k = 0; k < i && strcmp(run->entries[k].label, label); k++)
			;
		if (!label[0] || k < i)
			continue;
		strbuf_add_text(out, n++ ? ", " : "; its marks: ");
		strbuf_add_text(out, label);
	}
	strbuf_add_text(out, n ? "" : "; it has no marks");
}

static int choose_mark(const struct run_dir *run, const char *run_name, const char *mark,
	const struct run_entry **entryp, char *note, size_t note_bytes, struct fail *f)
{
	size_t i, n = 0;

	for (i = 0; i < run->n_entries; i++) {
		/* Labels were cut when they were peeked at: compare as much as is there. */
		if (strncmp(run->entries[i].label, mark, RUN_LABEL_BYTES - 1) || !mark[0])
			continue;
		*entryp = &run->entries[i];
		n++;
	}
	if (n > 1)
		snprintf(note, note_bytes, "the last of %zu snapshots with this mark", n);
	if (n == 0) {
		struct strbuf marks = { 0 };

		add_marks(&marks, run);
		fail_set(f, EXIT_CODE_INPUT, "no snapshot of '%s' has the mark '%s'%s", run_name,
			mark, marks.data);
		strbuf_deinit(&marks);
		return -1;
	}
	return 0;
}

static bool has_mark(const struct run_dir *run, const char *mark)
{
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		if (mark[0] && !strcmp(run->entries[i].label, mark))
			return true;
	return false;
}

static int choose_number(const struct run_dir *run, const char *run_name, uint64_t number,
	const struct run_entry **entryp, struct fail *f)
{
	size_t i;

	for (i = 0; i < run->n_entries; i++)
		if (run->entries[i].number == number) {
			*entryp = &run->entries[i];
			return 0;
		}
	return fail_set(f, EXIT_CODE_INPUT,
		"'%s' has no readable snapshot %llu (it has %zu, %llu..%llu%s)", run_name,
		(unsigned long long)number, run->n_entries,
		(unsigned long long)run->entries[0].number,
		(unsigned long long)run->entries[run->n_entries - 1].number,
		run->entries[run->n_entries - 1].info.n_pruned
			? "; HEAPSPY_KEEP leaves ever fewer of older time"
			: "");
}

int moment_choose(const struct run_dir *run, const char *run_name, const char *when,
	const struct run_entry **entryp, char *note, size_t note_bytes, struct fail *f)
{
	int second_of_day;
	uint64_t number, ns;

	note[0] = '\0';
	if (!strcmp(when, "first")) {
		*entryp = first_regular(run);
	} else if (!strcmp(when, "last")) {
		*entryp = last_regular(run);
	} else if (!strcmp(when, "peak")) {
		*entryp = choose_peak(run, note, note_bytes);
	} else if (!strncmp(when, "mark:", 5)) {
		return choose_mark(run, run_name, when + 5, entryp, note, note_bytes, f);
	} else if (units_parse_number(when, UINT64_MAX, &number)) {
		return choose_number(run, run_name, number, entryp, f);
	} else if (parse_clock(when, &second_of_day)) {
		*entryp = choose_clock(run, second_of_day, note, note_bytes);
	} else if (units_parse_duration(when + (when[0] == '-'), &ns)) {
		*entryp = choose_time(run, ns, when[0] == '-', note, note_bytes);
	} else if (has_mark(run, when)) {
		return fail_set(f, EXIT_CODE_USAGE,
			"'%s@%s' is no moment; did you mean %s@mark:%s?", run_name, when, run_name,
			when);
	} else {
		return fail_set(f, EXIT_CODE_USAGE,
			"'%s@%s' is no moment; use @first, @last, @peak, @3, @10m, @-5m, @14:03 or "
			"@mark:NAME",
			run_name, when);
	}
	return 0;
}

int moment_resolve(const char *text, const char *bare_when, struct moment *m, struct fail *f)
{
	struct moment_parts parts = moment_split(text);
	const struct run_entry *entry;
	struct run_dir run;
	int rc = -1;

	memset(m, 0, sizeof(*m));
	if (!moment_is_run(parts.path)) {
		struct stat st;

		if (parts.when && stat(parts.path, &st) == 0)
			fail_set(f, EXIT_CODE_USAGE,
				"'%s' is one snapshot; @%s needs a run directory", parts.path,
				parts.when);
		else if (parts.when)
			fail_set(f, EXIT_CODE_INPUT, "there is no run directory '%s'", parts.path);
		else
			rc = 0;
		m->path = rc == 0 ? parts.path : NULL;
		if (rc < 0)
			free(parts.path);
		return rc;
	}
	if (run_dir_read(parts.path, &run, f) == 0) {
		rc = 0;
		if (parts.when || strcmp(bare_when, "last"))
			rc = moment_choose(&run, parts.path, parts.when ? parts.when : bare_when,
				&entry, m->note, sizeof(m->note), f);
		else
			entry = choose_end(&run, m->note, sizeof(m->note));
		if (rc == 0 && !parts.when && !strcmp(bare_when, "last"))
			m->fall = fall_before(&run, entry);
		if (rc == 0)
			m->path = alloc_text(entry->path, strlen(entry->path));
		m->is_at_peak = parts.when && !strcmp(parts.when, "peak") && !m->note[0];
		m->n_in_run = run.n_entries;
		m->n_passed = run.n_unreadable;
		m->first_passed = run.first_failure;
		m->n_newer_inside = run.n_newer_inside;
		m->newest_inside = run.newest_inside;
		m->n_inside = run.n_inside;
		m->largest_inside = run.largest_inside;
		m->largest_peak_bytes = run.largest_peak_bytes;
		run.newest_inside = run.largest_inside = NULL;
		run_dir_deinit(&run);
	}
	free(parts.path);
	return rc;
}

void moment_deinit(struct moment *m)
{
	free(m->path);
	free(m->newest_inside);
	free(m->largest_inside);
	m->path = m->newest_inside = m->largest_inside = NULL;
}
