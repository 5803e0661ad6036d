/* state_map.h: steps that fail cleanly, a file that is ours alone, records that are zero. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "preload/state/state_map.h"
#include "tests/unit/tap.h"

static void test_records_up_to_the_cap(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 1 << 20, &error);
	uint64_t offset, last = 0, n = 0, dirty = 0, i;

	CHECK(state != NULL && error == 0);
	CHECK(state->committed_bytes <= 128 << 10);
	while ((offset = state_map_alloc(state, 1000, 0))) {
		const char *p = state_at(state, offset);

		CHECK(offset % STATE_ALIGN == 0 && offset > last);
		last = offset;
		for (i = 0; i < 1000; i++)
			dirty += p[i] != 0;
		memset(state_at(state, offset), 0xff, 1000);
		n++;
	}
	CHECK(dirty == 0);
	CHECK(n > 1000 && n < 1049);
	CHECK(state->committed_bytes <= 1 << 20);
	/* The needy still find something where the others stop. */
	CHECK(state_map_alloc(state, 16, 0) != 0);
	CHECK(state_map_alloc(state, 16, 4096) == 0);
}

static void test_a_frozen_state_does_not_grow(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 1 << 20, &error);
	uint64_t committed = state->committed_bytes;

	state_map_freeze(true);
	CHECK(state_map_alloc(state, 512 << 10, 0) == 0);
	CHECK(state->committed_bytes == committed);
	state_map_freeze(false);
	CHECK(state_map_alloc(state, 512 << 10, 0) != 0);
}

static bool is_nobodys(const struct state_header *state)
{
	return false;
}

static void test_a_forked_child_does_not_grow_its_parents(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 1 << 20, &error);
	uint64_t committed = state->committed_bytes;

	state_map_set_owner(is_nobodys);
	CHECK(state_map_alloc(state, 16, 0) != 0);
	CHECK(state_map_alloc(state, 512 << 10, 0) == 0);
	CHECK(state->committed_bytes == committed);
	state_map_set_owner(NULL);
	CHECK(state_map_alloc(state, 512 << 10, 0) != 0);
}

static void test_the_file(void)
{
	char path[64];
	struct stat st;
	int error = 0;

	snprintf(path, sizeof(path), "/dev/shm/heapspy-test-state.%d", (int)getpid());
	CHECK(state_map_create(path, 1 << 20, &error) != NULL);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	/* Never somebody else's file. */
	CHECK(state_map_create(path, 1 << 20, &error) == NULL && error == -EEXIST);
	unlink(path);
	CHECK(symlink("/dev/null", path) == 0);
	CHECK(state_map_create(path, 1 << 20, &error) == NULL && error == -EEXIST);
	unlink(path);
}

static void test_chunks_are_found_youngest_first(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 1 << 20, &error);
	uint64_t a = state_map_add_chunk(state, STATE_CHUNK_NAMES, 64, 0, NULL);
	uint64_t b = state_map_add_chunk(state, STATE_CHUNK_TICKS, 64, 0, NULL);
	uint64_t c = state_map_add_chunk(state, STATE_CHUNK_NAMES, 128, 0, NULL);
	uint32_t i = state_n_chunks(state);

	CHECK(a % 64 == 0 && b % 64 == 0 && c % 64 == 0 && a && b && c);
	CHECK(state_chunk_before(state, STATE_CHUNK_NAMES, &i) == state_at(state, c));
	CHECK(state_chunk_before(state, STATE_CHUNK_NAMES, &i) == state_at(state, a));
	CHECK(state_chunk_before(state, STATE_CHUNK_NAMES, &i) == NULL);
	/* Entries count on from chunk to chunk. */
	CHECK(state_map_entry(state, STATE_CHUNK_NAMES, 3, 16) == state_at(state, a + 48));
	CHECK(state_map_entry(state, STATE_CHUNK_NAMES, 4, 16) == state_at(state, c));
	CHECK(state_map_entry(state, STATE_CHUNK_NAMES, 12, 16) == NULL);
}

int main(void)
{
	TAP_RUN(test_records_up_to_the_cap);
	TAP_RUN(test_a_frozen_state_does_not_grow);
	TAP_RUN(test_a_forked_child_does_not_grow_its_parents);
	TAP_RUN(test_the_file);
	TAP_RUN(test_chunks_are_found_youngest_first);
	return tap_done();
}
