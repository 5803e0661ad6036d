/*
 * trend_fixture.h - runs made of single blocks, for the tests of trends: what a reader of their
 * snapshots would sum, and the verdict on it.
 */
#ifndef HEAPSPY_TREND_FIXTURE_H
#define HEAPSPY_TREND_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/stats/trend.h"
#include "sample_math.h"

#define R512K       UINT64_C(524288)
#define NS_PER_S    1000000000ull
#define NEVER_NS    UINT64_MAX
#define FIXTURE_MAX 512 /* cuts */

/* A sampled block: live at a cut when born at or before it and dead only after. */
struct block {
	uint64_t birth_ns, death_ns;
	struct estimate_sample sample;
};

struct blocks {
	struct block *items;
	size_t n, capacity;
};

static inline void blocks_add(
	struct blocks *b, uint64_t birth_ns, uint64_t death_ns, uint64_t size_bytes)
{
	b->items = alloc_room(b->items, b->n, &b->capacity, sizeof(*b->items));
	b->items[b->n++] = (struct block){ birth_ns, death_ns, { size_bytes, R512K, 0 } };
}

/* A site and the memory it stands on. */
struct fixture_site {
	struct age_structure structure;
	double series[AGE_STRUCTURE_SERIES * FIXTURE_MAX];
	struct age_cell cells[FIXTURE_MAX];
};

/* A block as the cuts see it: live at `epoch`..`last`; not at all where last < epoch. */
struct fixture_span {
	size_t epoch, last;
	struct aggregate weight;
};

static inline struct fixture_span fixture_span_of(
	const struct block *block, const uint64_t *cut_ns, size_t n_cuts, uint64_t interval_bytes)
{
	struct fixture_span span = { .weight = { 0 } };
	size_t dead_at = trend_plan_epoch(cut_ns, n_cuts, block->death_ns);

	span.epoch = trend_plan_epoch(cut_ns, n_cuts, block->birth_ns);
	/* A block that dies at the very time of a cut is not in it. */
	span.last = dead_at - 1;
	if (dead_at == 0 || span.epoch == n_cuts ||
		!estimate_add_sample(&span.weight, &block->sample, interval_bytes, 16)) {
		span.epoch = 1;
		span.last = 0;
	}
	return span;
}

static inline int fixture_compare_spans(const void *left, const void *right)
{
	const struct fixture_span *a = left, *b = right;

	return (a->epoch > b->epoch) - (a->epoch < b->epoch);
}

/* Sums the blocks over the cuts, lifted to interval_bytes; by_cell: an epoch in one addition. */
static inline void fixture_sum(struct fixture_site *site, const struct trend_plan *plan,
	const uint64_t *cut_ns, const struct blocks *blocks, uint64_t interval_bytes, bool by_cell)
{
	struct fixture_span *spans = alloc_array(blocks->n, sizeof(*spans));
	static struct aggregate epochs[FIXTURE_MAX];
	size_t cut, e, i, begin = 0, end = 0, n_live;

	for (i = 0; i < blocks->n; i++)
		spans[i] = fixture_span_of(&blocks->items[i], cut_ns, plan->n_cuts, interval_bytes);
	qsort(spans, blocks->n, sizeof(*spans), fixture_compare_spans);
	memset(site, 0, sizeof(*site));
	age_structure_init(&site->structure, plan, site->series);
	for (cut = 0; cut < plan->n_cuts; cut++) {
		bool cells = by_cell || cut == trend_plan_last(plan);

		memset(epochs, 0, plan->n_cuts * sizeof(*epochs));
		/* What is live stays in begin..end, in any order; the dead fall out in front. */
		for (; end < blocks->n && spans[end].epoch <= cut; end++)
			;
		for (i = n_live = end; i-- > begin;)
			if (spans[i].last >= cut)
				spans[--n_live] = spans[i];
		begin = n_live;
		for (i = begin; i < end; i++) {
			if (cells)
				estimate_add(&epochs[spans[i].epoch], &spans[i].weight);
			if (!by_cell)
				age_structure_add(&site->structure, plan, cut, spans[i].epoch,
					&spans[i].weight);
		}
		for (e = 0; e <= cut && by_cell; e++)
			if (epochs[e].samples > 0)
				age_structure_add(&site->structure, plan, cut, e, &epochs[e]);
		age_structure_end_cut(&site->structure, plan, cut);
	}
	for (e = 0; e < plan->n_cuts; e++)
		if (epochs[e].samples > 0)
			site->cells[site->structure.n_cells++] = (struct age_cell){
				.epoch = (uint32_t)e,
				.samples = epochs[e].samples,
				.size_bytes = epochs[e].size_bytes,
				.bytes = epochs[e].bytes,
			};
	site->structure.cells = site->cells;
	free(spans);
}

#endif
