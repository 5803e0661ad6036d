/* state_map.h: steps that fail cleanly, a file that is ours alone, records that are zero. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static unsigned n_looks;

static void look_for_the_first_time(struct state_header *state)
{
	n_looks++;
	state->room.ns = 1;
}

/* Memory that would fill the group is not asked for: the kernel would kill somebody for it. */
static void test_a_group_without_room(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 16 << 20, &error);
	uint64_t committed = state->committed_bytes;

	state_map_set_first_look(look_for_the_first_time);
	CHECK(state_map_alloc(state, committed, 0) != 0);
	CHECK(n_looks == 1);
	committed = state->committed_bytes;
	/* A thirty-second, 2 MiB, is kept free; RSS is more now than 0. */
	state->room =
		(struct state_room){ .limit_bytes = 64 << 20, .left_bytes = 2 << 20, .ns = 2 };
	CHECK(state_map_alloc(state, committed, 0) == 0);
	state->room.left_bytes = UINT64_MAX / 2;
	CHECK(state_map_alloc(state, committed, 0) == 0); /* not before the next look */
	state->room.ns = 3;
	CHECK(state_map_alloc(state, committed, 0) != 0);
	/* An eighth is the most, whatever is left. */
	CHECK(state_map_alloc(state, 8 << 20, 0) == 0);
	state->room.ns = 4;
	state->room.limit_bytes = 256 << 20;
	CHECK(state_map_alloc(state, 8 << 20, 0) != 0);
	/* An old look, and a process that may have taken all that was left since. */
	state->room =
		(struct state_room){ .limit_bytes = 64 << 20, .left_bytes = 4 << 20, .ns = 5 };
	CHECK(state_map_alloc(state, 4 << 20, 0) == 0);
	CHECK(state->grow_errno == ENOMEM && n_looks == 1);
	state_map_set_first_look(NULL);
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

/* Where the address space ends before the cap, and where somebody else's begins behind it. */
static void test_a_cap_that_is_lowered(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 4 << 20, &error);
	char *behind;

	CHECK(state_map_alloc(state, 300 << 10, 0) != 0);
	CHECK(state_map_lower_cap(state, 1 << 20) && state->max_bytes == 1 << 20);
	/* What it gave back can be anybody's, and is left alone by a state that would grow. */
	behind = mmap((char *)state + (1 << 20), 1 << 20, PROT_READ,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(behind == (char *)state + (1 << 20));
	CHECK(state_map_alloc(state, 600 << 10, 0) != 0);
	CHECK(state_map_alloc(state, 600 << 10, 0) == 0 && state->committed_bytes <= 1 << 20);
	CHECK(state->grow_errno == 0);
	/* No lower than what is in use, and never up. */
	CHECK(state_map_lower_cap(state, 4096) && state->max_bytes == state->committed_bytes);
	CHECK(!state_map_lower_cap(state, 2 << 20));
	munmap(behind, 1 << 20);
}

static void test_a_step_that_fails(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 4 << 20, &error);
	uint64_t committed = state->committed_bytes;

	/* A hole where the next step would be. */
	munmap((char *)state + (512 << 10), 4096);
	CHECK(state_map_alloc(state, 1 << 20, 0) == 0);
	CHECK(state->grow_errno == ENOMEM && state->committed_bytes == committed);
	/* A smaller one does without. */
	CHECK(state_map_alloc(state, 128 << 10, 0) != 0);
	CHECK(state->committed_bytes > committed);
}

static void test_less_address_space_than_was_asked_for(void)
{
	int error = 0;
	struct state_header *state = state_map_create(NULL, 1ull << 62, &error);

	CHECK(state != NULL && state->max_bytes == 256 << 10);
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
	TAP_RUN(test_a_group_without_room);
	TAP_RUN(test_a_forked_child_does_not_grow_its_parents);
	TAP_RUN(test_a_cap_that_is_lowered);
	TAP_RUN(test_a_step_that_fails);
	TAP_RUN(test_less_address_space_than_was_asked_for);
	TAP_RUN(test_the_file);
	TAP_RUN(test_chunks_are_found_youngest_first);
	return tap_done();
}
