/*
 * trend_hidden.c - owns dividing rows into parts, and which of those that leak are told. What leaks
 * is stats/trend.c's to say, rows are sites.c's, the words trend_hidden_words.c's.
 */
#include "analyzer/trend_hidden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/stats/trend_evidence.h"

/* No verdict comes from fewer. */
#define SAMPLES_MIN 5
/* Of all that leaks: less is not worth a row. */
#define SHARE_MIN   .001
/* More parts of the time in which those beside shrink than grow; by how much more or less. */
#define PLACE_BINS  2
#define PLACE_RATIO 3
/* Of the old blocks beside a part that die, for a part that keeps its own to be compared. */
#define ALIKE_MIN   .25
/* That so few of a part's die by chance; lines differ in what they are for, callers seldom. */
#define NAME_CHANCE .05
#define CALL_CHANCE .01
#define NO_PART     SIZE_MAX
#define NO_FRAME    UINT32_MAX
#define IS_LEAK(v)  ((v) == TREND_LEAK || (v) == TREND_LEAK_SLOWING)

/* A stack that is to be put into parts. */
struct member {
	const struct symbol_frame *frame; /* that names it; NULL: none */
	uint32_t stack, position;         /* of the profile; in the stack, of that frame */
	uint32_t key;                     /* of the step under way */
	double grown_bytes;               /* trend_hidden_set_places() only */
};

/* Members next to each other: a whole row, or what they have in common up to a step. */
struct part {
	size_t first, n;
	size_t row, parent; /* NO_PART: it is the row itself */
	size_t step;        /* the first at which its members may differ */
};

struct division {
	const struct history *h;
	const struct sites *sites;
	const struct source_frames *frames;
	const struct history_sites *rows;
	unsigned n_names; /* steps by name: 2 function and line, 1 line, 0 none */
	struct member *members;
	struct part *parts; /* parents before their children */
	size_t n_members, n_parts, capacity;
};

static int compare_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_functions(const struct member *a, const struct member *b)
{
	return compare_texts(
		a->frame ? a->frame->function : NULL, b->frame ? b->frame->function : NULL);
}

static int compare_lines(const struct member *a, const struct member *b)
{
	uint32_t x = a->frame ? a->frame->line : 0, y = b->frame ? b->frame->line : 0;
	int order =
		compare_texts(a->frame ? a->frame->file : NULL, b->frame ? b->frame->file : NULL);

	return order ? order : (x > y) - (x < y);
}

static int compare_keys(const struct member *a, const struct member *b)
{
	return (a->key > b->key) - (a->key < b->key);
}

typedef int compare_members(const struct member *a, const struct member *b);

static compare_members *const compares[] = {
	[TREND_HIDDEN_FUNCTION] = compare_functions,
	[TREND_HIDDEN_LINE] = compare_lines,
	[TREND_HIDDEN_CALL] = compare_keys,
};

/* For qsort_r(): by a compare_members, and equal ones in order of stack. */
static int compare_for_sort(const void *left, const void *right, void *kind)
{
	const struct member *a = left, *b = right;
	int order = compares[*(enum trend_hidden_kind *)kind](a, b);

	return order ? order : (a->stack > b->stack) - (a->stack < b->stack);
}

/* By what the members of a part are told apart at a step. */
static enum trend_hidden_kind kind_of(const struct division *d, size_t step)
{
	if (step >= d->n_names)
		return TREND_HIDDEN_CALL;
	return d->n_names - step == 2 ? TREND_HIDDEN_FUNCTION : TREND_HIDDEN_LINE;
}

/* The address of the frame `outward` of the naming one, as a number; NO_FRAME: there is none. */
static uint32_t frame_of(const struct division *d, const struct member *m, size_t outward)
{
	const struct profile *p = d->frames->profile;
	const struct profile_stack *stack = &p->stacks[m->stack];

	if (outward >= stack->n_frames - m->position)
		return NO_FRAME;
	return p->stack_frames[stack->first_frame + m->position + outward];
}

static double samples_of(const struct division *d, const struct part *part)
{
	double samples = 0;
	size_t i;

	for (i = 0; i < part->n; i++)
		samples += d->h->stacks[d->members[part->first + i].stack]->samples;
	return samples;
}

static void add_part(struct division *d, const struct part *part)
{
	d->parts = alloc_room(d->parts, d->n_parts, &d->capacity, sizeof(*d->parts));
	d->parts[d->n_parts++] = *part;
}

/* Whether the members of a part differ at a step; *endp: none of them goes so far. */
static bool differ(struct division *d, const struct part *part, size_t step, bool *endp)
{
	struct member *m = d->members + part->first;
	enum trend_hidden_kind kind = kind_of(d, step);
	bool do_differ = false;
	size_t i;

	*endp = kind == TREND_HIDDEN_CALL;
	for (i = 0; i < part->n; i++) {
		if (kind == TREND_HIDDEN_CALL) {
			m[i].key = frame_of(d, &m[i], step - d->n_names);
			*endp &= m[i].key == NO_FRAME;
		}
		do_differ |= compares[kind](&m[0], &m[i]) != 0;
	}
	return do_differ;
}

/* Adds the parts into which a part falls at the first step that tells its members apart. */
static void divide(struct division *d, size_t at)
{
	const struct part whole = d->parts[at];
	struct member *m = d->members + whole.first;
	enum trend_hidden_kind kind;
	size_t i, first, step = whole.step;
	bool is_end = whole.n < 2;

	while (!is_end && !differ(d, &whole, step, &is_end))
		step++;
	if (is_end)
		return;
	kind = kind_of(d, step);
	qsort_r(m, whole.n, sizeof(*m), compare_for_sort, &kind);
	for (first = 0; first < whole.n; first = i) {
		struct part part = { .row = whole.row, .parent = at, .step = step + 1 };

		for (i = first + 1; i < whole.n && !compares[kind](&m[first], &m[i]); i++)
			;
		part.first = whole.first + first;
		part.n = i - first;
		if (samples_of(d, &part) >= SAMPLES_MIN)
			add_part(d, &part);
	}
}

/* Adds the stacks of a row that were live behind *np members. */
static void list_members(struct member *members, size_t *np, const struct sites *sites,
	const struct history *h, uint32_t group)
{
	size_t k;

	for (k = sites->first_member[group]; k < sites->first_member[group + 1]; k++) {
		struct member *m = &members[*np];

		if (!history_was_live(h, sites->members[k]))
			continue;
		m->stack = sites->members[k];
		m->frame = source_frames_naming(
			sites->frames, &sites->frames->profile->stacks[m->stack], &m->position);
		++*np;
	}
}

/* The stacks of the rows that may hide something, row by row, each of which is a part. */
static void list_rows(struct division *d, const struct trend_result *results)
{
	const struct history_sites *rows = d->rows;
	size_t i;

	for (i = 0; i < rows->n_sites; i++) {
		uint32_t group = rows->groups[i];
		struct part part = { .first = d->n_members, .row = i, .parent = NO_PART };

		if (IS_LEAK(results[i].verdict) || group == HISTORY_UNKNOWN_GROUP)
			continue;
		list_members(d->members, &d->n_members, d->sites, d->h, group);
		part.n = d->n_members - part.first;
		add_part(d, &part);
	}
}

/* Sums each part but the whole rows, in the order of parts; *seriesp is the caller's. */
static struct age_structure *sum_parts(const struct division *d, size_t n_rows, double **seriesp)
{
	const struct trend_plan *plan = &d->h->run.plan;
	size_t i, k, n = d->n_parts - n_rows, n_series = AGE_STRUCTURE_SERIES * plan->n_cuts;
	struct age_structure *sums = alloc_array(n, sizeof(*sums));
	size_t *innermost = alloc_array(d->n_members, sizeof(*innermost));

	*seriesp = alloc_array(n * n_series, sizeof(**seriesp));
	/* Each stack is summed once, in the smallest part it is in, and that part in its parent. */
	for (i = 0; i < d->n_parts; i++)
		for (k = 0; k < d->parts[i].n; k++)
			innermost[d->parts[i].first + k] = i;
	for (i = 0; i < n; i++)
		age_structure_init(&sums[i], plan, *seriesp + i * n_series);
	for (k = 0; k < d->n_members; k++)
		if (innermost[k] >= n_rows)
			age_structure_merge(&sums[innermost[k] - n_rows],
				d->h->stacks[d->members[k].stack], plan);
	for (i = n; i-- > 0;) {
		size_t parent = d->parts[n_rows + i].parent;

		if (parent >= n_rows)
			age_structure_merge(&sums[parent - n_rows], &sums[i], plan);
	}
	free(innermost);
	return sums;
}

static double log_choices(double n, double k)
{
	return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

/*
 * The chance that of n, drawn from `all` of which all_died have died, `died` or fewer have
 * (Fisher's exact test).
 */
static double chance_of_so_few(double n, double died, double all, double all_died)
{
	double k, chance = 0;

	for (k = fmax(0, n - (all - all_died)); k <= fmin(died, all_died); k++)
		chance += exp(log_choices(all_died, k) + log_choices(all - all_died, n - k) -
			      log_choices(all, n));
	return chance;
}

/*
 * Whether the old blocks of a part die like those beside it, whole having both: among many stacks
 * of one pool there are always some of whose few old blocks none happens to have died.
 */
static bool dies_alike(
	const struct trend_result *part, const struct trend_result *whole, double chance)
{
	double beside = whole->old_samples - part->old_samples;
	double beside_died = whole->old_died - part->old_died;

	return beside > 0 && beside_died > ALIKE_MIN * beside &&
	       chance_of_so_few(part->old_samples, part->old_died, whole->old_samples,
		       whole->old_died) > chance;
}

/*
 * Whether a part grew in the place of those beside it: long-lived objects that were made by one
 * caller are made by another now, and all of them together are as many as before.
 */
static bool took_a_place(const struct trend_result *part, const struct trend_result *whole)
{
	double grown = 0, beside = 0;
	int j, down = 0;

	for (j = 0; j < TREND_PLAN_BINS; j++) {
		double rest = whole->bin_bytes[j] - part->bin_bytes[j];

		grown += part->bin_bytes[j];
		beside += rest;
		down += rest < 0 ? 1 : rest > 0 ? -1 : 0;
	}
	return down >= PLACE_BINS && -beside >= grown / PLACE_RATIO &&
	       -beside <= grown * PLACE_RATIO;
}

/* Whether a part that leaks by itself is no chance find in what it was divided from. */
static bool stands_out(const struct division *d, const struct part *part,
	const struct trend_result *r, const struct age_structure *whole)
{
	bool is_call = kind_of(d, part->step - 1) == TREND_HIDDEN_CALL;
	struct trend_result both;

	/* By the age that shows the leak. */
	trend_evidence(&d->h->run, whole, r->age, &both);
	return !dies_alike(r, &both, is_call ? CALL_CHANCE : NAME_CHANCE) &&
	       !(is_call && took_a_place(r, &both));
}

/*
 * Marks of the parts that leak those that lie in no other such, and are large enough to be told.
 * results are those of the rows, judged and sums those of the parts behind them. Returns how many.
 */
static size_t choose(const struct division *d, size_t n_rows, const struct trend_result *results,
	const struct trend_result *judged, const struct age_structure *sums, bool *chosen)
{
	bool *covered = alloc_array(d->n_parts, sizeof(*covered));
	double leaked = trend_total_rate(&d->h->run, results, d->rows->n_sites,
		1u << TREND_LEAK | 1u << TREND_LEAK_SLOWING, NULL)
				.bytes;
	size_t i, n = 0;

	for (i = n_rows; i < d->n_parts; i++) {
		const struct part *part = &d->parts[i];
		const struct trend_result *r = &judged[i - n_rows];

		covered[i] = covered[part->parent];
		if (covered[i] || !IS_LEAK(r->verdict))
			continue;
		covered[i] = true;
		chosen[i] = stands_out(d, part, r,
			part->parent < n_rows ? &d->rows->structures[part->row]
					      : &sums[part->parent - n_rows]);
		if (chosen[i])
			leaked += r->rate;
	}
	for (i = n_rows; i < d->n_parts; i++) {
		chosen[i] = chosen[i] && judged[i - n_rows].rate >= SHARE_MIN * leaked;
		n += chosen[i];
	}
	free(covered);
	return n;
}

static void describe(struct trend_hidden_leak *leak, const struct division *d,
	const struct part *part, uint32_t *stacks)
{
	const struct site *row;
	double weight, most = -1;
	uint32_t heaviest = 0;
	size_t i;

	leak->kind = kind_of(d, part->step - 1);
	leak->row = part->row;
	leak->group = d->rows->groups[part->row];
	leak->n_callers = leak->kind == TREND_HIDDEN_CALL ? part->step - 1 - d->n_names : 0;
	leak->stacks = stacks;
	leak->n_stacks = part->n;
	for (i = 0; i < part->n; i++) {
		stacks[i] = d->members[part->first + i].stack;
		weight = history_mean_bytes(d->h, stacks[i]);
		if (weight > most) {
			most = weight;
			heaviest = stacks[i];
		}
	}
	leak->site = sites_describe(d->frames, heaviest);
	/* What tells two functions of one short name apart. */
	row = &d->sites->sites[leak->group];
	if (row->function[0]) {
		leak->site.distinct = row->distinct;
		leak->site.distinct_from = row->distinct_from;
		leak->site.distinct_end = row->distinct_end;
	}
}

/* Members stay where they are from now on. */
static void tell(struct trend_hidden *hidden, const struct division *d, size_t n_rows,
	const bool *chosen, const struct trend_result *results)
{
	uint32_t *stacks = alloc_array(d->n_members, sizeof(*stacks));
	size_t i, n = 0, n_cuts = d->h->run.plan.n_cuts;

	hidden->stacks = stacks;
	hidden->live_bytes = alloc_array(hidden->n * n_cuts, sizeof(*hidden->live_bytes));
	hidden->leaks = alloc_array(hidden->n, sizeof(*hidden->leaks));
	hidden->results = alloc_array(hidden->n, sizeof(*hidden->results));
	for (i = n_rows; i < d->n_parts; i++) {
		const struct part *part = &d->parts[i];

		if (!chosen[i])
			continue;
		describe(&hidden->leaks[n], d, part, stacks + part->first);
		hidden->results[n] = results[i - n_rows];
		/* There are many more parts than leaks. */
		hidden->results[n].live_bytes = memcpy(hidden->live_bytes + n * n_cuts,
			results[i - n_rows].live_bytes, n_cuts * sizeof(double));
		n++;
	}
}

void trend_hidden_find(struct trend_hidden *hidden, const struct history *h,
	const struct sites *sites, enum sites_by by, const struct history_sites *rows,
	const struct trend_result *results, const struct trend_judging *judging)
{
	struct division d = { .h = h, .sites = sites, .frames = sites->frames, .rows = rows };
	struct trend_result *judged;
	struct age_structure *sums;
	size_t i, n_rows;
	double *series;
	bool *chosen;

	memset(hidden, 0, sizeof(*hidden));
	if (by == SITES_BY_SITE)
		return;
	d.n_names = by == SITES_BY_MODULE ? 2 : by == SITES_BY_FUNCTION;
	d.members = alloc_array(sites->n_stacks, sizeof(*d.members));
	list_rows(&d, results);
	n_rows = d.n_parts;
	for (i = 0; i < d.n_parts; i++)
		divide(&d, i);
	sums = sum_parts(&d, n_rows, &series);
	judged = alloc_array(d.n_parts - n_rows, sizeof(*judged));
	trend_judge(&h->run, sums, d.n_parts - n_rows, judging, judged);
	chosen = alloc_array(d.n_parts, sizeof(*chosen));
	hidden->n = choose(&d, n_rows, results, judged, sums, chosen);
	tell(hidden, &d, n_rows, chosen, judged);
	free(chosen);
	free(judged);
	free(sums);
	free(series);
	free(d.parts);
	free(d.members);
}

void trend_hidden_deinit(struct trend_hidden *hidden)
{
	free(hidden->leaks);
	free(hidden->results);
	free(hidden->stacks);
	free(hidden->live_bytes);
	memset(hidden, 0, sizeof(*hidden));
}

/* The stack that grew most of those of the line that did; members are those of one row. */
static uint32_t most_grown(struct member *members, size_t n)
{
	enum trend_hidden_kind kind = TREND_HIDDEN_LINE;
	double line, stack, most = -INFINITY;
	size_t first, i, best_of_line, best = 0;

	qsort_r(members, n, sizeof(*members), compare_for_sort, &kind);
	for (first = 0; first < n; first = i) {
		best_of_line = first;
		line = 0;
		stack = -INFINITY;
		for (i = first; i < n && !compare_lines(&members[first], &members[i]); i++) {
			line += members[i].grown_bytes;
			if (members[i].grown_bytes > stack) {
				stack = members[i].grown_bytes;
				best_of_line = i;
			}
		}
		if (line > most) {
			most = line;
			best = best_of_line;
		}
	}
	return members[best].stack;
}

void trend_hidden_set_places(struct sites *sites, const struct history *h,
	const struct history_sites *rows, const struct trend_result *results)
{
	struct member *members = alloc_array(sites->n_stacks, sizeof(*members));
	size_t i, k, n;

	for (i = 0; i < rows->n_sites; i++) {
		uint32_t group = rows->groups[i];
		struct site *site, place;
		struct trend_result one;

		if (!IS_LEAK(results[i].verdict) || group == HISTORY_UNKNOWN_GROUP)
			continue;
		site = &sites->sites[group];
		n = 0;
		list_members(members, &n, sites, h, group);
		/* A module has no place. */
		if (n < 2 || !site->function[0])
			continue;
		for (k = 0; k < n; k++) {
			trend_evidence(&h->run, h->stacks[members[k].stack], results[i].age, &one);
			members[k].grown_bytes = one.late.growth.bytes;
		}
		place = sites_describe(sites->frames, most_grown(members, n));
		site->file = place.file;
		site->line = place.line;
		site->inlined_into = place.inlined_into;
		site->stack = place.stack;
	}
	free(members);
}
