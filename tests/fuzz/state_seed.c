/* state_seed.c - fills a state with the functions that fill it in a profiled process. */
#undef NDEBUG
#include "tests/fuzz/state_seed.h"

#include <assert.h>
#include <unistd.h>

#include "analyzer/target/proc.h"
#include "preload/live_table.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "tests/unit/state_fixture.h"

static struct state_countdown countdown = { 10, 1000, 3, 0 };

static void add_samples(struct state_header *state, unsigned n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		uint64_t frames[] = { HEAPSPY_FRAME_MAKE(0x1000 + i % 30, 1, 1), 0x2000, 0x3000 };
		struct state_live_value value = { .size_thread = 100 + i,
			.birth_level = 4000,
			.stack = stack_table_intern(state, frames, 1 + i % 3, 0, 0),
			.u = 0x80000000u };

		site_stats_allocated(
			state, value.stack, 100 + i, thinning_weight(state, &value, 0));
		site_stats_died(state, value.stack, i << i % 40, thinning_weight(state, &value, 0));
		live_table_insert(state, (i + 1) * 64, &value);
	}
}

static void add_names(struct state_header *state)
{
	struct state_thread *thread;
	struct state_module *module;
	uint64_t path = state_map_alloc(state, 32, 0);

	strcpy(state_at(state, path), "/nowhere/libmutant.so");
	module = state_map_entry(state, STATE_CHUNK_MODULES, 0, sizeof(*module));
	module->start_address = 0x400000;
	module->end_address = 0x500000;
	module->path_offset = (uint32_t)path;
	module->build_id_bytes = 20;
	module->flags = STATE_MODULE_READY | STATE_MODULE_MAIN;
	state->n_modules = 1;
	strcpy(state_map_entry(state, STATE_CHUNK_NAMES, 1, STATE_NAME_BYTES), "worker");
	state->n_names = 2;
	thread = state_map_entry(state, STATE_CHUNK_THREADS, 2, sizeof(*thread));
	thread->countdown = (uint64_t)(uintptr_t)&countdown;
	state->n_thread_slots = 3;
}

static void add_ticks(struct state_header *state)
{
	uint32_t i = STATE_CHUNKS_MAX;
	struct heapspy_tick *ring = state_chunk_before(state, STATE_CHUNK_TICKS, &i);

	for (i = 0; i < 5; i++)
		ring[i] = (struct heapspy_tick){ 1000000000ull * i, 4096 * i, i };
	state->tick_second = 4;
}

struct state_header *state_seed(uint64_t max_bytes, unsigned n_samples)
{
	struct state_header *state = state_fixture(max_bytes, 4096);
	struct proc_stat self;

	strcpy(state->comm, "victim");
	assert(proc_read_stat((uint32_t)getpid(), &self));
	state->pid = (uint32_t)getpid();
	state->start_ticks = self.start_ticks;
	state->start_id = 0xc0ffee;
	state->start_ns = 1000000;
	state->start_wall_ns = 1700000000000000000ull;
	memset(state->boot_id, 0xb0, sizeof(state->boot_id));
	state->bytes_seen = 1000000;
	add_samples(state, n_samples);
	add_names(state);
	add_ticks(state);
	return state;
}
