/*
 * self_time.c - owns the sums of our own CPU time. What to do about them is cpu_budget.c's
 * business. Relaxed throughout: an update of the average that is lost does no harm.
 */
#include "preload/atomics.h"
#include "preload/self_time.h"

#define EVERY          16
#define WALKED_CLIP_NS 200000

void self_time_add_event(struct state_header *state, uint64_t ns)
{
	uint64_t average_x16 = hs_load_relaxed(&state->event_ns_x16);
	uint64_t longest_ns = average_x16 > SELF_TIME_LONG_NS ? average_x16 : SELF_TIME_LONG_NS;

	if (ns > longest_ns)
		ns = longest_ns;
	hs_store_relaxed(&state->event_ns_x16, average_x16 - average_x16 / 16 + ns);
	ns += SELF_TIME_UNSEEN_NS;
	hs_add_relaxed(&state->timed_events, 1);
	hs_add_relaxed(&state->sampling_ns, ns * EVERY);
	hs_add_relaxed(&state->self_ns, ns * EVERY);
}

void self_time_add(struct state_header *state, uint64_t cpu_ns)
{
	hs_add_relaxed(&state->self_ns, cpu_ns);
}

void self_time_add_walked(struct state_header *state, uint64_t ns)
{
	hs_add_relaxed(&state->self_ns, ns < WALKED_CLIP_NS ? ns : WALKED_CLIP_NS);
}
