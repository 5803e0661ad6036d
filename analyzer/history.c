/*
 * history.c - owns reading the cuts of a run one after the other and summing them by stack and
 * age. Which snapshots are cuts is history_cuts.c's, what the sums mean stats/trend.c's.
 */
#include "analyzer/history.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/history_cuts.h"
#include "analyzer/read/stacks_reader.h"
#include "analyzer/sites.h"
#include "sample_age.h"

/* Each reading may find other files damaged, or a larger interval; more means they change. */
#define READINGS_MAX 4
/* What a stack that was live weighs at least, beside any that has bytes. */
#define WEIGHT_MIN   1e-9

/* One reading of all cuts. */
struct reading {
	struct history *h;
	const struct profile *profile;
	struct stacks_index index; /* of the last cut */
	bool *bad;                 /* by cut: could not be read */
	bool sound;                /* nothing has come up that calls for another reading */
	double (*allocated_bytes)[TREND_PLAN_LOADS]; /* by stack of the profile */
	size_t cell_capacity;
};

static void forget_sums(struct history *h)
{
	size_t i;

	for (i = 0; h->stacks && i <= h->n_stacks; i++) {
		if (h->stacks[i])
			free(h->stacks[i]->live_bytes);
		free(h->stacks[i]);
	}
	free(h->stacks);
	free(h->cells);
	h->stacks = NULL;
	h->cells = NULL;
	h->n_stacks = h->n_cells = 0;
	h->unknown_samples = 0;
}

void history_deinit(struct history *h)
{
	forget_sums(h);
	free(h->cuts);
	free(h->cut_ns);
	trend_plan_deinit(&h->run.plan);
	memset(h, 0, sizeof(*h));
}

/* A file that is another one by now cannot be what the plan was made for. */
static bool is_cut(const struct history *h, size_t cut, const struct snapshot *s)
{
	const struct heapspy_info *info = &h->cuts[cut]->info;

	return s->info.start_id == info->start_id && s->info.pid == info->pid &&
	       s->info.cut_ns == info->cut_ns && s->info.interval_bytes == info->interval_bytes;
}

static int check_cut(const struct history *h, size_t cut, const struct snapshot *s, struct fail *f)
{
	if (is_cut(h, cut, s))
		return 0;
	return fail_set(
		f, EXIT_CODE_INPUT, "'%s' has changed while it was read", h->cuts[cut]->path);
}

int history_open_last(struct history *h, struct snapshot **snapshotp, struct fail *f)
{
	for (;;) {
		size_t last = h->n_cuts - 1;
		bool *bad;

		if (snapshot_read(h->cuts[last]->path, 0, snapshotp, f) == 0) {
			if (check_cut(h, last, *snapshotp, f) == 0)
				break;
			snapshot_free(*snapshotp);
		}
		*snapshotp = NULL;
		if (last == 0)
			return -1;
		history_cuts_failed(h, f);
		bad = alloc_array(h->n_cuts, sizeof(*bad));
		bad[last] = true;
		history_cuts_drop(h, bad);
		free(bad);
	}
	h->lost_samples = (*snapshotp)->info.losses[HEAPSPY_LOSS_STATE_FULL] +
			  (*snapshotp)->info.losses[HEAPSPY_LOSS_NO_SCRATCH];
	return 0;
}

static struct age_structure *structure_of(struct history *h, size_t stack)
{
	struct age_structure **slot = &h->stacks[stack];

	/* Its cuts so far were empty ones, and closing those changes nothing. */
	if (!*slot) {
		*slot = alloc_array(1, sizeof(**slot));
		age_structure_init(*slot, &h->run.plan,
			alloc_array(age_structure_series(&h->run.plan), sizeof(double)));
	}
	return *slot;
}

/* The stack of a sample in terms of the profile; n_stacks where the last cut does not know it. */
static size_t stack_of(const struct reading *reading, const struct snapshot *s,
	const struct heapspy_sample *sample)
{
	const struct profile_moment *moment = &reading->profile->moments[0];
	uint32_t stack, id = sample->stack;

	if (s == moment->snapshot)
		return moment->stack_of[sample->stack];
	if (SNAPSHOT_HAS(s, HEAPSPY_SECTION_STACKS))
		id = s->stacks[sample->stack].id;
	return stacks_index_find(&reading->index, id, &stack) ? moment->stack_of[stack]
							      : reading->h->n_stacks;
}

static void add_cell(
	struct reading *reading, size_t stack, size_t epoch, const struct aggregate *one)
{
	struct history *h = reading->h;

	h->cells = alloc_room(h->cells, h->n_cells, &reading->cell_capacity, sizeof(*h->cells));
	h->cells[h->n_cells++] = (struct history_cell){
		.stack = (uint32_t)stack,
		.cell = {
			.epoch = (uint32_t)epoch,
			.samples = one->samples,
			.size_bytes = one->size_bytes,
			.bytes = one->bytes,
		},
	};
}

static void add_samples(struct reading *reading, size_t cut, const struct snapshot *s)
{
	struct history *h = reading->h;
	size_t i;

	for (i = 0; i < s->n_samples; i++) {
		struct estimate_sample sample = profile_sample(s, &s->samples[i]);
		struct aggregate one = { 0 };
		size_t stack, epoch;

		if (!estimate_add_sample(
			    &one, &sample, h->run.interval_bytes, s->info.variance_unit_log2))
			continue;
		stack = stack_of(reading, s, &s->samples[i]);
		epoch = trend_plan_epoch(h->cut_ns, h->n_cuts,
			sample_birth_ns(s->samples[i].birth_level, s->info.cut_ns));
		age_structure_add(structure_of(h, stack), &h->run.plan, cut, epoch, &one);
		h->unknown_samples += stack == h->n_stacks;
		if (cut == h->n_cuts - 1)
			add_cell(reading, stack, epoch, &one);
	}
}

/* What each stack has allocated so far, where the plan asks for it. */
static void add_load(struct reading *reading, size_t cut, const struct snapshot *s)
{
	const struct profile_moment *moment = &reading->profile->moments[0];
	struct history *h = reading->h;
	uint32_t last;
	size_t i, k;

	for (k = 0; k < TREND_PLAN_LOADS; k++) {
		if (h->run.plan.ages[0].load_cut[k] != cut)
			continue;
		h->run.seen_bytes[k] = (double)s->info.bytes_seen;
		for (i = 0; i < s->n_stacks; i++)
			if (stacks_index_find(&reading->index, s->stacks[i].id, &last))
				reading->allocated_bytes[moment->stack_of[last]][k] +=
					(double)s->stacks[i].allocated.B;
	}
}

static bool needs_stacks(const struct history *h, size_t cut)
{
	size_t k;

	for (k = 0; k < TREND_PLAN_LOADS; k++)
		if (h->run.plan.ages[0].load_cut[k] == cut)
			return true;
	return false;
}

static int read_cut(const struct reading *reading, size_t cut, struct snapshot **ownedp,
	const struct snapshot **snapshotp, struct fail *f)
{
	const struct history *h = reading->h;
	const char *path = h->cuts[cut]->path;
	int rc;

	*ownedp = NULL;
	*snapshotp = reading->profile->moments[0].snapshot;
	if (cut == h->n_cuts - 1)
		return 0;
	rc = needs_stacks(h, cut) ? snapshot_read(path, 0, ownedp, f)
				  : snapshot_read_live(path, ownedp, f);
	if (rc < 0)
		return -1;
	*snapshotp = *ownedp;
	if (check_cut(h, cut, *ownedp, f) == 0)
		return 0;
	snapshot_free(*ownedp);
	return -1;
}

static void sum_cut(struct reading *reading, size_t cut)
{
	struct history *h = reading->h;
	const struct snapshot *s;
	struct snapshot *owned;
	struct fail why;
	size_t i;

	if (read_cut(reading, cut, &owned, &s, &why) < 0) {
		history_cuts_failed(h, &why);
		reading->bad[cut] = true;
		reading->sound = false;
		return;
	}
	if (s->level > h->level) {
		h->level = s->level;
		reading->sound = false;
	}
	/* What comes after a failure is read only to know whether there is another. */
	if (reading->sound) {
		add_samples(reading, cut, s);
		add_load(reading, cut, s);
		for (i = 0; i <= h->n_stacks; i++)
			if (h->stacks[i])
				age_structure_end_cut(h->stacks[i], &h->run.plan, cut);
	}
	snapshot_free(owned);
}

static bool read_all(
	struct history *h, const struct profile *p, history_progress progress, void *user)
{
	struct reading reading = { .h = h, .profile = p, .sound = true };
	const struct snapshot *last = p->moments[0].snapshot;
	uint32_t duplicate;
	size_t cut, i;

	forget_sums(h);
	h->n_stacks = p->n_stacks;
	h->stacks = alloc_array(h->n_stacks + 1, sizeof(*h->stacks));
	h->run.interval_bytes = profile_interval_bytes(last, h->level);
	memset(h->run.seen_bytes, 0, sizeof(h->run.seen_bytes));
	reading.bad = alloc_array(h->n_cuts, sizeof(*reading.bad));
	reading.allocated_bytes = alloc_array(h->n_stacks, sizeof(*reading.allocated_bytes));
	stacks_index_init(&reading.index, last, &duplicate);
	for (cut = 0; cut < h->n_cuts; cut++) {
		if (progress)
			progress(user, cut, h->n_cuts);
		sum_cut(&reading, cut);
	}
	if (progress)
		progress(user, cut, h->n_cuts);
	for (i = 0; i < h->n_stacks; i++)
		if (h->stacks[i])
			memcpy(h->stacks[i]->allocated_bytes, reading.allocated_bytes[i],
				sizeof(h->stacks[i]->allocated_bytes));
	free(reading.allocated_bytes);
	stacks_index_deinit(&reading.index);
	if (!reading.sound)
		history_cuts_drop(h, reading.bad);
	free(reading.bad);
	return reading.sound;
}

int history_sum(struct history *h, const struct profile *p, history_progress progress, void *user,
	struct fail *f)
{
	int i;

	if (p->moments[0].snapshot->level > h->level)
		h->level = p->moments[0].snapshot->level;
	for (i = 0; i < READINGS_MAX && !h->is_short; i++)
		if (read_all(h, p, progress, user))
			return 0;
	if (h->is_short)
		return 0;
	return fail_set(f, EXIT_CODE_INPUT, "the snapshots change while they are read%s%s",
		h->n_unreadable ? "; the first:\n" : "",
		h->n_unreadable ? h->first_failure.text : "");
}

bool history_was_live(const struct history *h, size_t stack)
{
	return h->stacks && h->stacks[stack];
}

double history_mean_bytes(const struct history *h, size_t stack)
{
	double sum = 0;
	size_t i;

	if (!history_was_live(h, stack))
		return 0;
	for (i = 0; i < h->n_cuts; i++)
		sum += h->stacks[stack]->live_bytes[i];
	return sum / (double)h->n_cuts + WEIGHT_MIN;
}

/* ---- stacks to sites ---- */

static int compare_cells(const void *left, const void *right)
{
	const struct history_cell *a = left, *b = right;

	if (a->site != b->site)
		return a->site < b->site ? -1 : 1;
	return (a->cell.epoch > b->cell.epoch) - (a->cell.epoch < b->cell.epoch);
}

/* Makes of the samples of the last cut one cell for each site and epoch. */
static void merge_cells(
	const struct history *h, const uint32_t *site_of, struct history_sites *sites)
{
	struct history_cell *cells = alloc_array(h->n_cells, sizeof(*cells));
	size_t i, n = 0, n_merged = 0;

	for (i = 0; i < h->n_cells; i++) {
		cells[n] = h->cells[i];
		cells[n].site = site_of[cells[n].stack];
		n += cells[n].site != SITES_NO_GROUP;
	}
	qsort(cells, n, sizeof(*cells), compare_cells);
	sites->cells = alloc_array(n, sizeof(*sites->cells));
	for (i = 0; i < n; i++) {
		struct age_structure *site = &sites->structures[cells[i].site];
		struct age_cell *cell = &sites->cells[n_merged];

		if (i && compare_cells(&cells[i], &cells[i - 1]) == 0) {
			cell[-1].samples += cells[i].cell.samples;
			cell[-1].size_bytes += cells[i].cell.size_bytes;
			cell[-1].bytes += cells[i].cell.bytes;
			continue;
		}
		*cell = cells[i].cell;
		n_merged++;
		if (!site->n_cells++)
			site->cells = cell;
	}
	free(cells);
}

void history_group(const struct history *h, const uint32_t *group_of, size_t n_groups,
	struct history_sites *sites)
{
	/* By group, and one more for the unknown: its site + 1. */
	uint32_t *site_of_group = alloc_array(n_groups + 1, sizeof(*site_of_group));
	uint32_t *site_of = alloc_array(h->n_stacks + 1, sizeof(*site_of));
	size_t i, n_series = age_structure_series(&h->run.plan);

	memset(sites, 0, sizeof(*sites));
	for (i = 0; i <= h->n_stacks; i++) {
		uint32_t group = i < h->n_stacks ? group_of[i] : (uint32_t)n_groups;

		site_of[i] = SITES_NO_GROUP;
		if (group == SITES_NO_GROUP || !history_was_live(h, i))
			continue;
		if (!site_of_group[group])
			site_of_group[group] = (uint32_t)++sites->n_sites;
		site_of[i] = site_of_group[group] - 1;
	}
	sites->structures = alloc_array(sites->n_sites, sizeof(*sites->structures));
	sites->groups = alloc_array(sites->n_sites, sizeof(*sites->groups));
	sites->series = alloc_array(sites->n_sites * n_series, sizeof(*sites->series));
	for (i = 0; i < sites->n_sites; i++)
		age_structure_init(
			&sites->structures[i], &h->run.plan, sites->series + i * n_series);
	for (i = 0; i <= n_groups; i++)
		if (site_of_group[i])
			sites->groups[site_of_group[i] - 1] =
				i < n_groups ? (uint32_t)i : HISTORY_UNKNOWN_GROUP;
	for (i = 0; i <= h->n_stacks; i++)
		if (site_of[i] != SITES_NO_GROUP)
			age_structure_merge(
				&sites->structures[site_of[i]], h->stacks[i], &h->run.plan);
	merge_cells(h, site_of, sites);
	free(site_of_group);
	free(site_of);
}

void history_sites_deinit(struct history_sites *sites)
{
	free(sites->structures);
	free(sites->groups);
	free(sites->series);
	free(sites->cells);
	memset(sites, 0, sizeof(*sites));
}
