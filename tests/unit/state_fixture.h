/* state_fixture.h - an empty state in private memory, this process's, for tests of the tables. */
#ifndef HEAPSPY_STATE_FIXTURE_H
#define HEAPSPY_STATE_FIXTURE_H

#include <string.h>
#include "preload/process.h"
#include "preload/process_state.h"

/* max_bytes: cap of the state; interval_bytes: R0. Lives until the test ends. */
static inline struct state_header *state_fixture(uint64_t max_bytes, uint64_t interval_bytes)
{
	struct settings settings;
	struct process_facts facts;
	struct settings_names names = { "test", "host", 1 };

	memset(&facts, 0, sizeof(facts));
	settings_read(&settings, NULL, names, NULL, NULL);
	settings.state_anon = true;
	settings.state_max_bytes = max_bytes;
	settings.sample_bytes = interval_bytes;
	process_page.making_state = 1;
	process_page.state = process_state_create(&settings, &facts, 0);
	process_page.making_state = 0;
	return process_page.state;
}

#endif
