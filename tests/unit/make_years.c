/*
 * make_years.c - snapshots of a process that has run for years: a state whose counters stand where
 * that time has brought them, and a clock that stands there too. What becomes of it is read by
 * tests/preload/test_years.py.
 *
 *     make_years DIR SECONDS
 *
 * The last of CUTS snapshots, one a minute, is of that age. Sites: 0x402010 allocates and frees
 * PER_MINUTE samples of 4 KiB a minute, 10 GB/s, all the time; 0x403010 leaks LEAKED a minute while
 * we look; 0x404010 holds HELD blocks, half of them for as long as the process lives, half for a
 * day.
 */
#include <stdio.h>
#include <stdlib.h>
#include "preload/live_table.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/snapshot_file.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "sample_age.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/state_fixture.h"

#define CUTS       41
#define PER_MINUTE 1200000ull
#define LEAKED     3
#define HELD       20
#define BYTES      4096
#define MINUTE_NS  60000000000ull
#define LIFE_LOG2  20
#define LIFE_NS    (1ull << LIFE_LOG2)
#define DAY_NS     (1440 * MINUTE_NS)
#define FIRST      999980 /* the million comes in between */

static uint64_t start_ns, next_address = 0x10000;
static uint32_t random_bits;

static void add_module(struct state_header *state)
{
	struct state_module *m =
		state_map_entry(state, STATE_CHUNK_MODULES, 0, sizeof(struct state_module));
	uint64_t path = state_map_alloc(state, 32, 0);

	strcpy(state_at(state, path), "/nowhere/bin/api");
	m->start_address = m->load_bias = 0x400000;
	m->end_address = 0x500000;
	m->path_offset = (uint32_t)path;
	m->flags = STATE_MODULE_READY | STATE_MODULE_MAIN;
	state->n_modules = 1;
}

static uint32_t stack(struct state_header *state, uint64_t pc)
{
	uint64_t frames[] = { HEAPSPY_FRAME_MAKE(pc + 1, 1, 0),
		HEAPSPY_FRAME_MAKE(0x401001, 1, 0) };

	return stack_table_intern(state, frames, 2, 0, 0);
}

/* A block that is born now and stays. */
static void hold(struct state_header *state, uint32_t id, uint64_t age_ns)
{
	struct state_live_value value = { .size_thread = BYTES,
		.birth_level = sample_birth_bits(age_ns),
		.stack = id,
		.u = random_bits += 0x9e3779b9u };
	struct sample_weight weight = thinning_weight(state, &value, 0);

	live_table_insert(state, next_address += 64, &value);
	site_stats_allocated(state, id, BYTES, weight);
	site_stats_joined(state, value.u, weight, start_ns + age_ns);
	hs_add_relaxed(&state->samples, 1);
	hs_add_relaxed(&state->bytes_seen, weight.bytes);
}

/* n blocks that came and went, a millisecond each. */
static void pass(struct state_header *state, uint32_t id, uint64_t n)
{
	struct state_live_value value = { .size_thread = BYTES };
	struct sample_weight weight = thinning_weight(state, &value, 0);
	struct state_stack *s = stack_table_record(state, id);
	struct state_extra *extra;

	s->n += n;
	s->S += n * BYTES;
	s->B += n * weight.bytes;
	s->V += n * weight.variance;
	s->C += n * weight.count_1024;
	site_stats_died_bytes(state, id, LIFE_NS, n * weight.bytes, n * weight.count_1024);
	extra = state_at(state, (uint64_t)s->extras * STATE_ALIGN); /* its only one */
	extra->died[LIFE_LOG2 % STATE_EXTRA_BUCKETS].n += n - 1;
	state->samples += n;
	state->deaths += n;
	state->bytes_seen += n * weight.bytes;
}

static void write_snapshot(struct state_header *state, uint64_t age_ns)
{
	static struct snapshot_file file;
	static struct snapshot_keep keep;
	struct snapshot_facts facts = { .reason = HEAPSPY_REASON_INTERVAL,
		.now_ns = start_ns + age_ns,
		.wall_ns = state->start_wall_ns + age_ns,
		.bytes_seen = snapshot_file_bytes_seen };
	long number = snapshot_file_write(&file, &keep, state, &facts);

	if (number < 0)
		exit(1);
	state->next_number = (uint32_t)number + 1;
}

int main(int argc, char **argv)
{
	uint64_t end_ns, begin_ns, age_ns;
	struct state_header *state;
	uint32_t passing, leaking, holding, i, k;

	if (argc != 3)
		return 2;
	state = state_fixture(32 << 20, 512 << 10);
	start_ns = state->start_ns;
	snprintf(state->dir, sizeof(state->dir), "%s", argv[1]);
	state->start_wall_ns = 1700000000000000000ull;
	add_module(state);
	passing = stack(state, 0x402010);
	leaking = stack(state, 0x403010);
	holding = stack(state, 0x404010);
	end_ns = strtoull(argv[2], NULL, 10) * 1000000000;
	begin_ns = end_ns - (CUTS - 1) * MINUTE_NS;
	for (i = 0; i < HELD / 2; i++) {
		hold(state, holding, 1000000000 + i);
		hold(state, holding, begin_ns - DAY_NS + i);
	}
	pass(state, passing, begin_ns / MINUTE_NS * PER_MINUTE);
	state->self_ns = begin_ns / 100;
	state->thread_free = UINT64_MAX << 32;
	state->tick_second = begin_ns / 1000000000;
	state->next_number = FIRST;
	for (i = 0; i < CUTS; i++) {
		age_ns = begin_ns + i * MINUTE_NS;
		fake_now_ns = start_ns + age_ns;
		for (k = 0; i && k < LEAKED; k++)
			hold(state, leaking, age_ns - (k + 1) * MINUTE_NS / (LEAKED + 1));
		if (i)
			pass(state, passing, PER_MINUTE);
		write_snapshot(state, age_ns);
	}
	return 0;
}
