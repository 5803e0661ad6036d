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

/* What makes a sample the same one in two snapshots of a process. */
struct identity {
	uint64_t address;
	uint64_t size_thread;
	uint64_t birth; /* with the level at birth, without the level it stands at now */
	uint32_t u;
	uint32_t stack; /* of the profile */
};

/* Samples of one snapshot by identity; equal ones are counted. */
struct sample_set {
	struct content_index index;
	const struct profile_moment *moment;
	uint32_t *unmatched; /* by sample index: how many of this identity are left */
};

static struct identity identity_of(const struct profile_moment *moment, size_t i)
{
	const struct heapspy_sample *sample = &moment->snapshot->samples[i];

	return (struct identity){
		.address = sample->address,
		.size_thread = sample->size_thread,
		.birth = sample->birth_level & ((1ull << 60) - 1),
		.u = sample->u,
		.stack = moment->stack_of[sample->stack],
	};
}

/* The first sample of the set with this identity. */
static bool set_find(
	const struct sample_set *set, const struct identity *id, uint64_t hash, size_t *samplep)
{
	uint64_t at = hash;

	while (content_index_next(&set->index, hash, &at, samplep)) {
		struct identity have = identity_of(set->moment, *samplep);

		if (!memcmp(&have, id, sizeof(have)))
			return true;
	}
	return false;
}

static void set_init(struct sample_set *set, const struct profile_moment *moment)
{
	size_t i, first, n = moment->snapshot->n_samples;

	content_index_init(&set->index);
	content_index_reserve(&set->index, n);
	set->moment = moment;
	set->unmatched = alloc_array(n, sizeof(*set->unmatched));
	for (i = 0; i < n; i++) {
		struct identity id = identity_of(moment, i);
		uint64_t hash = content_index_hash(&set->index, &id, sizeof(id));

		if (set_find(set, &id, hash, &first)) {
			set->unmatched[first]++;
			continue;
		}
		content_index_add(&set->index, hash, i);
		set->unmatched[i] = 1;
	}
}

static void set_deinit(struct sample_set *set)
{
	content_index_deinit(&set->index);
	free(set->unmatched);
}

/* Takes one sample with the identity of sample i of moment out of the set. */
static bool set_take(struct sample_set *set, const struct profile_moment *moment, size_t i)
{
	struct identity id = identity_of(moment, i);
	uint64_t hash = content_index_hash(&set->index, &id, sizeof(id));
	size_t found;

	if (!set_find(set, &id, hash, &found) || !set->unmatched[found])
		return false;
	set->unmatched[found]--;
	return true;
}

/* The sample's weights at its side's interval; all zero when it does not belong there. */
static struct aggregate weigh(
	const struct comparison *c, unsigned side, const struct snapshot *s, size_t i)
{
	struct estimate_sample sample = profile_sample(s, &s->samples[i]);
	struct aggregate one = { 0 };

	estimate_add_sample(&one, &sample, c->interval_bytes[side], s->info.variance_unit_log2);
	return one;
}

static struct compare_sums *sums_of(
	struct comparison *c, const struct profile_moment *moment, size_t i)
{
	return &c->stacks[moment->stack_of[moment->snapshot->samples[i].stack]];
}

static void sum_pair(struct comparison *c, const struct profile *p)
{
	const struct profile_moment *a = &p->moments[0], *b = &p->moments[1];
	struct sample_set old;
	size_t i;

	set_init(&old, a);
	for (i = 0; i < b->snapshot->n_samples; i++) {
		struct aggregate one = weigh(c, 1, b->snapshot, i);
		struct compare_sums *sums = sums_of(c, b, i);

		estimate_add(&sums->after, &one);
		if (!c->same_process || !set_take(&old, b, i))
			estimate_add(&sums->born, &one);
	}
	for (i = 0; i < a->snapshot->n_samples; i++) {
		struct aggregate one = weigh(c, 0, a->snapshot, i);
		struct compare_sums *sums = sums_of(c, a, i);

		estimate_add(&sums->before, &one);
		/* Equal samples are interchangeable: what is left belongs to the first of them. */
		while (old.unmatched[i]) {
			estimate_add(&sums->died, &one);
			old.unmatched[i]--;
		}
	}
	set_deinit(&old);
}

static void sum_third(struct comparison *c, const struct profile *p)
{
	const struct profile_moment *b = &p->moments[1];
	struct sample_set old, later;
	size_t i;

	set_init(&old, &p->moments[0]);
	set_init(&later, &p->moments[2]);
	for (i = 0; i < b->snapshot->n_samples; i++) {
		struct aggregate one;

		if (set_take(&old, b, i) || !set_take(&later, b, i))
			continue;
		one = weigh(c, 1, b->snapshot, i);
		estimate_add(&sums_of(c, b, i)->after, &one);
		estimate_add(&sums_of(c, b, i)->born, &one);
	}
	set_deinit(&old);
	set_deinit(&later);
}

void compare_init(struct comparison *c, const struct profile *p, bool same_process)
{
	uint32_t level = 0;
	unsigned i;

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
	if (p->n_moments > 2)
		sum_third(c, p);
	else
		sum_pair(c, p);
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
	struct growth_sides sides = sides_of(c, sums), swapped = sides;

	if (shrinking) {
		swapped.born = sides.died;
		swapped.died = sides.born;
		swapped.born_interval_bytes = sides.died_interval_bytes;
		swapped.died_interval_bytes = sides.born_interval_bytes;
	}
	if (!(growth_estimate(&swapped, HOPELESS_Z).range.lo > 0))
		return 1;
	return growth_p_value(&swapped, 0);
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

static void estimate_row(const struct comparison *c, struct compare_row *row)
{
	struct growth_sides sides = sides_of(c, &row->sums);

	row->growth = growth_estimate(&sides, INTERVAL_Z95);
	/*
	 * A site where nothing moved is within noise of no change. Its range would be
	 * the resolution of the whole comparison, the same for every such site.
	 */
	row->verdict = COMPARE_NOISE;
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

		if (!(row->sums.before.samples > 0) && !(row->sums.after.samples > 0))
			continue;
		row->group = (uint32_t)i;
		estimate_row(c, row);
		add_sums(&c->total.sums, &row->sums);
		rows[c->n_rows++] = *row;
	}
	judge(c, false, COMPARE_GREW);
	judge(c, true, COMPARE_SHRANK);
	for (i = 0; i < c->n_rows; i++) {
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
