/* churn_rows.c - owns which rows of a churn text shows, and which stacks stand for a row. */
#include "analyzer/out/churn.h"

#include <math.h>
#include <stdlib.h>

#include "analyzer/alloc.h"

/* Rows that make less than this part of all bytes (or blocks) are only counted. */
#define SMALL_SHARE .01

/* Marks the rows from a share on; returns how many. */
static size_t choose(const struct churn_view *v, double least_share, bool *shown)
{
	const struct churn *c = v->churn;
	const struct options *o = v->options;
	size_t i, n = 0;

	for (i = 0; i < c->n_rows && (!o->n_rows || n < o->n_rows); i++) {
		const struct churn_row *row = &c->rows[i];
		double share = o->metric == METRIC_OBJECTS ? row->blocks.share : row->bytes.share;

		if (row->bytes.rate.value < (double)o->min_bytes ||
			(share < least_share && !row->flags))
			continue;
		shown[i] = true;
		n++;
	}
	return n;
}

bool *churn_choose_rows(const struct churn_view *v)
{
	bool *shown = alloc_array(v->churn->n_rows, sizeof(*shown));
	/* A limit of the user's, or none at all, is in place of ours. */
	bool is_limited = v->options->n_rows && !v->options->min_bytes;

	/* Where no site reaches it, the first ones are as good as any. */
	if (!is_limited || !choose(v, SMALL_SHARE, shown))
		choose(v, 0, shown);
	return shown;
}

struct scored {
	uint32_t stack;
	double bytes;
};

static int compare_scored(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

size_t churn_best_stacks(
	const struct churn_view *v, uint32_t group, uint32_t *stacks, size_t max, size_t *n_allp)
{
	const struct sites *sites = v->sites;
	size_t first = sites->first_member[group], last = sites->first_member[group + 1], i, n = 0;
	struct scored *scored = alloc_array(last - first, sizeof(*scored));

	for (i = first; i < last; i++) {
		const struct aggregate *born = &v->churn->stacks[sites->members[i]].allocated;

		if (born->samples > 0)
			scored[n++] = (struct scored){ sites->members[i], born->bytes };
	}
	qsort(scored, n, sizeof(*scored), compare_scored);
	*n_allp = n;
	for (i = 0; i < n && i < max; i++)
		stacks[i] = scored[i].stack;
	free(scored);
	return i;
}

void churn_add_flags(struct strbuf *out, unsigned flags, const char *separator)
{
	const char *between = "";

	if (flags & (CHURN_HOT | CHURN_HEAVY)) {
		strbuf_add_text(out, flags & CHURN_HEAVY ? "heavy" : "hot");
		between = separator;
	}
	if (flags & CHURN_MID_LIFE)
		strbuf_addf(out, "%smid-life", between);
}
