/*
 * near_limit.h - whether a snapshot is due because a process comes near its memory limit. Pure: who
 * looks at the limit, and how often, is the caller's business. docs/design.md says why it is so.
 *
 *	climb    begins at the share HEAPSPY_NEAR_LIMIT of the limit; a snapshot there, and each
 *	         time that what is left has halved: at 90, 95, 97.5, 98.75 and 99.375 %
 *	over     once as much again is free as at its beginning (half of the limit at most that
 *takes) next     not before an interval has passed since the beginning of the one before
 *
 * So there are at most NEAR_LIMIT_STEPS snapshots an interval, and none while use stays where it
 *is.
 */
#ifndef HEAPSPY_NEAR_LIMIT_H
#define HEAPSPY_NEAR_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/state/memory_limit.h"

#define NEAR_LIMIT_STEPS 5

/* What the watcher of a process remembers; zero at first. */
struct near_limit {
	uint32_t steps;    /* of the climb under way, that have had their snapshot */
	uint64_t begin_ns; /* of the last climb; 0: there was none */
	/* At the last look: near_limit_pause_ns(). */
	uint64_t used_bytes, looked_ns;
};

/*
 * ppm: the share in millionths, 0 for never, as is anything from a whole on. limit: the one that
 * is fullest. now_ns: CLOCK_MONOTONIC. interval_ns: between snapshots on time; 0: a minute serves.
 * True once for each step; the caller writes one snapshot then, however many it took at once.
 */
bool near_limit_is_due(struct near_limit *near, uint32_t ppm, const struct memory_limit *limit,
	uint64_t now_ns, uint64_t interval_ns);

#define NEAR_LIMIT_PAUSE_NS_MIN   10000000ull
#define NEAR_LIMIT_PAUSE_NS_FIRST 50000000ull
#define NEAR_LIMIT_PAUSE_NS_MAX   500000000ull

/*
 * How long to wait before the next look: as long as what is left would last at the speed since the
 * last one, halved, and within the bounds above; after the first look a moment. Called once a look,
 * after near_limit_is_due().
 */
uint64_t near_limit_pause_ns(
	struct near_limit *near, uint32_t ppm, const struct memory_limit *limit, uint64_t now_ns);

#endif
