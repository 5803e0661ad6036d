/*
 * trend_scenarios.c - owns the laws of birth and death of each kind of site. Bounded ones have
 * natural times (fill time, period, lifetime) of at most .3 of the window, or a third for periods,
 * where their names do not say otherwise.
 */
#include "tests/unit/trend_scenarios.h"

#define W     SCENARIO_WINDOW
#define KIB   1024.
#define MIB   (1024 * KIB)
#define NEVER INFINITY

static double uniform(struct scenario_site *site, double lo, double hi)
{
	return lo + (hi - lo) * (double)(sample_rng_next(site->rng) >> 11) * 0x1p-53;
}

static double log_uniform(struct scenario_site *site, double lo, double hi)
{
	return exp(uniform(site, log(lo), log(hi)));
}

static double exponential(struct scenario_site *site, double mean)
{
	return -log(1 - uniform(site, 0, 1)) * mean;
}

static unsigned whole(struct scenario_site *site, unsigned lo, unsigned hi)
{
	return lo + (unsigned)(sample_rng_next(site->rng) % (hi - lo + 1));
}

static uint64_t any_size(struct scenario_site *site)
{
	return (uint64_t)log_uniform(site, 48, MIB);
}

static uint64_t ns_of(double seconds)
{
	return seconds >= 2 * SCENARIO_END ? NEVER_NS : (uint64_t)(seconds * NS_PER_S);
}

/* A sampled block, unless no cut shows it. */
static void add_block(struct scenario_site *site, double birth, double death, uint64_t size)
{
	uint64_t birth_ns = ns_of(birth), death_ns = ns_of(death);
	size_t epoch = trend_plan_epoch(site->cut_ns, SCENARIO_CUTS, birth_ns);

	if (epoch < SCENARIO_CUTS && death_ns > site->cut_ns[epoch])
		blocks_add(&site->blocks, birth_ns, death_ns, size);
}

/* When a block born at this time dies. */
typedef double death_law(struct scenario_site *site, double birth, const double *parameter);

static double dies_never(struct scenario_site *site, double birth, const double *unused)
{
	(void)site, (void)birth, (void)unused;
	return NEVER;
}

/* How many blocks of n are born within the first seconds, each in the middle of its own. */
static double blocks_by(double seconds, double seconds_per_block, double n)
{
	return fmin(n, fmax(0, floor(seconds / seconds_per_block + .5)));
}

/*
 * Allocates `bytes` in blocks of one size, evenly from `from` to `to`, marks on the line of bytes
 * deciding which are sampled. Whole blocks only, the first with a random part of one before it.
 */
static void emit(struct scenario_site *site, double from, double to, double bytes, uint64_t size,
	death_law *law, const double *parameter)
{
	double seconds_per_block = (to - from) * (double)size / bytes;
	double n_blocks = floor(bytes / (double)size + uniform(site, 0, 1)), next = 0, at = 0;

	for (;;) {
		double block, birth;

		at += exponential(site, (double)R512K);
		block = floor(at / (double)size);
		if (block >= n_blocks)
			break;
		if (block < next)
			continue; /* a second mark on one block */
		next = block + 1;
		birth = from + (block + .5) * seconds_per_block;
		add_block(site, birth, law(site, birth, parameter), size);
	}
	if (law == dies_never)
		site->late_bytes +=
			(double)size *
			(blocks_by(site->late_to - from, seconds_per_block, n_blocks) -
				blocks_by(site->late_from - from, seconds_per_block, n_blocks));
}

static double dies_after(struct scenario_site *site, double birth, const double *life)
{
	(void)site;
	return birth + *life;
}

static double dies_after_about(struct scenario_site *site, double birth, const double *mean_life)
{
	return birth + exponential(site, *mean_life);
}

static double dies_at(struct scenario_site *site, double birth, const double *death)
{
	(void)site, (void)birth;
	return *death;
}

/* One to three sizes share the bytes, as the stacks of one function do. */
static void emit_mixed(struct scenario_site *site, double from, double to, double bytes,
	death_law *law, const double *parameter)
{
	unsigned i, n = whole(site, 1, 3);

	for (i = 0; i < n; i++)
		emit(site, from, to, bytes / n, any_size(site), law, parameter);
}

/* So many samples, 32 to 320, in bytes. */
static double some_bytes(struct scenario_site *site)
{
	return log_uniform(site, 32, 320) * (double)R512K;
}

/* Blocks of so many bytes a second that do not live long, as far as a cut can show them. */
static void emit_young(
	struct scenario_site *site, size_t cut, double bytes_per_second, double life, uint64_t size)
{
	double at = (double)site->cut_ns[cut] / NS_PER_S, span = fmin(SCENARIO_STEP, 6 * life);

	emit(site, at - span, at, bytes_per_second * span, size, dies_after_about, &life);
}

/* ---- leaks ---- */

static void leak_linear(struct scenario_site *site)
{
	double bytes = some_bytes(site);

	/* It has been going on for a window before the first cut. */
	emit_mixed(site, SCENARIO_BEGIN - W, SCENARIO_END, 2 * bytes, dies_never, NULL);
}

static void leak_under_churn(struct scenario_site *site)
{
	double rate = log_uniform(site, 10 * MIB, 1024 * MIB);
	double life = fmin(log_uniform(site, .001, 1), 100 * MIB / rate);
	uint64_t size = any_size(site);
	size_t cut;

	leak_linear(site);
	for (cut = 0; cut < SCENARIO_CUTS; cut++)
		emit_young(site, cut, rate, life, size);
}

static void leak_in_pool(struct scenario_site *site)
{
	double bytes = some_bytes(site), leaked = uniform(site, .1, .3);
	double life = uniform(site, .005, .04) * W;
	uint64_t size = any_size(site);

	emit(site, SCENARIO_BEGIN - W, SCENARIO_END, 2 * bytes, size, dies_never, NULL);
	emit(site, SCENARIO_BEGIN - W, SCENARIO_END, 2 * bytes * (1 - leaked) / leaked, size,
		dies_after_about, &life);
}

static void leak_by_steps(struct scenario_site *site)
{
	double bytes = some_bytes(site), at;
	unsigned i, n = whole(site, 10, 40);

	for (i = 0; i < n; i++) {
		at = SCENARIO_BEGIN + (i + uniform(site, 0, 1)) * W / n;
		emit_mixed(site, at, at + 1, bytes / n, dies_never, NULL);
	}
}

static void leak_late_start(struct scenario_site *site)
{
	emit_mixed(site, SCENARIO_BEGIN + uniform(site, .1, .5) * W, SCENARIO_END, some_bytes(site),
		dies_never, NULL);
}

/* A pool of which most die; cold or there for a window. */
static void leak_in_pool_of_life(struct scenario_site *site, double mean_life)
{
	double bytes = some_bytes(site), leaked = uniform(site, .05, .4), life = mean_life * W;
	double begin = whole(site, 0, 1) ? SCENARIO_BEGIN : SCENARIO_BEGIN - W;
	double windows = (SCENARIO_END - begin) / W;
	uint64_t size = any_size(site);

	emit(site, begin, SCENARIO_END, windows * bytes, size, dies_never, NULL);
	emit(site, begin, SCENARIO_END, windows * bytes * (1 - leaked) / leaked, size,
		dies_after_about, &life);
}

static void leak_in_pool_06(struct scenario_site *site)
{
	leak_in_pool_of_life(site, .06);
}

static void leak_in_pool_10(struct scenario_site *site)
{
	leak_in_pool_of_life(site, .1);
}

static void leak_in_pool_20(struct scenario_site *site)
{
	leak_in_pool_of_life(site, .2);
}

static void leak_in_pool_30(struct scenario_site *site)
{
	leak_in_pool_of_life(site, .3);
}

static void leak_very_late(struct scenario_site *site)
{
	emit_mixed(site, SCENARIO_BEGIN + uniform(site, .7, .85) * W, SCENARIO_END,
		some_bytes(site), dies_never, NULL);
}

/* Blocks so large that all are sampled, one every now and then, on time or at random. */
static void leak_of_huge_blocks(struct scenario_site *site)
{
	double every = uniform(site, 1. / 25, 1. / 14) * W;
	bool on_time = whole(site, 0, 1);
	double at = SCENARIO_BEGIN - W + uniform(site, 0, every);

	for (; at < SCENARIO_END; at += on_time ? every : exponential(site, every)) {
		add_block(site, at, NEVER, (uint64_t)(8 * MIB));
		site->late_bytes += at > site->late_from && at <= site->late_to ? 8 * MIB : 0;
	}
	/* On time the truth is the same at any time. */
	if (on_time)
		site->late_bytes = 8 * MIB * (site->late_to - site->late_from) / every;
}

/* ---- bounded ---- */

static void fill_linear(struct scenario_site *site)
{
	double from = SCENARIO_BEGIN + uniform(site, -.1, .05) * W;

	emit_mixed(
		site, from, from + uniform(site, .05, .3) * W, some_bytes(site), dies_never, NULL);
}

/* What is loaded once, some time, for up to an eighth of the window. */
static void fill_some_time(struct scenario_site *site)
{
	double from = SCENARIO_BEGIN + uniform(site, 0, 1) * W;

	emit_mixed(site, from, from + uniform(site, .01, .125) * W, some_bytes(site), dies_never,
		NULL);
}

/* Random keys fill ever more slowly: 95 % full at .3 of the window or before. */
static void fill_saturating(struct scenario_site *site)
{
	double from = SCENARIO_BEGIN + uniform(site, -.1, .05) * W;
	double tau = uniform(site, .02, .1) * W, bytes = some_bytes(site);
	uint64_t size = any_size(site);
	double slice = tau / 20, at;

	for (at = 0; at < SCENARIO_END - from; at += slice)
		emit(site, from + at, from + at + slice,
			bytes * (exp(-at / tau) - exp(-(at + slice) / tau)), size, dies_never,
			NULL);
}

/* At its bound: what comes in pushes the oldest out. */
static void cache_lru(struct scenario_site *site)
{
	double life = uniform(site, .02, .3) * W;
	bool cold = whole(site, 0, 1);

	emit_mixed(site, cold ? SCENARIO_BEGIN : SCENARIO_BEGIN - W, SCENARIO_END,
		some_bytes(site) * 2, dies_after, &life);
}

static void bursts(struct scenario_site *site)
{
	unsigned i, n = whole(site, 3, 20);
	double bytes = some_bytes(site);
	uint64_t size = any_size(site);

	for (i = 0; i < n; i++) {
		double at = SCENARIO_BEGIN + uniform(site, 0, 1) * W;
		double death = at + uniform(site, .001, .1) * W;

		emit(site, at, at + 1, bytes * uniform(site, .3, 1), size, dies_at, &death);
	}
}

/* Requests in flight follow the load, which rises three- to tenfold. */
static void load_ramp(struct scenario_site *site)
{
	double bytes = some_bytes(site), life = log_uniform(site, .1, 30);
	double rise = uniform(site, 3, 10);
	uint64_t size = any_size(site);
	size_t cut;

	for (cut = 0; cut < SCENARIO_CUTS; cut++) {
		double load = (1 + (rise - 1) * (double)cut / (SCENARIO_CUTS - 1)) / rise;

		emit_young(site, cut, bytes * load / life, life, size);
	}
}

static void one_off(struct scenario_site *site)
{
	double at = SCENARIO_BEGIN + uniform(site, 0, 1) * W;

	emit_mixed(site, at, at + uniform(site, 1, 60), some_bytes(site), dies_never, NULL);
}

static void steady(struct scenario_site *site)
{
	double rate = log_uniform(site, MIB, 30 * MIB), life = log_uniform(site, .01, 1);
	uint64_t size = any_size(site);
	size_t cut;

	emit_mixed(site, 0, W, some_bytes(site), dies_never, NULL);
	for (cut = 0; cut < SCENARIO_CUTS; cut++)
		emit_young(site, cut, rate, life, size);
}

static double dies_in_window(struct scenario_site *site, double birth, const double *unused)
{
	(void)birth, (void)unused;
	return SCENARIO_BEGIN + uniform(site, 0, 1) * W;
}

static void shrinking(struct scenario_site *site)
{
	emit_mixed(site, 0, W, some_bytes(site), dies_in_window, NULL);
}

static double dies_at_period(struct scenario_site *site, double birth, const double *period)
{
	(void)site;
	return (floor(birth / *period) + 1) * *period;
}

static void sawtooth(struct scenario_site *site)
{
	double period = uniform(site, .03, 1. / 3) * W;
	double from = SCENARIO_BEGIN - W + uniform(site, 0, period);

	emit_mixed(site, from, SCENARIO_END, some_bytes(site) * (SCENARIO_END - from) / period,
		dies_at_period, &period);
}

/* As many as ever, or from a cold start but not so long-lived. */
static void connections(struct scenario_site *site)
{
	bool cold = whole(site, 0, 1);
	double life = (cold ? uniform(site, .02, .3) : uniform(site, .02, 1.5)) * W;
	double begin = cold ? SCENARIO_BEGIN : 0, bytes = some_bytes(site);
	uint64_t size = any_size(site);

	/* Those that are there already have as long to live as new ones. */
	if (!cold)
		emit(site, begin, begin + 1, bytes, size, dies_after_about, &life);
	emit(site, begin, SCENARIO_END, bytes * (SCENARIO_END - begin) / life, size,
		dies_after_about, &life);
	site->level_bytes = bytes;
}

/* Filled evenly, emptied as evenly but more slowly, oldest first: waits ever longer. */
static double dies_when_served(struct scenario_site *site, double birth, const double *served)
{
	(void)site;
	return SCENARIO_BEGIN + (birth - SCENARIO_BEGIN) / *served;
}

static void backlog(struct scenario_site *site)
{
	double served = uniform(site, .4, .9);

	emit_mixed(site, SCENARIO_BEGIN, SCENARIO_END, some_bytes(site) * 4, dies_when_served,
		&served);
}

static void two_steps(struct scenario_site *site)
{
	double bytes = some_bytes(site), at[2];
	unsigned i;

	at[0] = uniform(site, 0, .7);
	at[1] = uniform(site, at[0] + .15, 1);
	for (i = 0; i < 2; i++)
		emit_mixed(site, SCENARIO_BEGIN + at[i] * W,
			SCENARIO_BEGIN + at[i] * W + uniform(site, 1, 60), bytes / 2, dies_never,
			NULL);
}

/* Segments of a log, one now and then; four of them are merged to one two thirds their size. */
static void segments(struct scenario_site *site)
{
	double every = uniform(site, .02, .05) * W, at = SCENARIO_BEGIN + uniform(site, 0, every);
	double sizes[4], births[4], fresh = log_uniform(site, 64 * KIB, 16 * MIB);
	double keeps = uniform(site, .3, .6);
	unsigned i, n = 0;

	for (; at < SCENARIO_END; at += every) {
		sizes[n] = fresh * uniform(site, .8, 1.2);
		births[n++] = at;
		if (n < 4)
			continue;
		for (i = 0; i < 4; i++)
			if (uniform(site, 0, 1) < -expm1(-sizes[i] / (double)R512K))
				add_block(site, births[i], at, (uint64_t)sizes[i]);
		sizes[0] = (sizes[0] + sizes[1] + sizes[2] + sizes[3]) * keeps;
		births[0] = at;
		n = 1;
	}
	for (i = 0; i < n; i++)
		if (uniform(site, 0, 1) < -expm1(-sizes[i] / (double)R512K))
			add_block(site, births[i], NEVER, (uint64_t)sizes[i]);
}

/* From a cold start, as long-lived that the level is not reached. */
static void connections_filling(struct scenario_site *site)
{
	double life = uniform(site, .2, .6) * W, bytes = 4 * some_bytes(site);

	emit(site, SCENARIO_BEGIN, SCENARIO_END, bytes * W / life, any_size(site), dies_after_about,
		&life);
	site->level_bytes = bytes;
}

static void fifo(struct scenario_site *site)
{
	double life = uniform(site, .3, .6) * W;

	emit_mixed(site, SCENARIO_BEGIN, SCENARIO_END, some_bytes(site) * 2, dies_after, &life);
}

/* What is loaded at first and kept, at the same place as connections that come and go. */
static void fill_in_pool(struct scenario_site *site)
{
	fill_linear(site);
	connections(site);
}

/* Few live long, and ever fewer longer: Pareto with exponent 1.3, at most .4 of the window. */
static double dies_after_long_tail(struct scenario_site *site, double birth, const double *shortest)
{
	return birth + fmin(*shortest * pow(1 - uniform(site, 0, 1), -1 / 1.3), .4 * W);
}

static void long_tail(struct scenario_site *site)
{
	double shortest = uniform(site, .002, .02) * W, bytes = some_bytes(site);

	emit(site, SCENARIO_BEGIN, SCENARIO_END, bytes * W / (4 * shortest), any_size(site),
		dies_after_long_tail, &shortest);
}

/* Connections while the load rises to three times what it was. */
static void load_ramp_of_connections(struct scenario_site *site)
{
	double life = uniform(site, .03, .2) * W, bytes = some_bytes(site);
	uint64_t size = any_size(site);
	unsigned i;

	for (i = 0; i < 30; i++)
		emit(site, SCENARIO_BEGIN + i * W / 30, SCENARIO_BEGIN + (i + 1) * W / 30,
			bytes / life * W / 30 * (1 + 2. * i / 30), size, dies_after_about, &life);
}

/* ---- containers ---- */

/* A vector that is copied to a block `factor` times as large whenever it is full. */
static void grow_vector(struct scenario_site *site, double from, double first, double last,
	double factor, double full_at)
{
	double capacity = first, born = 0;

	for (;;) {
		/* Filled evenly from `first` at the begin to `full_at` at the end. */
		double filled =
			from + (capacity - first) / (full_at - first) * (SCENARIO_END - from);

		if (capacity > last || filled > SCENARIO_END)
			filled = NEVER;
		/* Sampled or not: by marks on its own bytes. */
		if (uniform(site, 0, 1) < -expm1(-capacity / (double)R512K))
			add_block(site, born, filled, (uint64_t)capacity);
		if (isinf(filled))
			break;
		born = filled;
		capacity *= factor;
	}
}

static void container(struct scenario_site *site, bool warm, double factor)
{
	double first = warm ? log_uniform(site, MIB, 16 * MIB) : 64;
	double full = (warm ? first : MIB) * log_uniform(site, 8, 64);

	grow_vector(site, warm ? SCENARIO_BEGIN - W / 4 : SCENARIO_BEGIN, first, full * factor,
		factor, full);
}

static void container_cold_eighth(struct scenario_site *site)
{
	container(site, false, 1.125);
}

static void container_cold_double(struct scenario_site *site)
{
	container(site, false, 2);
}

static void container_warm_eighth(struct scenario_site *site)
{
	container(site, true, 1.125);
}

static void container_warm_double(struct scenario_site *site)
{
	container(site, true, 2);
}

/* Buffers, each copied now and then to one that is larger by the same. */
static void container_for_ever(struct scenario_site *site)
{
	double every = uniform(site, .005, .05) * W, bytes = some_bytes(site);
	unsigned i, n = whole(site, 1, 50);
	double more = bytes / n * every / W;

	for (i = 0; i < n; i++) {
		double size = more, born = SCENARIO_BEGIN, at = born;

		for (; at < SCENARIO_END; born = at, size += more) {
			at += exponential(site, every);
			if (uniform(site, 0, 1) < -expm1(-size / (double)R512K))
				add_block(
					site, born, at < SCENARIO_END ? at : NEVER, (uint64_t)size);
		}
	}
}

#define BIT(verdict) (1u << TREND_##verdict)
#define LEAKS        (BIT(LEAK) | BIT(LEAK_SLOWING))
#define STILL        (BIT(STEADY) | BIT(SAWTOOTH))
#define RISEN        (BIT(WARM_UP) | BIT(ONE_OFF) | BIT(STEADY))

const struct scenario scenarios[] = {
	{ "linear leak", true, .95, LEAKS, leak_linear },
	{ "leak under churn of its stack", true, .95, LEAKS, leak_under_churn },
	{ "leak in a turning pool", true, .95, LEAKS, leak_in_pool },
	{ "leak by steps", true, .95, LEAKS, leak_by_steps },
	{ "leak, late start", true, .95, LEAKS, leak_late_start },
	{ "leak in a pool, life .06", true, .95, LEAKS, leak_in_pool_06 },
	{ "leak in a pool, life .1", true, .9, LEAKS, leak_in_pool_10 },
	{ "leak in a pool, life .2", true, .65, LEAKS, leak_in_pool_20 },
	{ "leak in a pool, life .3", true, .45, LEAKS, leak_in_pool_30 },
	{ "leak, very late start", true, 0, LEAKS | RISEN | BIT(LOAD_FOLLOWING), leak_very_late },
	{ "leak of huge blocks", true, .95, LEAKS, leak_of_huge_blocks },
	{ "warm-up, linear fill", false, .01, RISEN, fill_linear },
	{ "fill at some time", false, .01, RISEN | BIT(LOAD_FOLLOWING), fill_some_time },
	{ "warm-up, saturating fill", false, .01, RISEN, fill_saturating },
	{ "LRU cache", false, .01, STILL | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING), cache_lru },
	{ "bursts", false, .01, STILL | BIT(LOAD_FOLLOWING) | BIT(SHRINKING), bursts },
	{ "load ramp", false, .01, STILL | BIT(LOAD_FOLLOWING), load_ramp },
	{ "one-off step", false, .01, RISEN | BIT(LOAD_FOLLOWING), one_off },
	{ "steady", false, .01, BIT(STEADY), steady },
	{ "shrinking", false, .01, BIT(SHRINKING) | BIT(SAWTOOTH), shrinking },
	{ "sawtooth", false, .01, STILL | BIT(TURNING_OVER) | BIT(SHRINKING) | BIT(LOAD_FOLLOWING),
		sawtooth },
	{ "long-lived connections", false, .01, STILL | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING),
		connections },
	{ "backlog, slow consumer", false, .01, STILL | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING),
		backlog },
	{ "two one-off steps", false, .01, RISEN | BIT(LOAD_FOLLOWING), two_steps },
	{ "segments that are merged", false, .01,
		STILL | BIT(TURNING_OVER) | BIT(SHRINKING) | BIT(LOAD_FOLLOWING) | BIT(TOO_FEW),
		segments },
	{ "connections, .2 to .6", false, .04, STILL | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING),
		connections_filling },
	{ "FIFO, .3 to .6", false, .01, STILL | BIT(TURNING_OVER), fifo },
	{ "fill in a pool", false, .01,
		STILL | RISEN | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING) | BIT(SHRINKING),
		fill_in_pool },
	{ "long-tailed lives", false, .01, STILL | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING),
		long_tail },
	{ "load ramp of connections", false, .01, STILL | BIT(TURNING_OVER) | BIT(LOAD_FOLLOWING),
		load_ramp_of_connections },
	{ "container for ever", false, .01, BIT(CONTAINER), container_for_ever },
	{ "container, cold, x1.125", false, .01, BIT(CONTAINER), container_cold_eighth },
	{ "container, cold, x2", false, .01, BIT(CONTAINER), container_cold_double },
	{ "container, warm, x1.125", false, .01, BIT(CONTAINER), container_warm_eighth },
	{ "container, warm, x2", false, .01, BIT(CONTAINER), container_warm_double },
};

const size_t n_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);
