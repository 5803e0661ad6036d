/* stacks_reader.c - owns the STACKS section. The grammar is in include/heapspy/snapshot.h. */
#include "analyzer/read/stacks_reader.h"

#include <stdlib.h>

#include "analyzer/alloc.h"
#include "analyzer/read/snapshot_reader.h"
#include "snapshot_codec.h"

#define PC_MAX  0xffffffffffffull
#define TAG_MAX ((uint64_t)HEAPSPY_MODULE_SERIAL_MAX << 1 | 1)

struct cursor {
	const uint8_t *pos, *end;
	bool broken; /* sticky: a varint could not be read or was above its limit */
};

/* The next varint, at most max; 0 once the cursor is broken. */
static uint64_t next(struct cursor *c, uint64_t max)
{
	uint64_t value;

	if (c->broken || !codec_get_varint(&c->pos, c->end, &value) || value > max) {
		c->broken = true;
		return 0;
	}
	return value;
}

static int64_t next_signed(struct cursor *c)
{
	return codec_unzigzag(next(c, UINT64_MAX));
}

static size_t bytes_left(const struct cursor *c)
{
	return c->broken ? 0 : (size_t)(c->end - c->pos);
}

/* Appends the frames of one stack; a frame is at least one byte, so n is bounded by the bytes. */
static void decode_frames(
	struct cursor *c, struct snapshot *s, struct snapshot_stack *stack, size_t *capacityp)
{
	uint64_t pc = 0, tag = 0;
	uint32_t i;

	stack->n_frames = (uint32_t)next(c, bytes_left(c));
	stack->first_frame = s->n_frames;
	for (i = 0; i < stack->n_frames && !c->broken; i++) {
		uint64_t delta = next(c, UINT64_MAX);

		/* Modulo 2^64 here, so that no delta overflows; the range test follows. */
		pc += (uint64_t)codec_unzigzag(delta >> 1);
		if (delta & 1)
			tag = next(c, TAG_MAX);
		if (pc > PC_MAX || (tag >> 1 && !s->module_of_serial[tag >> 1]))
			c->broken = true;
		s->frames = alloc_room(s->frames, s->n_frames, capacityp, sizeof(*s->frames));
		s->frames[s->n_frames++] = HEAPSPY_FRAME_MAKE(pc, tag >> 1, tag & 1);
	}
}

static void decode_deaths(
	struct cursor *c, struct snapshot *s, struct snapshot_stack *stack, size_t *capacityp)
{
	uint64_t seen = 0;
	uint32_t i;

	stack->n_deaths = (uint32_t)next(c, HEAPSPY_LIFETIME_BUCKETS);
	stack->first_death = s->n_deaths;
	for (i = 0; i < stack->n_deaths && !c->broken; i++) {
		struct snapshot_death death;

		death.bucket = (uint32_t)next(c, HEAPSPY_LIFETIME_BUCKETS - 1);
		if (seen >> death.bucket & 1)
			c->broken = true;
		seen |= 1ull << death.bucket;
		death.n = next(c, UINT64_MAX);
		death.B = next(c, UINT64_MAX);
		death.C = next(c, UINT64_MAX);
		s->deaths = alloc_room(s->deaths, s->n_deaths, capacityp, sizeof(*s->deaths));
		s->deaths[s->n_deaths++] = death;
	}
}

static void decode_counters(struct cursor *c, struct snapshot_stack *stack)
{
	stack->allocated.n = next(c, UINT64_MAX);
	stack->allocated.S = next(c, UINT64_MAX);
	stack->allocated.B = next(c, UINT64_MAX);
	stack->allocated.V = next(c, UINT64_MAX);
	stack->allocated.C = next(c, UINT64_MAX);
	if (next(c, 1)) {
		stack->thinned.n = next_signed(c);
		stack->thinned.S = next_signed(c);
		stack->thinned.B = next_signed(c);
		stack->thinned.V = next_signed(c);
		stack->thinned.C = next_signed(c);
	}
}

int stacks_decode(struct snapshot *s, const uint8_t *body, size_t bytes, struct fail *f)
{
	struct cursor c = { body, body + bytes, false };
	size_t stack_capacity = 0, frame_capacity = 0, death_capacity = 0;
	struct stacks_index index;
	size_t i;

	while (!c.broken && c.pos != c.end) {
		struct snapshot_stack stack = { 0 };

		stack.id = (uint32_t)next(&c, UINT32_MAX);
		stack.flags = (uint32_t)next(&c, UINT32_MAX);
		stack.approx_from = (uint32_t)next(&c, UINT32_MAX);
		decode_frames(&c, s, &stack, &frame_capacity);
		decode_counters(&c, &stack);
		decode_deaths(&c, s, &stack, &death_capacity);
		if (c.broken)
			break;
		s->stacks = alloc_room(s->stacks, s->n_stacks, &stack_capacity, sizeof(*s->stacks));
		s->stacks[s->n_stacks++] = stack;
	}
	if (c.broken)
		return fail_set(f, EXIT_CODE_INPUT,
			"'%s' is damaged: STACKS, record %zu is out of range", s->path,
			s->n_stacks);
	stacks_index_init(&index, s);
	for (i = 1; i < s->n_stacks && index.entries[i - 1].id != index.entries[i].id; i++)
		;
	if (i < s->n_stacks)
		fail_set(f, EXIT_CODE_INPUT, "'%s' is damaged: two stacks have id %u", s->path,
			index.entries[i].id);
	stacks_index_deinit(&index);
	return i < s->n_stacks ? -1 : 0;
}

static int compare_entries(const void *a, const void *b)
{
	uint32_t x = ((const struct stacks_index_entry *)a)->id;
	uint32_t y = ((const struct stacks_index_entry *)b)->id;

	return x < y ? -1 : x > y;
}

void stacks_index_init(struct stacks_index *index, const struct snapshot *s)
{
	bool sorted = true;
	size_t i;

	index->n_entries = s->n_stacks;
	index->entries = alloc_array(s->n_stacks, sizeof(*index->entries));
	for (i = 0; i < s->n_stacks; i++) {
		index->entries[i].id = s->stacks[i].id;
		index->entries[i].stack = (uint32_t)i;
		sorted = sorted && (!i || s->stacks[i - 1].id <= s->stacks[i].id);
	}
	if (!sorted)
		qsort(index->entries, s->n_stacks, sizeof(*index->entries), compare_entries);
}

void stacks_index_deinit(struct stacks_index *index)
{
	free(index->entries);
	index->entries = NULL;
}

bool stacks_index_find(const struct stacks_index *index, uint32_t id, uint32_t *stackp)
{
	size_t low = 0, high = index->n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index->entries[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == index->n_entries || index->entries[low].id != id)
		return false;
	*stackp = index->entries[low].stack;
	return true;
}
