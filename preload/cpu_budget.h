/*
 * cpu_budget.h - keeps what sampling costs below HEAPSPY_CPU_MAX, by raising the sampling
 * interval (thinning.h), never by leaving samples out.
 *
 * The budget is a share of one core, in wall time, for the whole process: 1 % are 10 ms in a
 * second, whether one thread spends them or a hundred. Once a second the thread that happens to
 * sample compares; nobody looks while nobody samples. Over the budget, the interval goes at once to
 * the power of two that the overshoot asks for. It never falls again.
 *
 * Many processes live for less than a second, and a forked child begins anew. So the first second
 * is looked at more often, and ends early when all of its budget is spent.
 *
 * Only births and deaths count against the budget. A larger interval makes a snapshot hardly
 * cheaper, and a walk is the price of a larger interval: were they counted, one walk would be the
 * reason for the next.
 */
#ifndef HEAPSPY_CPU_BUDGET_H
#define HEAPSPY_CPU_BUDGET_H

#include <stdint.h>
#include "preload/atomics.h"
#include "preload/compiler.h"
#include "state.h"

#define CPU_BUDGET_LOOK_NS 1000000000ull

/* For a state that nobody else knows yet. max_ppm: millionths of a core; 0: no budget. */
void cpu_budget_begin(struct state_header *state, uint64_t max_ppm);

/* The look itself: cpu_budget_check(). */
void cpu_budget_look(struct state_header *state, uint64_t now_ns);

/*
 * At a sample; now_ns: CLOCK_MONOTONIC. Inside the re-entry guard, with no slot of a table
 * claimed: the walk over the live table may be done here.
 */
static inline void cpu_budget_check(struct state_header *state, uint64_t now_ns)
{
	if (HS_UNLIKELY(now_ns >= hs_load_relaxed(&state->cpu_due_ns)))
		cpu_budget_look(state, now_ns);
}

#endif
