/*
 * test_thinning_bias.c - whether estimates stay true when what raises the interval is the samples
 * themselves: a table that is full of them, or the time that they take. The library's own recorder
 * runs over made-up blocks, in made-up time, in the names of many threads.
 *
 * Seeds are fixed, so each run gives the same figures. A bias is held against 3 standard errors of
 * the mean of N_RUNS runs; a coverage of 95 % in 1000 runs has a standard error of 0.7 %.
 */
#include <math.h>
#include <sys/mman.h>
#include "analyzer/stats/interval.h"
#include "preload/filter.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/thread_state.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define N_RUNS     1000
#define N_BLOCKS   30000
#define BURST      20
#define THREADS    50
/* Every so manieth block is of one site, which has a few dozen samples in the end. */
#define SITE_EVERY 16

static const uint64_t sizes[] = { 3000, 3000, 3000, 12000, 12000, 50000, 190000, 6000 };

/* Blocks are never touched: only their addresses are used. */
static struct {
	uint32_t bytes;
	bool is_live;
} blocks[N_BLOCKS];

static void *address_of(unsigned i)
{
	return (void *)(0x10000000ull + (uint64_t)i * 2048);
}

/* The threads take turns as the one there is. */
static struct thread_state threads[THREADS];

static void begin_threads(struct state_header *state, uint64_t seed)
{
	struct unwind_scratch *work = hs_thread.work;
	unsigned i;

	process_generation++;
	for (i = 0; i < THREADS; i++) {
		memset(&hs_thread, 0, sizeof(hs_thread));
		thread_state_adopt(state, process_generation, 0);
		sample_rng_seed(&hs_thread.rng, seed * THREADS + i);
		hs_thread.flags |= THREAD_IDLE; /* its first gap is not yet drawn */
		threads[i] = hs_thread;
	}
	hs_thread.work = work;
}

static void become(unsigned *current, unsigned next)
{
	struct unwind_scratch *work = hs_thread.work;

	threads[*current] = hs_thread;
	hs_thread = threads[next];
	hs_thread.work = work;
	*current = next;
}

static void allocate(unsigned i, uint32_t bytes)
{
	blocks[i].bytes = bytes;
	blocks[i].is_live = true;
	if (!thread_state_countdown(bytes))
		return;
	thread_state_put_back(bytes);
	recorder_allocated(address_of(i), bytes);
}

static void release(unsigned i)
{
	blocks[i].is_live = false;
	if (filter_test(address_of(i)))
		recorder_freed(address_of(i));
}

/* An estimate and the truth that it was for, over all runs. */
struct score {
	double n, sum, sum_squares, variance, covered;
};

static void score_add(struct score *score, double estimate, double truth, double variance)
{
	score->n++;
	score->sum += estimate - truth;
	score->sum_squares += (estimate - truth) * (estimate - truth);
	score->variance += variance;
}

static double score_variance(const struct score *score)
{
	double mean = score->sum / score->n;

	return (score->sum_squares - score->n * mean * mean) / (score->n - 1);
}

static void check_unbiased(const struct score *score, const char *what)
{
	double bias = score->sum / score->n / sqrt(score_variance(score) / score->n);

	printf("# %s: bias %.2f standard errors", what, bias);
	if (score->variance > 0)
		printf(", sum of v / variance %.3f",
			score->variance / score->n / score_variance(score));
	printf(score->covered > 0 ? ", cover %.3f\n" : "\n", score->covered / score->n);
	CHECK(fabs(bias) < 3);
	if (score->variance > 0)
		CHECK_NEAR(score->variance / score->n / score_variance(score), 1, .12);
}

struct outcome {
	struct score allocated, live_bytes, live_blocks, site_bytes;
	unsigned levels_min, n_unreconciled;
	uint64_t n_lost;
};

struct totals {
	struct aggregate all, site;
	uint64_t n, B, C; /* of the live samples, at the levels they stand at */
};

static void add_live(struct state_header *state, struct totals *totals)
{
	uint32_t c = state_n_chunks(state);
	struct state_live_segment *s;

	while ((s = state_chunk_before(state, STATE_CHUNK_LIVE, &c))) {
		struct state_live_bucket *buckets = (void *)((char *)s + s->buckets);
		uint64_t slot;

		for (slot = 0; slot < s->n_buckets * STATE_BUCKET_SLOTS; slot++) {
			uint64_t key = buckets[slot / 8].key[slot % 8];
			const struct state_live_value *v = &buckets[slot / 8].value[slot % 8];
			uint64_t size = v->size_thread & 0xffffffffffffull;
			struct sample_weight w =
				sample_weight(size, state->interval_bytes << (v->birth_level >> 60),
					state->variance_unit_log2);
			struct estimate_sample sample = { size,
				state->interval_bytes << ((v->birth_level >> 56) & 15), v->u };

			if (!key)
				continue;
			totals->n++;
			totals->B += w.bytes;
			totals->C += w.count_1024;
			estimate_add_sample(&totals->all, &sample, state_interval_bytes(state),
				state->variance_unit_log2);
			if ((key - 0x10000000) / 2048 % SITE_EVERY == 0)
				estimate_add_sample(&totals->site, &sample,
					state_interval_bytes(state), state->variance_unit_log2);
		}
	}
}

/* allocated - live - thinned - died, over all stacks there may be: 0 in each of n, B, C. */
static bool reconciles(struct state_header *state, const struct totals *live, double *allocatedp)
{
	uint32_t c = state_n_chunks(state);
	uint64_t *slots, n = -live->n, B = -live->B, C = -live->C, i;

	*allocatedp = 0;
	while ((slots = state_chunk_before(state, STATE_CHUNK_INDEX, &c)))
		for (i = 0; i < state->chunk[c].bytes / sizeof(*slots); i++) {
			struct state_stack *s =
				(uint32_t)slots[i] ? stack_table_record(state, (uint32_t)slots[i])
						   : NULL;
			uint32_t id = s ? s->extras : 0, j;

			if (!s)
				continue;
			*allocatedp += (double)s->B;
			n += s->n;
			B += s->B;
			C += s->C;
			while (id) {
				struct state_extra *e = state_at(state, (uint64_t)id * STATE_ALIGN);

				if (e->group == STATE_EXTRA_THINNED) {
					n -= e->thinned.n;
					B -= e->thinned.B;
					C -= e->thinned.C;
				}
				for (j = 0; e->group < STATE_EXTRA_THINNED && j < 4; j++) {
					n -= e->died[j].n;
					B -= e->died[j].B;
					C -= e->died[j].C;
				}
				id = e->next;
			}
		}
	return !n && !B && !C;
}

static void judge(struct state_header *state, struct outcome *o)
{
	double bytes = 0, n = 0, site_bytes = 0, allocated = 0, estimated;
	struct totals totals = { 0 };
	struct interval range;
	unsigned i;

	for (i = 0; i < N_BLOCKS; i++) {
		allocated += blocks[i].bytes;
		if (!blocks[i].is_live)
			continue;
		bytes += blocks[i].bytes;
		n++;
		if (i % SITE_EVERY == 0)
			site_bytes += blocks[i].bytes;
	}
	add_live(state, &totals);
	o->n_lost += state->losses[HEAPSPY_LOSS_STATE_FULL];
	o->n_unreconciled += !reconciles(state, &totals, &estimated);
	score_add(&o->allocated, estimated, allocated, 0);
	score_add(&o->live_bytes, totals.all.bytes, bytes, totals.all.variance);
	score_add(&o->live_blocks, totals.all.count, n, 0);
	score_add(&o->site_bytes, totals.site.bytes, site_bytes, totals.site.variance);
	range = interval_of_bytes(&totals.site, state_interval_bytes(state), INTERVAL_Z95);
	o->site_bytes.covered += range.lo <= site_bytes && site_bytes <= range.hi;
	if (state->level < o->levels_min)
		o->levels_min = state->level;
}

/* by_time: what fills up is the CPU budget, and ever faster; else the table. */
static void run(uint64_t seed, bool by_time, struct outcome *o)
{
	struct state_header *state = state_fixture(by_time ? 32 << 20 : 256 << 10, 4096);
	struct sample_rng rng;
	unsigned current = 0, i;

	state->due_ns = 0;
	if (!by_time)
		state->cpu_due_ns = UINT64_MAX;
	fake_look_ns = by_time ? 8000 : 0;
	memset(filter_words, 0, sizeof(filter_words));
	process_page.state = state;
	begin_threads(state, seed);
	hs_thread = threads[0];
	sample_rng_seed(&rng, seed << 32);
	for (i = 0; i < N_BLOCKS; i++) {
		uint64_t random = sample_rng_next(&rng);

		if (i % BURST == 0)
			become(&current, (unsigned)(random >> 32) % THREADS);
		fake_now_ns += by_time ? 1600000 / (1 + i / 1000) : 1000;
		allocate(i, (uint32_t)sizes[random & 7]);
		/* Two of three die, half of these young. */
		if ((random >> 8) % 3 == 0)
			release(i);
		else if ((random >> 8) % 3 == 1 && i > 1000)
			release(i - 1 - (unsigned)(random >> 16) % 1000);
	}
	judge(state, o);
	process_page.state = NULL;
	munmap(state, state->max_bytes);
}

static void check(bool by_time)
{
	struct outcome o = { .levels_min = UINT32_MAX };
	uint64_t seed;

	for (seed = 1; seed <= N_RUNS; seed++)
		run(seed, by_time, &o);
	printf("# at least %u doublings\n", o.levels_min);
	CHECK(o.levels_min >= 5);
	CHECK(o.n_unreconciled == 0 && o.n_lost == 0);
	check_unbiased(&o.allocated, "bytes allocated");
	check_unbiased(&o.live_bytes, "live bytes");
	check_unbiased(&o.live_blocks, "live blocks");
	check_unbiased(&o.site_bytes, "live bytes of a site");
	CHECK(o.site_bytes.covered >= .93 * N_RUNS && o.site_bytes.covered <= .98 * N_RUNS);
}

static void test_a_full_table_leaves_no_bias(void)
{
	check(false);
}

static void test_a_cpu_budget_leaves_no_bias(void)
{
	check(true);
}

int main(void)
{
	TAP_RUN(test_a_full_table_leaves_no_bias);
	TAP_RUN(test_a_cpu_budget_leaves_no_bias);
	return tap_done();
}
