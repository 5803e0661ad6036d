/*
 * watch.h - `heapspy live` as it runs: on a screen with keys, or as lines of JSON.
 */
#ifndef HEAPSPY_ANALYZER_LIVE_WATCH_H
#define HEAPSPY_ANALYZER_LIVE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/live/feed.h"
#include "analyzer/live/model.h"
#include "analyzer/options.h"

struct watch {
	struct feed *feed;
	struct model *model;
	const struct options *options; /* --count, --focus, --color */
	uint64_t every_ns;
	bool ascii;
	/*
	 * Set when a thread still works on feed and model: they must stay, and the process
	 * should end.
	 */
	bool is_abandoned;
};

/* On the terminal, until q, a signal or --count. Returns 0, or -1 with f filled. */
int watch_screen(struct watch *watch, struct fail *f);

/* On standard output, until the process has ended or --count. As above. */
int watch_lines(struct watch *watch, struct fail *f);

#endif
