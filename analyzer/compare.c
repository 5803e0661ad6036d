/*
 * compare.c - owns matching of samples, sums by group and the order of rows.
 * Weights are stats/estimate.c's, ranges and p-values stats/growth.c's.
 */
#include "analyzer/compare.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/content_index.h"

#define DISCOVERY_RATE .05
/* One-sided p is above DISCOVERY_RATE where the lower limit at this z is not above 0. */
#define HOPELESS_Z     1.6

/*
 * The samples of one snapshot that may be found again in another. Most stand in the same order in
 * both: these are met by walking side by side. The table is for the rest.
 */
struct sample_set {
	const struct profile_moment *moment;
	struct content_index index;
	uint32_t *unmatched; /* by sample: how many equal ones are left, counted at the first */
};

/* How many samples the walk passes over at once, dead ones mostly. */
#define WALK_AHEAD 16

static bool is_same(
	const struct profile_moment *x, size_t i, const struct profile_moment *y, size_t j)
{
	const struct heapspy_sample *a = &x->snapshot->samples[i], *b = &y->snapshot->samples[j];

	/* The level a sample stands at now may differ, that of its birth not. */
	return a->address == b->address && a->size_thread == b->size_thread &&
	       !((a->birth_level ^ b->birth_level) & ((1ull << 60) - 1)) && a->u == b->u &&
	       x->stack_of[a->stack] == y->stack_of[b->stack];
}

static uint64_t set_hash(const struct sample_set *set, const struct heapspy_sample *sample)
{
	uint64_t key[2] = { sample->address, sample->birth_level & ((1ull << 60) - 1) };

	return content_index_hash(&set->index, key, sizeof(key));
}

/* The first sample of the set that is the same as sample i of moment. */
static bool set_find(const struct sample_set *set, const struct profile_moment *moment, size_t i,
	uint64_t hash, size_t *samplep)
{
	uint64_t at = hash;

	while (content_index_next(&set->index, hash, &at, samplep))
		if (is_same(moment, i, set->moment, *samplep))
			return true;
	return false;
}

/*
 * Which samples of moment are in other too, as often as they are there: found[i] of each, to be
 * freed by the caller. The set is left with the samples of other that were not met.
 */
static bool *set_match(struct sample_set *set, const struct profile_moment *other,
	const struct profile_moment *moment)
{
	size_t n = moment->snapshot->n_samples, n_other = other->snapshot->n_samples;
	bool *found = alloc_array(n, sizeof(*found));
	size_t i, j, next = 0, first;
	uint64_t hash;

	content_index_init(&set->index);
	set->moment = other;
	set->unmatched = alloc_array(n_other, sizeof(*set->unmatched));
	for (i = 0; i < n_other; i++)
		set->unmatched[i] = 1;
	for (i = 0; i < n; i++) {
		for (j = next; j < n_other && j < next + WALK_AHEAD; j++)
			if (is_same(moment, i, other, j))
				break;
		if (j == n_other || j == next + WALK_AHEAD)
			continue;
		found[i] = true;
		set->unmatched[j] = 0;
		next = j + 1;
	}
	for (i = 0; i < n_other; i++) {
		if (!set->unmatched[i])
			continue;
		hash = set_hash(set, &other->snapshot->samples[i]);
		if (set_find(set, other, i, hash, &first)) {
			set->unmatched[first]++;
			set->unmatched[i] = 0;
		} else {
			content_index_add(&set->index, hash, i);
		}
	}
	for (i = 0; i < n; i++) {
		if (found[i])
			continue;
		hash = set_hash(set, &moment->snapshot->samples[i]);
		found[i] = set_find(set, moment, i, hash, &first) && set->unmatched[first];
		if (found[i])
			set->unmatched[first]--;
	}
	return found;
}

static void set_deinit(struct sample_set *set)
{
	content_index_deinit(&set->index);
	free(set->unmatched);
}

/* Adds sample i of a snapshot at its side's interval, unless it does not belong there. */
static void add_sample(struct aggregate *sum, const struct comparison *c, unsigned side,
	const struct snapshot *s, size_t i)
{
	struct estimate_sample sample = profile_sample(s, &s->samples[i]);

	estimate_add_sample(sum, &sample, c->interval_bytes[side], s->info.variance_unit_log2);
}

static struct compare_sums *sums_of(
	struct comparison *c, const struct profile_moment *moment, size_t i)
{
	return &c->stacks[moment->stack_of[moment->snapshot->samples[i].stack]];
}

/*
 * Survivors weigh the same at both moments, both being lifted to one interval: they are summed
 * once, and before and after are made of them, what died and what was born.
 */
static void sum_pair(struct comparison *c, const struct profile *p)
{
	const struct profile_moment *a = &p->moments[0], *b = &p->moments[1];
	struct sample_set old = { 0 };
	bool *survived = c->same_process ? set_match(&old, a, b) : NULL;
	size_t i;

	for (i = 0; i < b->snapshot->n_samples; i++) {
		struct compare_sums *sums = sums_of(c, b, i);

		add_sample(
			survived && survived[i] ? &sums->after : &sums->born, c, 1, b->snapshot, i);
	}
	for (i = 0; i < a->snapshot->n_samples; i++) {
		uint32_t n = survived ? old.unmatched[i] : 1;

		for (; n; n--)
			add_sample(&sums_of(c, a, i)->died, c, 0, a->snapshot, i);
	}
	for (i = 0; i < p->n_stacks; i++) {
		struct compare_sums *sums = &c->stacks[i];

		sums->before = sums->after;
		estimate_add(&sums->before, &sums->died);
		estimate_add(&sums->after, &sums->born);
	}
	free(survived);
	set_deinit(&old);
}

static void sum_third(struct comparison *c, const struct profile *p)
{
	const struct profile_moment *b = &p->moments[1];
	struct sample_set old, later;
	bool *survived = set_match(&old, &p->moments[0], b);
	bool *kept = set_match(&later, &p->moments[2], b);
	size_t i;

	for (i = 0; i < b->snapshot->n_samples; i++)
		if (!survived[i] && kept[i])
			add_sample(&sums_of(c, b, i)->born, c, 1, b->snapshot, i);
	for (i = 0; i < p->n_stacks; i++)
		c->stacks[i].after = c->stacks[i].born;
	free(survived);
	free(kept);
	set_deinit(&old);
	set_deinit(&later);
}

void compare_init(struct comparison *c, const struct profile *p, bool same_process)
{
	uint32_t level = 0;
	size_t i;

	memset(c, 0, sizeof(*c));
	c->same_process = same_process;
	c->stacks = alloc_array(p->n_stacks, sizeof(*c->stacks));
	for (i = 0; i < p->n_moments; i++)
		if (p->moments[i].snapshot->level > level)
			level = p->moments[i].snapshot->level;
	for (i = 0; i < 2; i++) {
		const struct snapshot *s = p->moments[i].snapshot;

		c->interval_bytes[i] = profile_interval_bytes(s, same_process ? level : s->level);
	}
	c->exact = c->interval_bytes[0] <= 1 && c->interval_bytes[1] <= 1;
	if (p->n_moments > 2) {
		c->what = COMPARE_KEPT;
		c->is_one_sided = true;
		sum_third(c, p);
	} else {
		sum_pair(c, p);
	}
}

static void add_allocated(struct comparison *c, const struct profile_moment *moment, bool is_after)
{
	const struct snapshot *s = moment->snapshot;
	size_t i;

	for (i = 0; i < s->n_stacks; i++) {
		struct compare_sums *sums = &c->stacks[moment->stack_of[i]];
		struct aggregate one = profile_allocated(s, &s->stacks[i]);

		estimate_add(is_after ? &sums->after : &sums->before, &one);
	}
}

void compare_init_allocated(struct comparison *c, const struct profile *p, bool same_process)
{
	const struct snapshot *a = p->moments[0].snapshot, *b = p->moments[1].snapshot;
	size_t i;

	memset(c, 0, sizeof(*c));
	c->what = COMPARE_ALLOCATED;
	c->same_process = c->is_one_sided = same_process;
	/* The interval never falls: what came in between has at most that of the later moment. */
	c->interval_bytes[0] = same_process ? profile_interval_bytes(b, b->level)
					    : profile_interval_bytes(a, a->level);
	c->interval_bytes[1] = profile_interval_bytes(b, b->level);
	c->exact = c->interval_bytes[0] <= 1 && c->interval_bytes[1] <= 1;
	c->stacks = alloc_array(p->n_stacks, sizeof(*c->stacks));
	add_allocated(c, &p->moments[0], false);
	add_allocated(c, &p->moments[1], true);
	for (i = 0; i < p->n_stacks; i++) {
		struct compare_sums *sums = &c->stacks[i];

		sums->born = sums->after;
		if (same_process) {
			estimate_subtract(&sums->born, &sums->before);
			profile_unwrap(b, &sums->born);
		} else {
			sums->died = sums->before;
		}
	}
}

static struct growth_sides sides_of(const struct comparison *c, const struct compare_sums *sums)
{
	return (struct growth_sides){
		.born = sums->born,
		.died = sums->died,
		.born_interval_bytes = c->interval_bytes[1],
		.died_interval_bytes = c->interval_bytes[0],
	};
}

/*
 * Chance of at least this much growth (or, swapped, shrinking) where there is none.
 * 1 where it is too large to be a discovery at any rank: finding it costs dozens of ranges.
 */
static double p_value(const struct comparison *c, const struct compare_sums *sums, bool shrinking)
{
	struct growth_sides sides;

	if (!(shrinking ? sums->died.bytes > sums->born.bytes
			: sums->born.bytes > sums->died.bytes))
		return 1;
	sides = sides_of(c, sums);
	if (shrinking) {
		sides.born = sums->died;
		sides.died = sums->born;
		sides.born_interval_bytes = c->interval_bytes[0];
		sides.died_interval_bytes = c->interval_bytes[1];
	}
	if (!(growth_estimate(&sides, HOPELESS_Z).range.lo > 0))
		return 1;
	return growth_p_value(&sides, 0);
}

/* Whether the range says so as well: no mark stands beside a range that holds 0. */
static bool range_agrees(const struct growth *growth, bool shrinking)
{
	return shrinking ? growth->range.hi < 0 : growth->range.lo > 0;
}

/* Marks with verdict the rows whose p-value is a discovery among all that moved. */
static void judge(struct comparison *c, bool shrinking, enum compare_verdict verdict)
{
	double *p = alloc_array(c->n_rows, sizeof(*p));
	double *sorted = alloc_array(c->n_rows, sizeof(*sorted));
	size_t i, n = 0;
	double limit;

	for (i = 0; i < c->n_rows; i++) {
		p[i] = 2;
		if (compare_is_still(&c->rows[i].sums))
			continue;
		p[i] = p_value(c, &c->rows[i].sums, shrinking);
		sorted[n++] = p[i];
	}
	limit = growth_discovery_limit(sorted, n, DISCOVERY_RATE);
	for (i = 0; i < c->n_rows; i++)
		if (p[i] <= limit && range_agrees(&c->rows[i].growth, shrinking))
			c->rows[i].verdict = verdict;
	free(p);
	free(sorted);
}

static int compare_rows(const void *a, const void *b)
{
	const struct compare_row *x = a, *y = b;
	double dx, dy;

	if (x->verdict != y->verdict)
		return x->verdict < y->verdict ? -1 : 1;
	/* What certainly grew comes first, what certainly shrank comes last. */
	dx = x->verdict == COMPARE_SHRANK ? x->growth.range.hi : x->growth.range.lo;
	dy = y->verdict == COMPARE_SHRANK ? y->growth.range.hi : y->growth.range.lo;
	if (dx != dy)
		return dx > dy ? -1 : 1;
	if (x->growth.bytes != y->growth.bytes)
		return x->growth.bytes > y->growth.bytes ? -1 : 1;
	if (x->sums.after.bytes != y->sums.after.bytes)
		return x->sums.after.bytes > y->sums.after.bytes ? -1 : 1;
	return x->group < y->group ? -1 : x->group > y->group;
}

static void add_sums(struct compare_sums *sum, const struct compare_sums *part)
{
	estimate_add(&sum->before, &part->before);
	estimate_add(&sum->after, &part->after);
	estimate_add(&sum->born, &part->born);
	estimate_add(&sum->died, &part->died);
}

struct growth compare_growth(const struct comparison *c, const struct compare_sums *sums)
{
	struct growth_sides sides = sides_of(c, sums);

	if (c->is_one_sided)
		return (struct growth){ sums->born.bytes,
			interval_of_bytes(&sums->born, c->interval_bytes[1], INTERVAL_Z95) };
	return growth_estimate(&sides, INTERVAL_Z95);
}

struct interval compare_range(
	const struct comparison *c, const struct compare_sums *sums, bool is_after)
{
	return interval_of_bytes(
		is_after ? &sums->after : &sums->before, c->interval_bytes[is_after], INTERVAL_Z95);
}

static void estimate_row(const struct comparison *c, struct compare_row *row)
{
	row->growth = compare_growth(c, &row->sums);
	/*
	 * A site where nothing moved is within noise of no change. Its range would be
	 * the resolution of the whole comparison, the same for every such site.
	 */
	row->verdict = COMPARE_NOISE;
}

static bool is_row(const struct comparison *c, const struct compare_sums *sums)
{
	if (c->is_one_sided)
		return sums->born.samples > 0;
	return sums->before.samples > 0 || sums->after.samples > 0;
}

void compare_group(struct comparison *c, const uint32_t *group_of, size_t n_stacks, size_t n_groups)
{
	struct compare_row *rows = alloc_array(n_groups, sizeof(*rows));
	size_t i;

	free(c->rows);
	c->rows = rows;
	c->n_rows = c->n_grew = c->n_noise = c->n_shrank = 0;
	memset(&c->total, 0, sizeof(c->total));
	memset(&c->noise, 0, sizeof(c->noise));
	c->total.group = c->noise.group = COMPARE_NO_GROUP;
	for (i = 0; i < n_stacks; i++)
		if (group_of[i] != COMPARE_NO_GROUP)
			add_sums(&rows[group_of[i]].sums, &c->stacks[i]);
	for (i = 0; i < n_groups; i++) {
		struct compare_row *row = &rows[i];

		if (!is_row(c, &row->sums))
			continue;
		row->group = (uint32_t)i;
		estimate_row(c, row);
		add_sums(&c->total.sums, &row->sums);
		rows[c->n_rows++] = *row;
	}
	if (!c->is_one_sided) {
		judge(c, false, COMPARE_GREW);
		judge(c, true, COMPARE_SHRANK);
	}
	for (i = 0; i < c->n_rows; i++) {
		if (c->is_one_sided && rows[i].growth.range.lo > 0)
			rows[i].verdict = COMPARE_GREW;
		if (rows[i].verdict == COMPARE_NOISE)
			add_sums(&c->noise.sums, &rows[i].sums);
		c->n_grew += rows[i].verdict == COMPARE_GREW;
		c->n_noise += rows[i].verdict == COMPARE_NOISE;
		c->n_shrank += rows[i].verdict == COMPARE_SHRANK;
	}
	estimate_row(c, &c->total);
	estimate_row(c, &c->noise);
	if (!compare_is_still(&c->total.sums)) {
		if (c->total.growth.range.lo > 0)
			c->total.verdict = COMPARE_GREW;
		else if (c->total.growth.range.hi < 0)
			c->total.verdict = COMPARE_SHRANK;
	}
	qsort(rows, c->n_rows, sizeof(*rows), compare_rows);
}

void compare_deinit(struct comparison *c)
{
	free(c->stacks);
	free(c->rows);
	memset(c, 0, sizeof(*c));
}
