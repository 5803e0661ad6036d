/* state_fixture.h - an empty state in private memory, for tests of the tables. */
#ifndef HEAPSPY_STATE_FIXTURE_H
#define HEAPSPY_STATE_FIXTURE_H

#include <string.h>
#include "preload/process_state.h"

/* max_bytes: cap of the state; interval_bytes: R0. Lives until the test ends. */
static inline struct state_header *state_fixture(uint64_t max_bytes, uint64_t interval_bytes)
{
	struct options options;
	struct process_facts facts;
	struct options_names names = { "test", "host", 1 };

	memset(&facts, 0, sizeof(facts));
	options_read(&options, NULL, names);
	options.state_anon = true;
	options.state_max_bytes = max_bytes;
	options.sample_bytes = interval_bytes;
	return process_state_create(&options, &facts, 0);
}

#endif
