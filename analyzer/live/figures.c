/*
 * figures.c - owns the joining of what is live, what grew and what was allocated
 * into rows of one table. The figures themselves are ranking.c's and compare.c's.
 */
#include "analyzer/live/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"

#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

/*
 * The profile as the statistics want it: they take its first moments, here two, which pair holds.
 * The tables are shared, so that stacks keep their index in all of them.
 */
static struct profile moments_of(
	const struct profile *p, struct profile_moment pair[2], unsigned first, unsigned second)
{
	struct profile view = *p;

	pair[0] = p->moments[first];
	pair[1] = p->moments[second];
	view.moments = pair;
	view.n_moments = 2;
	return view;
}

static bool same_process(const struct snapshot *a, const struct snapshot *b)
{
	return a->info.start_id == b->info.start_id && a->info.pid == b->info.pid;
}

/* Only a moment before now, of the same process, can be compared with now. */
static struct shot *earlier(struct shot *shot, const struct shot *now)
{
	if (!shot || !same_process(shot->snapshot, now->snapshot) ||
		shot->snapshot->info.cut_ns >= now->snapshot->info.cut_ns)
		return NULL;
	return shot_use(shot);
}

static double seconds_between(const struct shot *from, const struct shot *to)
{
	if (!from)
		return NAN;
	return (double)(to->snapshot->info.cut_ns - from->snapshot->info.cut_ns) / 1e9;
}

static void set_allocated(struct figures *fig, unsigned recent)
{
	const struct profile *p = &fig->profile;
	const struct snapshot *now = fig->now->snapshot, *old = p->moments[recent].snapshot;
	struct aggregate one;
	size_t i;

	for (i = 0; i < now->n_stacks; i++) {
		one = profile_allocated(now, &now->stacks[i]);
		estimate_add(&fig->allocated[p->moments[0].stack_of[i]], &one);
	}
	for (i = 0; i < old->n_stacks; i++) {
		one = profile_allocated(old, &old->stacks[i]);
		estimate_subtract(&fig->allocated[p->moments[recent].stack_of[i]], &one);
		profile_unwrap(now, &fig->allocated[p->moments[recent].stack_of[i]]);
	}
}

/* Sums by stack of everything there is to show, before any grouping. */
static void add_moments(struct figures *fig)
{
	struct profile *p = &fig->profile, view;
	struct profile_moment pair[2];
	unsigned recent = 0, mark = 0;

	profile_add(p, fig->now->snapshot);
	if (fig->recent)
		recent = profile_add(p, fig->recent->snapshot);
	if (fig->mark)
		mark = fig->mark == fig->recent ? recent : profile_add(p, fig->mark->snapshot);
	ranking_init(&fig->ranking, p, false);
	fig->allocated = alloc_array(p->n_stacks, sizeof(*fig->allocated));
	if (fig->recent) {
		view = moments_of(p, pair, recent, 0);
		compare_init(&fig->recent_comparison, &view, true);
		set_allocated(fig, recent);
	}
	if (fig->mark) {
		view = moments_of(p, pair, mark, 0);
		compare_init(&fig->mark_comparison, &view, true);
	}
}

/* How much a stack's samples make it worth a row; 0: no figure knows of it. */
static double weight_of(const struct figures *fig, size_t stack)
{
	const struct aggregate *live = &fig->ranking.stacks[stack];
	const struct compare_sums *recent =
		fig->recent ? &fig->recent_comparison.stacks[stack] : NULL;
	const struct compare_sums *mark = fig->mark ? &fig->mark_comparison.stacks[stack] : NULL;
	double bytes = live->bytes + fig->allocated[stack].bytes * 1e-6;

	if (!(live->samples > 0) && !(fig->allocated[stack].samples > 0) &&
		!(recent && recent->before.samples > 0) && !(mark && mark->before.samples > 0))
		return 0;
	if (recent)
		bytes += 1e-3 * recent->died.bytes;
	if (mark)
		bytes += 1e-3 * mark->died.bytes;
	/* Blocks of 0 bytes count too. */
	return (bytes > 0 ? bytes : 0) + 1e-9;
}

static int name_stacks(struct figures *fig, const struct figures_request *request, struct fail *f)
{
	size_t i, n = fig->profile.n_stacks;
	bool *wanted = alloc_array(n, sizeof(*wanted));
	double *weights = alloc_array(n, sizeof(*weights));
	int rc;

	for (i = 0; i < n; i++) {
		weights[i] = weight_of(fig, i);
		wanted[i] = weights[i] > 0;
	}
	rc = source_frames_init_shared(
		&fig->frames, &fig->profile, request->hide, wanted, request->symbols, f);
	if (rc == 0)
		fig->has_sites = sites_init(&fig->sites, &fig->frames, request->by,
					 &request->filter, weights, &fig->no_sites) == 0;
	/* That a filter leaves nothing is a result; that it is none is not. */
	if (rc == 0 && !fig->has_sites && fig->no_sites.exit_code == EXIT_CODE_USAGE) {
		*f = fig->no_sites;
		rc = -1;
	}
	free(wanted);
	free(weights);
	return rc;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < bytes; i++)
		hash = (hash ^ p[i]) * FNV_PRIME;
	return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_bytes(hash, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* What a site is, whatever its index is this time. */
static uint64_t key_of(const struct figures *fig, const struct site *site, enum sites_by by)
{
	const struct profile_stack *stack = &fig->profile.stacks[site->stack];
	uint64_t hash = hash_text(hash_text(FNV_BASIS, site->function), site->module);
	uint32_t i;

	if (by == SITES_BY_LINE)
		hash = hash_bytes(hash_text(hash, site->file), &site->line, sizeof(site->line));
	for (i = 0; i < stack->n_frames && by == SITES_BY_SITE; i++) {
		const struct profile_frame *frame = profile_frame(&fig->profile, stack, i);

		hash = hash_bytes(hash, &frame->vaddr, sizeof(frame->vaddr));
		hash = hash_text(hash, source_frames_module_path(&fig->frames, frame->module));
	}
	return hash;
}

/* Growth by group; a group that no row of c has did not move. */
static void set_changes(
	struct figures *fig, const struct comparison *c, const uint32_t *row_of, bool of_mark)
{
	size_t i;

	for (i = 0; i < c->n_rows; i++) {
		const struct compare_row *from = &c->rows[i];
		struct figures_row *row = &fig->rows[row_of[from->group]];
		struct figures_change *change = of_mark ? &row->since_mark : &row->recent;

		change->growth = from->growth;
		change->verdict = from->verdict;
		change->is_still = compare_is_still(&from->sums);
	}
}

static void set_allocations(struct figures *fig, const uint32_t *row_of)
{
	size_t i;

	for (i = 0; i < fig->profile.n_stacks; i++)
		if (fig->sites.group_of[i] != SITES_NO_GROUP)
			estimate_add(&fig->rows[row_of[fig->sites.group_of[i]]].allocated,
				&fig->allocated[i]);
	for (i = 0; i < fig->n_rows; i++)
		fig->rows[i].allocated_range = interval_of_bytes(
			&fig->rows[i].allocated, fig->ranking.interval_bytes, INTERVAL_Z95);
}

static void make_rows(struct figures *fig, enum sites_by by)
{
	const struct sites *sites = &fig->sites;
	uint32_t *row_of = alloc_array(sites->n_sites, sizeof(*row_of));
	size_t i;

	ranking_group(&fig->ranking, &fig->profile, sites->group_of, sites->n_sites, false,
		RANKING_BY_BYTES);
	fig->rows = alloc_array(sites->n_sites, sizeof(*fig->rows));
	memset(row_of, 0xff, sites->n_sites * sizeof(*row_of));
	for (i = 0; i < fig->ranking.n_rows; i++) {
		const struct ranking_row *from = &fig->ranking.rows[i];

		row_of[from->group] = (uint32_t)fig->n_rows;
		fig->rows[fig->n_rows].group = from->group;
		fig->rows[fig->n_rows].live = from->sum;
		fig->rows[fig->n_rows++].live_range = from->bytes;
	}
	for (i = 0; i < sites->n_sites; i++) {
		if (row_of[i] != UINT32_MAX)
			continue;
		row_of[i] = (uint32_t)fig->n_rows;
		fig->rows[fig->n_rows++].group = (uint32_t)i;
	}
	for (i = 0; i < fig->n_rows; i++) {
		struct figures_row *row = &fig->rows[i];

		row->key = key_of(fig, &sites->sites[row->group], by);
		row->recent.verdict = row->since_mark.verdict = COMPARE_NOISE;
		row->recent.is_still = row->since_mark.is_still = true;
	}
	if (fig->recent) {
		compare_group(
			&fig->recent_comparison, sites->group_of, sites->n_stacks, sites->n_sites);
		set_changes(fig, &fig->recent_comparison, row_of, false);
		set_allocations(fig, row_of);
	}
	if (fig->mark) {
		compare_group(
			&fig->mark_comparison, sites->group_of, sites->n_stacks, sites->n_sites);
		set_changes(fig, &fig->mark_comparison, row_of, true);
	}
	free(row_of);
}

static void set_total(struct figures *fig)
{
	const struct ranking *r = &fig->ranking;
	size_t i;

	for (i = 0; i < fig->profile.n_stacks; i++)
		estimate_add(&fig->total.sum, &r->stacks[i]);
	fig->total.bytes = interval_of_bytes(&fig->total.sum, r->interval_bytes, INTERVAL_Z95);
}

static double profiler_cpu(const struct figures *fig)
{
	const struct heapspy_info *now = &fig->now->snapshot->info;
	const struct heapspy_info *old = fig->recent ? &fig->recent->snapshot->info : NULL;
	double self_ns = (double)now->self_ns - (old ? (double)old->self_ns : 0);
	double wall_ns = (double)now->cut_ns - (old ? (double)old->cut_ns : 0);

	return wall_ns > 0 && self_ns > 0 ? self_ns / wall_ns : 0;
}

struct figures *figures_new(const struct figures_request *request, struct fail *f)
{
	struct figures *fig = alloc_array(1, sizeof(*fig));

	fig->now = shot_use(request->now);
	fig->recent = earlier(request->recent, fig->now);
	fig->mark = earlier(request->mark, fig->now);
	fig->recent_s = seconds_between(fig->recent, fig->now);
	fig->mark_s = seconds_between(fig->mark, fig->now);
	profile_init(&fig->profile);
	add_moments(fig);
	set_total(fig);
	fig->profiler_cpu = profiler_cpu(fig);
	if (name_stacks(fig, request, f) < 0) {
		figures_free(fig);
		return NULL;
	}
	if (fig->has_sites)
		make_rows(fig, request->by);
	return fig;
}

void figures_free(struct figures *fig)
{
	if (!fig)
		return;
	if (fig->has_sites)
		sites_deinit(&fig->sites);
	source_frames_deinit(&fig->frames);
	ranking_deinit(&fig->ranking);
	compare_deinit(&fig->recent_comparison);
	compare_deinit(&fig->mark_comparison);
	profile_deinit(&fig->profile);
	shot_release(fig->now);
	shot_release(fig->recent);
	shot_release(fig->mark);
	free(fig->allocated);
	free(fig->rows);
	free(fig->series);
	free(fig);
}

/* What an order sorts by, highest first: the lower limit, then the figure. */
struct scored {
	double lower, figure;
	uint32_t index;
};

static int compare_scored(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->lower != y->lower)
		return x->lower > y->lower ? -1 : 1;
	if (x->figure != y->figure)
		return x->figure > y->figure ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static bool score(const struct figures_row *row, enum figures_order order, struct scored *s)
{
	const struct figures_change *change;

	switch (order) {
	case FIGURES_BY_LIVE:
		s->lower = row->live_range.lo;
		s->figure = row->live.bytes;
		return row->live.samples > 0;
	case FIGURES_BY_ALLOCATED:
		s->lower = row->allocated_range.lo;
		s->figure = row->allocated.bytes;
		return row->allocated.samples > 0;
	default:
		change = order == FIGURES_BY_MARK ? &row->since_mark : &row->recent;
		s->lower = change->growth.range.lo;
		s->figure = change->growth.bytes;
		return !change->is_still;
	}
}

size_t figures_sort(const struct figures *fig, enum figures_order order, uint32_t *index)
{
	struct scored *scored = alloc_array(fig->n_rows, sizeof(*scored));
	size_t i, n = 0;

	for (i = 0; i < fig->n_rows; i++) {
		if (!score(&fig->rows[i], order, &scored[n]))
			continue;
		scored[n++].index = (uint32_t)i;
	}
	qsort(scored, n, sizeof(*scored), compare_scored);
	for (i = 0; i < n; i++)
		index[i] = scored[i].index;
	free(scored);
	return n;
}

/* What an order by growth knows of a stack; NULL: there is no earlier moment. */
static const struct compare_sums *sums_of(
	const struct figures *fig, enum figures_order order, uint32_t stack)
{
	if (order == FIGURES_BY_MARK)
		return fig->mark ? &fig->mark_comparison.stacks[stack] : NULL;
	return fig->recent ? &fig->recent_comparison.stacks[stack] : NULL;
}

/* Whether a stack has any part in an order's figure. */
static bool stack_belongs(const struct figures *fig, enum figures_order order, uint32_t stack)
{
	const struct compare_sums *sums;

	if (order == FIGURES_BY_LIVE)
		return fig->ranking.stacks[stack].samples > 0;
	if (order == FIGURES_BY_ALLOCATED)
		return fig->allocated[stack].samples > 0;
	sums = sums_of(fig, order, stack);
	return sums && !compare_is_still(sums);
}

double figures_stack_bytes(const struct figures *fig, enum figures_order order, uint32_t stack)
{
	const struct compare_sums *sums;

	if (order == FIGURES_BY_LIVE)
		return fig->ranking.stacks[stack].bytes;
	if (order == FIGURES_BY_ALLOCATED)
		return fig->allocated[stack].bytes;
	sums = sums_of(fig, order, stack);
	return sums ? sums->born.bytes - sums->died.bytes : 0;
}

struct interval figures_stack_range(
	const struct figures *fig, enum figures_order order, uint32_t stack)
{
	const struct compare_sums *sums;

	if (order == FIGURES_BY_LIVE || order == FIGURES_BY_ALLOCATED)
		return interval_of_bytes(order == FIGURES_BY_LIVE ? &fig->ranking.stacks[stack]
								  : &fig->allocated[stack],
			fig->ranking.interval_bytes, INTERVAL_Z95);
	sums = sums_of(fig, order, stack);
	if (!sums)
		return (struct interval){ 0, 0 };
	return compare_growth(
		order == FIGURES_BY_MARK ? &fig->mark_comparison : &fig->recent_comparison, sums)
		.range;
}

size_t figures_best_stacks(const struct figures *fig, enum figures_order order,
	const struct figures_row *row, uint32_t *stacks, size_t max, size_t *n_allp)
{
	const uint32_t *members = fig->sites.members + fig->sites.first_member[row->group];
	size_t i, n = fig->sites.first_member[row->group + 1] - fig->sites.first_member[row->group];
	struct scored *scored = alloc_array(n, sizeof(*scored));
	size_t n_known;

	for (i = 0, n_known = 0; i < n; i++) {
		if (!stack_belongs(fig, order, members[i]))
			continue;
		scored[n_known].index = members[i];
		scored[n_known].figure = figures_stack_bytes(fig, order, members[i]);
		/* What moved most, either way. */
		scored[n_known].lower = fabs(scored[n_known].figure);
		n_known++;
	}
	n = n_known;
	qsort(scored, n, sizeof(*scored), compare_scored);
	for (i = 0; i < n && i < max; i++)
		stacks[i] = scored[i].index;
	*n_allp = n;
	free(scored);
	return i;
}
