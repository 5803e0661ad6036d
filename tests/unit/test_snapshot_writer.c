/*
 * state/snapshot_writer.h: what is in a state comes out of the reader; a damaged
 * state makes a short or refused snapshot, never a crash. The reader is the
 * analyzer's: the two halves meet here.
 */
#include <stdlib.h>
#include "analyzer/read/snapshot_reader.h"
#include "preload/live_table.h"
#include "preload/site_stats.h"
#include "preload/stack_table.h"
#include "preload/state/snapshot_writer.h"
#include "preload/state/state_map.h"
#include "preload/thinning.h"
#include "tests/unit/state_fixture.h"
#include "tests/unit/tap.h"

#define FILE_BYTES (4u << 20)

static uint8_t file[FILE_BYTES];
static uint64_t file_end, refuse_after = FILE_BYTES;

static bool write_bytes(void *context, uint64_t offset, const void *data, size_t bytes)
{
	if (offset + bytes > refuse_after)
		return false;
	memcpy(file + offset, data, bytes);
	if (offset + bytes > file_end)
		file_end = offset + bytes;
	return true;
}

static bool bytes_seen(const struct state_header *state, void *context, uint64_t *bytes_seenp)
{
	*bytes_seenp = state->bytes_seen + 77;
	return true;
}

static bool write_snapshot(const struct state_header *state, size_t buffer_bytes)
{
	static uint8_t buffer[64 << 10];
	struct snapshot_facts facts = { .number = 3,
		.reason = HEAPSPY_REASON_LABEL,
		.now_ns = state->start_ns + 5000,
		.wall_ns = 1,
		.rss_bytes = 12345,
		.label = "half time",
		.bytes_seen = bytes_seen };
	struct snapshot_sink sink = { write_bytes, NULL, buffer, buffer_bytes };

	file_end = 0;
	return snapshot_write(state, &facts, &sink);
}

/* 300 samples of 30 stacks; those of odd number are born after the cut. */
static struct state_header *filled_state(void)
{
	struct state_header *state = state_fixture(1 << 20, 4096);
	uint64_t i;

	strcpy(state->comm, "victim");
	state->bytes_seen = 1000000;
	for (i = 0; i < 300; i++) {
		uint64_t frames[] = { HEAPSPY_FRAME_MAKE(0x1000 + i % 30, 0, 1), 0x2000 };
		struct state_live_value value = { .size_thread = 100 + i,
			.birth_level = i % 2 ? 6000 : 4000,
			.stack = stack_table_intern(state, frames, 2, 0, 0),
			.u = 0x80000000u };

		site_stats_allocated(
			state, value.stack, 100 + i, thinning_weight(state, &value, 0));
		site_stats_died(state, value.stack, 1000, thinning_weight(state, &value, 0));
		live_table_insert(state, (i + 1) * 64, &value);
	}
	return state;
}

static void test_the_reader_finds_what_is_there(void)
{
	static const size_t buffers[] = { SNAPSHOT_BUFFER_BYTES, SNAPSHOT_BUFFER_BYTES + 1, 5003,
		64 << 10 };
	struct state_header *state = filled_state();
	unsigned i;

	for (i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		struct snapshot *s = NULL;
		struct fail f;
		uint64_t n = 0, bytes = 0, deaths = 0;
		size_t j;

		CHECK(write_snapshot(state, buffers[i]));
		if (snapshot_decode(file, file_end, "file", 0, &s, &f)) {
			printf("# %s\n", f.text);
			CHECK(!"readable");
			return;
		}
		CHECK(s->n_samples == 150);
		for (j = 0; j < s->n_samples; j++)
			bytes += HEAPSPY_SAMPLE_SIZE(&s->samples[j]);
		CHECK(bytes == 150 * 100 + 149 * 150); /* even sizes 100..398 */
		for (j = 0; j < s->n_stacks; j++) {
			n += s->stacks[j].allocated.n;
			if (!s->stacks[j].n_frames)
				continue; /* what all else would be folded to */
			CHECK(s->stacks[j].n_frames == 2 && s->stacks[j].n_deaths == 1);
			CHECK(s->frames[s->stacks[j].first_frame] & HEAPSPY_FRAME_EXACT);
			CHECK(s->frames[s->stacks[j].first_frame + 1] == 0x2000);
			CHECK(s->deaths[s->stacks[j].first_death].bucket == 9);
			deaths += s->deaths[s->stacks[j].first_death].n;
		}
		CHECK(s->n_stacks == 31 && n == 300 && deaths == 300);
		CHECK(s->info.number == 3 && s->info.cut_ns == 5000);
		CHECK(s->info.bytes_seen == 1000077 && s->info.rss_bytes == 12345);
		CHECK(!strcmp(snapshot_string(s, s->info.label), "half time"));
		CHECK(!strcmp(snapshot_string(s, s->info.comm), "victim"));
		snapshot_free(s);
	}
}

static void test_a_refusing_sink_is_a_failure(void)
{
	struct state_header *state = filled_state();
	uint64_t whole;

	CHECK(write_snapshot(state, SNAPSHOT_BUFFER_BYTES));
	whole = file_end;
	for (refuse_after = 0; refuse_after < whole; refuse_after += 997)
		CHECK(!write_snapshot(state, SNAPSHOT_BUFFER_BYTES));
	refuse_after = FILE_BYTES;
}

/* Whatever stands in the state, the writer ends, and what it wrote is a file or refused. */
static void test_a_damaged_state_does_no_harm(void)
{
	struct state_header *state = filled_state();
	uint64_t used = state->used_bytes;
	uint8_t *whole = malloc(used);
	unsigned seed = 7, round, accepted = 0;

	memcpy(whole, state, used);
	for (round = 0; round < 3000; round++) {
		unsigned flips = 1 + (unsigned)rand_r(&seed) % 16, i;
		struct snapshot *s = NULL;
		struct fail f;

		for (i = 0; i < flips; i++) {
			uint64_t at = ((uint64_t)rand_r(&seed) << 16 ^ (uint64_t)rand_r(&seed));

			/* Half of them among the header's words and the chunk directory. */
			at %= i % 2 ? used : sizeof(struct state_header);
			((uint8_t *)state)[at] ^= (uint8_t)(1u << (rand_r(&seed) & 7));
		}
		/* The reader of a state takes its size from the file, not from the state. */
		state->max_bytes = 1 << 20;
		if (state->committed_bytes > used)
			state->committed_bytes = used;
		if (write_snapshot(state, SNAPSHOT_BUFFER_BYTES) &&
			!snapshot_decode(file, file_end, "file", 0, &s, &f))
			accepted++;
		snapshot_free(s);
		memcpy(state, whole, used);
	}
	printf("# %u of 3000 damaged states still made a readable snapshot\n", accepted);
	CHECK(accepted > 300 && accepted < 3000);
	free(whole);
}

int main(void)
{
	TAP_RUN(test_the_reader_finds_what_is_there);
	TAP_RUN(test_a_refusing_sink_is_a_failure);
	TAP_RUN(test_a_damaged_state_does_no_harm);
	return tap_done();
}
