/* diff_stacks.c - owns which stacks stand for a row of a diff. */
#include "analyzer/out/diff.h"

#include <math.h>
#include <stdlib.h>

#include "analyzer/alloc.h"

struct scored {
	uint32_t stack;
	double moved, live;
};

static int compare_scored(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->moved != y->moved)
		return x->moved > y->moved ? -1 : 1;
	if (x->live != y->live)
		return x->live > y->live ? -1 : 1;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

size_t diff_best_stacks(
	const struct diff_view *v, uint32_t group, uint32_t *stacks, size_t max, size_t *n_allp)
{
	const struct sites *sites = v->sites;
	const uint32_t *members = sites->members + sites->first_member[group];
	size_t i, n = sites->first_member[group + 1] - sites->first_member[group];
	struct scored *scored = alloc_array(n, sizeof(*scored));

	for (i = 0; i < n; i++) {
		const struct compare_sums *sums = &v->comparison->stacks[members[i]];

		scored[i].stack = members[i];
		scored[i].moved = fabs(sums->born.bytes - sums->died.bytes);
		scored[i].live = sums->after.bytes + sums->before.bytes;
	}
	qsort(scored, n, sizeof(*scored), compare_scored);
	*n_allp = n;
	for (i = 0; i < n && i < max; i++)
		stacks[i] = scored[i].stack;
	free(scored);
	return i;
}
