/*
 * mutate_state.c - thousands of damaged states, from a fixed seed, read as heapspy
 * snapshot and heapspy live read them: copied, serialized, decoded. Each ends in
 * a reading or in one line, never in anything else, and soon.
 *
 * The whole state is damaged: header, directory of tables, records, and the file's length. Its
 * worth is in the sanitized build, where the copy ends where the state does. An argument is another
 * seed.
 */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/target/live_state.h"
#include "sample_math.h"
#include "tests/fuzz/state_seed.h"
#include "tests/unit/tap.h"

#define N_MUTANTS 6000

static struct sample_rng rng;
static char path[] = "/dev/shm/heapspy-mutate.XXXXXX";
static int fd;
static uint64_t below(uint64_t n)
{
	return n ? sample_rng_next(&rng) % n : 0;
}

/* Puts bytes into the file, of the length given, and reads it. Returns whether that went well. */
static bool read_file(const void *data, size_t bytes, size_t file_bytes)
{
	struct snapshot *snapshot = NULL;
	struct live_state *live;
	bool ended, good;
	struct fail f = { 0 };
	int ret;

	assert(pwrite(fd, data, bytes, 0) == (ssize_t)bytes && !ftruncate(fd, (off_t)file_bytes));
	ret = live_state_open_file(AT_FDCWD, path, false, &live);
	if (ret < 0) {
		assert(ret == -EAGAIN || ret == -EINVAL);
		return false;
	}
	good = live_state_read(live, &snapshot, &ended, &f) == 0;
	/* Once more, with the memory of the first time. */
	if (good) {
		snapshot_free(snapshot);
		good = live_state_read(live, &snapshot, &ended, &f) == 0;
	}
	if (good)
		snapshot_free(snapshot);
	else if (f.exit_code != EXIT_CODE_INPUT || !f.text[0] || strchr(f.text, '\n')) {
		printf("# exit %d: %s\n", f.exit_code, f.text);
		CHECK(!"one line");
	}
	live_state_close(live);
	return good;
}

static uint64_t edge_value(uint64_t bytes)
{
	const uint64_t edges[] = { 0, 1, 8, 16, 255, 256, 4095, 0xffff, bytes - 8, bytes, bytes + 8,
		1 << 20, 0x7fffffff, 0xffffffff, 1ull << 33, 1ull << 48, 0x7fffffffffffffff,
		0xfffffffffffffff8, UINT64_MAX };

	return edges[below(sizeof(edges) / sizeof(edges[0]))];
}

static void damage(uint8_t *data, size_t bytes)
{
	struct state_header *h = (struct state_header *)data;
	uint64_t value = edge_value(bytes), at = below(bytes);

	switch (below(6)) {
	case 0: /* a bit anywhere */
		data[at] ^= (uint8_t)(1 << below(8));
		break;
	case 1: /* a bit of the header behind the magic */
		data[12 + below(sizeof(*h) - 12)] ^= (uint8_t)(1 << below(8));
		break;
	case 2: /* a word anywhere */
		memcpy(data + (at & ~7ull), &value, at + 8 <= bytes ? 8 : 0);
		break;
	case 3: { /* a table */
		struct state_chunk *c = &h->chunk[below(8)];

		if (below(2))
			c->kind = (uint32_t)below(8);
		if (below(2))
			c->offset = below(2) ? value : below(bytes) & ~7ull;
		else
			c->bytes = below(2) ? value : below(bytes);
		h->n_chunks = below(2) ? STATE_CHUNKS_MAX : h->n_chunks;
		break;
	}
	case 4: { /* a count, or a size */
		uint32_t *counts[] = { &h->n_chunks, &h->n_names, &h->n_modules, &h->n_thread_slots,
			&h->level };

		if (below(2))
			*counts[below(5)] = (uint32_t)value;
		else
			*(below(2) ? &h->committed_bytes : &h->used_bytes) = value;
		h->max_bytes = below(4) ? h->max_bytes : value;
		break;
	}
	default: /* a stretch of noise */
		for (value = below(64); value && at < bytes; value--)
			data[at++] = (uint8_t)below(256);
	}
}

static void test_mutants(void)
{
	struct state_header *state = state_seed(1 << 20, 900);
	size_t bytes = state->committed_bytes;
	uint8_t *mutant = alloc_aligned(bytes);
	unsigned i, good = 0;

	CHECK(read_file(state, bytes, bytes));
	for (i = 0; i < N_MUTANTS; i++) {
		unsigned n = 1 + (unsigned)below(4);

		memcpy(mutant, state, bytes);
		while (n--)
			damage(mutant, bytes);
		good += read_file(mutant, bytes, below(5) ? bytes : below(bytes + 1));
	}
	printf("# %u of %u damaged states could be read\n", good, N_MUTANTS);
	CHECK(good > N_MUTANTS / 5 && good < N_MUTANTS);
	free(mutant);
}

/* Every table is the same one, as large as the state, and names one stack all over. */
static void test_a_state_that_repeats_itself(void)
{
	struct state_header *state = state_seed(1 << 20, 900);
	size_t bytes = state->committed_bytes;
	uint8_t *mutant = alloc_aligned(bytes);
	struct state_header *h = (struct state_header *)mutant;
	uint64_t *words = (uint64_t *)mutant, i;
	uint32_t stack = 0;

	memcpy(mutant, state, bytes);
	for (i = 0; i < h->n_chunks && !stack; i++)
		if (h->chunk[i].kind == STATE_CHUNK_INDEX) {
			const uint64_t *slots = (uint64_t *)(mutant + h->chunk[i].offset);
			uint64_t k;

			for (k = 0; k < h->chunk[i].bytes / 8 && !stack; k++)
				stack = (uint32_t)slots[k];
		}
	h->n_chunks = STATE_CHUNKS_MAX;
	h->used_bytes = bytes;
	for (i = 0; i < STATE_CHUNKS_MAX; i++)
		h->chunk[i] = (struct state_chunk){ STATE_CHUNK_INDEX, 0, h->header_bytes,
			bytes - h->header_bytes };
	for (i = h->header_bytes / 8; i < bytes / 8; i++)
		if (i * 8 < (uint64_t)stack * STATE_ALIGN ||
			i * 8 > (uint64_t)stack * STATE_ALIGN + 200)
			words[i] = stack;
	CHECK(stack && !read_file(mutant, bytes, bytes));
	free(mutant);
}

int main(int argc, char **argv)
{
	sample_rng_seed(&rng, argc > 1 ? strtoull(argv[1], NULL, 10) : 3);
	fd = mkstemp(path);
	assert(fd >= 0);
	TAP_RUN(test_mutants);
	TAP_RUN(test_a_state_that_repeats_itself);
	close(fd);
	unlink(path);
	return tap_done();
}
