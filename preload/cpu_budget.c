/*
 * cpu_budget.c - owns the decision that sampling costs too much. What it costs is counted by
 * self_time.c, what is done about it by thinning.c.
 *
 * Whoever moves cpu_due_ns on owns the window's figures until the next look is due: far away at
 * first, so that nobody else comes in between; a second away when done.
 */
#include "preload/clock.h"
#include "preload/cpu_budget.h"
#include "preload/log.h"
#include "preload/thinning.h"
#include "sample_math.h"

#define NEVER_NS       UINT64_MAX
/* Between two looks at the first window. */
#define EARLY_NS       (CPU_BUDGET_LOOK_NS / 40)
/* For a looker that was killed or jumped out of. */
#define AWAY_NS        (10 * CPU_BUDGET_LOOK_NS)
/* A window over the budget with fewer timed events may be so by chance, and is held open. */
#define EVENTS_MIN     16
/* What is left of the budget at least: at its border, chance would decide at each look. */
#define MARGIN_PERCENT 125

static void begin_window(struct state_header *state, uint64_t now_ns)
{
	state->cpu_window_ns = now_ns;
	state->cpu_window_sampling_ns = hs_load_relaxed(&state->sampling_ns);
	state->cpu_window_events = hs_load_relaxed(&state->timed_events);
}

void cpu_budget_begin(struct state_header *state, uint64_t max_ppm)
{
	state->cpu_max_ppm = max_ppm;
	begin_window(state, state->start_ns);
	state->cpu_due_ns = max_ppm ? state->start_ns + EARLY_NS : NEVER_NS;
}

/* By how many levels the interval must rise; 0: it need not. */
static unsigned steps_needed(uint64_t spent_ns, uint64_t allowed_ns)
{
	sample_u128 wanted = (sample_u128)spent_ns * MARGIN_PERCENT;
	sample_u128 allowed = (sample_u128)allowed_ns * 100;
	unsigned steps = 0;

	if (spent_ns <= allowed_ns)
		return 0;
	for (; wanted > allowed && steps < HEAPSPY_LEVEL_MAX; allowed *= 2)
		steps++;
	return steps;
}

static void raise_interval(
	struct state_header *state, uint32_t level, uint64_t spent_ns, uint64_t window_ns)
{
	/* In hundredths of a percent. */
	uint64_t share = (uint64_t)((sample_u128)spent_ns * 10000 / (window_ns + 1));
	char why[96];

	log_format(why, sizeof(why), "sampling took %lu.%lu%lu %% of a core in the last %lu ms",
		share / 100, share / 10 % 10, share % 10, window_ns / 1000000);
	thinning_raise_by_cpu(state, level, why);
}

static uint64_t allowed(const struct state_header *state, uint64_t window_ns)
{
	return (uint64_t)((sample_u128)window_ns * state->cpu_max_ppm / 1000000);
}

/* Returns when to look again. */
static uint64_t judge(struct state_header *state, uint64_t now_ns)
{
	uint64_t window_ns = now_ns - state->cpu_window_ns;
	uint64_t events = hs_load_relaxed(&state->timed_events) - state->cpu_window_events;
	uint64_t spent_ns = hs_load_relaxed(&state->sampling_ns) - state->cpu_window_sampling_ns;
	uint32_t level = hs_load_relaxed(&state->level);
	unsigned steps = steps_needed(spent_ns, allowed(state, window_ns));

	/* What all of a second may cost is not yet spent: a burst at the start may be all. */
	if (window_ns < CPU_BUDGET_LOOK_NS && spent_ns <= allowed(state, CPU_BUDGET_LOOK_NS))
		return now_ns + EARLY_NS;
	if (steps && events < EVENTS_MIN)
		return now_ns + (window_ns < CPU_BUDGET_LOOK_NS ? EARLY_NS : CPU_BUDGET_LOOK_NS);
	if (steps) {
		if (level == HEAPSPY_LEVEL_MAX) {
			log_verbose("over the CPU budget, and the sampling interval is at its end");
			return NEVER_NS;
		}
		raise_interval(state, level + steps, spent_ns, window_ns);
		now_ns = clock_ns(CLOCK_MONOTONIC);
	}
	begin_window(state, now_ns);
	return now_ns + CPU_BUDGET_LOOK_NS;
}

HS_COLD void cpu_budget_look(struct state_header *state, uint64_t now_ns)
{
	uint64_t due_ns = hs_load_relaxed(&state->cpu_due_ns);

	/* Acquire and release: the window's figures go with it. */
	if (now_ns < due_ns || due_ns == NEVER_NS ||
		!hs_cas_acq_rel(&state->cpu_due_ns, &due_ns, now_ns + AWAY_NS))
		return;
	hs_store_release(&state->cpu_due_ns, judge(state, now_ns));
}
