/*
 * near_limit.c - owns the rule by which a process that is near its memory limit gets snapshots, and
 * one that stays there gets no more of them. Reads nothing.
 */
#include "preload/state/near_limit.h"

#define WHOLE_PPM   1000000u
#define STANDARD_NS 60000000000ull

/* How many steps of a climb lie at or below this use. */
static uint32_t steps_reached(uint64_t left_bytes, uint64_t first_left_bytes)
{
	uint32_t steps = 0;

	while (steps < NEAR_LIMIT_STEPS && left_bytes <= first_left_bytes >> steps)
		steps++;
	return steps;
}

bool near_limit_is_due(struct near_limit *near, uint32_t ppm, const struct memory_limit *limit,
	uint64_t now_ns, uint64_t interval_ns)
{
	uint64_t left_bytes, first_left_bytes, near_bytes, over_bytes;
	uint32_t steps;

	if (!limit->kind)
		near->steps = 0;
	if (!ppm || ppm >= WHOLE_PPM || !limit->kind)
		return false;
	left_bytes = memory_limit_left_bytes(limit);
	near_bytes = (uint64_t)((unsigned __int128)limit->limit_bytes * ppm / WHOLE_PPM);
	first_left_bytes = limit->limit_bytes - near_bytes;
	/* Of a low share there is no twice as much. */
	over_bytes = first_left_bytes +
		     (first_left_bytes < near_bytes / 2 ? first_left_bytes : near_bytes / 2);
	if (left_bytes >= over_bytes)
		near->steps = 0;
	steps = steps_reached(left_bytes, first_left_bytes);
	if (steps <= near->steps)
		return false;
	if (!near->steps) {
		if (near->begin_ns &&
			now_ns - near->begin_ns < (interval_ns ? interval_ns : STANDARD_NS))
			return false;
		near->begin_ns = now_ns;
	}
	near->steps = steps;
	return true;
}

uint64_t near_limit_pause_ns(
	struct near_limit *near, uint32_t ppm, const struct memory_limit *limit, uint64_t now_ns)
{
	uint64_t used_bytes = limit->kind ? limit->used_bytes : 0, pause_ns;
	uint64_t grown_bytes = used_bytes > near->used_bytes ? used_bytes - near->used_bytes : 0;
	uint64_t passed_ns = now_ns - near->looked_ns;
	bool is_first = !near->looked_ns;

	near->used_bytes = used_bytes;
	near->looked_ns = now_ns;
	/* Nobody waits for a next step. */
	if (is_first)
		return NEAR_LIMIT_PAUSE_NS_FIRST;
	if (!ppm || !grown_bytes || near->steps == NEAR_LIMIT_STEPS)
		return NEAR_LIMIT_PAUSE_NS_MAX;
	pause_ns = (uint64_t)((unsigned __int128)passed_ns * memory_limit_left_bytes(limit) /
			      grown_bytes / 2);
	return pause_ns < NEAR_LIMIT_PAUSE_NS_MIN   ? NEAR_LIMIT_PAUSE_NS_MIN
	       : pause_ns > NEAR_LIMIT_PAUSE_NS_MAX ? NEAR_LIMIT_PAUSE_NS_MAX
						    : pause_ns;
}
