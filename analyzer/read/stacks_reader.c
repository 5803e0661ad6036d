/* stacks_reader.c - owns the STACKS section. The grammar is in include/heapspy/snapshot.h. */
#include "analyzer/read/stacks_reader.h"

#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/read/snapshot_reader.h"
#include "snapshot_codec.h"

#define PC_MAX  0xffffffffffffull
#define TAG_MAX ((uint64_t)HEAPSPY_MODULE_SERIAL_MAX << 1 | 1)

struct cursor {
	const uint8_t *pos, *end;
	bool broken; /* sticky: a varint could not be read or was above its limit */
};

/*
 * The next varint, at most max; 0 once the cursor is broken. Most are of up to eight bytes with
 * eight to read: these are taken at once, their bits pushed together by pairs.
 */
static inline uint64_t next(struct cursor *c, uint64_t max)
{
	uint64_t value, ends;

	if (!c->broken && c->end - c->pos >= 8) {
		value = codec_load64(c->pos);
		ends = ~value & 0x8080808080808080;
		if (ends) {
			/* Up to the first byte without the mark of more. */
			value &= (ends ^ (ends - 1)) & 0x7f7f7f7f7f7f7f7f;
			value = (value & 0x007f007f007f007f) | (value & 0x7f007f007f007f00) >> 1;
			value = (value & 0x00003fff00003fff) | (value & 0x3fff00003fff0000) >> 2;
			value = (value & 0x000000000fffffff) | (value & 0x0fffffff00000000) >> 4;
			if (value <= max) {
				c->pos += (__builtin_ctzll(ends) >> 3) + 1;
				return value;
			}
		}
	}
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
	uint64_t pc = 0, above = 0; /* what a frame has above its pc */
	uint32_t i;

	stack->n_frames = (uint32_t)next(c, bytes_left(c));
	stack->first_frame = s->n_frames;
	if (*capacityp < s->n_frames + stack->n_frames) {
		*capacityp = 2 * s->n_frames + stack->n_frames;
		s->frames = alloc_resize(s->frames, *capacityp, sizeof(*s->frames));
	}
	for (i = 0; i < stack->n_frames && !c->broken; i++) {
		uint64_t delta = next(c, UINT64_MAX);

		/* Modulo 2^64 here, so that no delta overflows; the range test follows. */
		pc += (uint64_t)codec_unzigzag(delta >> 1);
		if (delta & 1) {
			uint64_t tag = next(c, TAG_MAX);

			if (tag >> 1 && !s->module_of_serial[tag >> 1])
				c->broken = true;
			above = HEAPSPY_FRAME_MAKE(0, tag >> 1, tag & 1);
		}
		if (pc > PC_MAX)
			c->broken = true;
		s->frames[s->n_frames++] = above | pc;
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
	uint32_t duplicate;
	int rc = 0;

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
	if (!stacks_index_init(&index, s, &duplicate))
		rc = fail_set(f, EXIT_CODE_INPUT, "'%s' is damaged: two stacks have id %u", s->path,
			duplicate);
	stacks_index_deinit(&index);
	return rc;
}

static int compare_entries(const void *a, const void *b)
{
	uint32_t x = ((const struct stacks_index_entry *)a)->id;
	uint32_t y = ((const struct stacks_index_entry *)b)->id;

	return x < y ? -1 : x > y;
}

/* Sorts the entries of one place; returns whether their ids differ. */
static bool sort_place(struct stacks_index_entry *entries, size_t n, uint32_t *duplicatep)
{
	size_t i;

	if (n > 1)
		qsort(entries, n, sizeof(*entries), compare_entries);
	for (i = 1; i < n; i++)
		if (entries[i - 1].id == entries[i].id) {
			*duplicatep = entries[i].id;
			return false;
		}
	return true;
}

bool stacks_index_init(struct stacks_index *index, const struct snapshot *s, uint32_t *duplicatep)
{
	uint32_t largest = 0;
	bool unique = true;
	size_t i;

	memset(index, 0, sizeof(*index));
	for (i = 0; i < s->n_stacks; i++)
		if (s->stacks[i].id > largest)
			largest = s->stacks[i].id;
	while (largest >> index->shift > 2 * s->n_stacks)
		index->shift++;
	index->n_places = (size_t)(largest >> index->shift) + 1;
	index->first = alloc_array(index->n_places + 2, sizeof(*index->first));
	index->entries = alloc_array(s->n_stacks, sizeof(*index->entries));
	/* Counted two places on, so that after filling each place begins where it should. */
	for (i = 0; i < s->n_stacks; i++)
		index->first[(s->stacks[i].id >> index->shift) + 2]++;
	for (i = 2; i < index->n_places + 2; i++)
		index->first[i] += index->first[i - 1];
	for (i = 0; i < s->n_stacks; i++)
		index->entries[index->first[(s->stacks[i].id >> index->shift) + 1]++] =
			(struct stacks_index_entry){ s->stacks[i].id, (uint32_t)i };
	for (i = 0; i < index->n_places; i++)
		unique &= sort_place(index->entries + index->first[i],
			index->first[i + 1] - index->first[i], duplicatep);
	return unique;
}

void stacks_index_deinit(struct stacks_index *index)
{
	free(index->first);
	free(index->entries);
	memset(index, 0, sizeof(*index));
}

bool stacks_index_find(const struct stacks_index *index, uint32_t id, uint32_t *stackp)
{
	size_t place = id >> index->shift, low, high, end;

	if (place >= index->n_places)
		return false;
	low = index->first[place];
	high = end = index->first[place + 1];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index->entries[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == end || index->entries[low].id != id)
		return false;
	*stackp = index->entries[low].stack;
	return true;
}
