/*
 * state_copy.c - owns the order in which a changing state is copied, and the
 * checks that make the copy safe to read. Nothing of the state is trusted: it
 * lies in memory that a faulty program can write to.
 */
#include "analyzer/target/state_copy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/clock.h"
#include "analyzer/target/proc.h"
#include "preload/state/pending.h"

#define SETTLE_TRIES 8
#define PIECE_BYTES  (64u << 10)

static void drop(struct state_copy *copy)
{
	if (copy->state)
		munmap(copy->state, copy->capacity);
}

void state_copy_deinit(struct state_copy *copy)
{
	drop(copy);
	memset(copy, 0, sizeof(*copy));
}

static bool read_into(
	struct state_copy *copy, const struct state_source *source, uint64_t from, uint64_t to)
{
	return from >= to || state_source_read(source, from, (char *)copy->state + from, to - from);
}

/* Makes the copy as large as the header says that the state is, if there is that much. */
static bool make_room(struct state_copy *copy, const struct state_source *source,
	const struct state_header *header)
{
	if (header->committed_bytes > copy->capacity) {
		if (!state_source_holds(source, header->committed_bytes))
			return false;
		/* Aligned as a state is; and zero pages cost nothing until they are read into. */
		void *larger = mmap(NULL, header->committed_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (larger == MAP_FAILED)
			return false;
		if (copy->state)
			memcpy(larger, copy->state, copy->capacity);
		drop(copy);
		copy->state = larger;
		copy->capacity = header->committed_bytes;
	}
	return true;
}

/* Drops the tables that do not lie inside [header, limit) or have no known kind. */
static void check_chunks(struct state_header *h, uint64_t limit)
{
	uint32_t i;

	if (h->n_chunks > STATE_CHUNKS_MAX)
		h->n_chunks = STATE_CHUNKS_MAX;
	for (i = 0; i < h->n_chunks; i++) {
		struct state_chunk *c = &h->chunk[i];

		if (c->kind > STATE_CHUNK_TICKS || c->offset < h->header_bytes ||
			c->offset > limit || c->bytes > limit - c->offset || c->offset % 8)
			c->kind = 0;
	}
}

static uint64_t end_of(const struct state_header *h)
{
	return h->used_bytes < h->committed_bytes ? h->used_bytes : h->committed_bytes;
}

/* Reads a slot that was caught changing until two readings are the same; else empties it. */
static void settle_slot(const struct state_source *source, uint64_t bucket_offset, unsigned i,
	struct state_live_bucket *bucket)
{
	struct state_live_bucket before = *bucket, after;
	unsigned tries;

	for (tries = 0; tries < SETTLE_TRIES; tries++) {
		if (!state_source_read(source, bucket_offset, &after, sizeof(after)))
			break;
		if (before.key[i] == after.key[i] &&
			!memcmp(&before.value[i], &after.value[i], sizeof(after.value[i]))) {
			bucket->key[i] = after.key[i];
			bucket->value[i] = after.value[i];
			return;
		}
		before = after;
	}
	bucket->key[i] = 0;
}

/* A segment of the live table, each slot of it as it was at one moment. */
static bool copy_segment(
	struct state_copy *copy, const struct state_source *source, const struct state_chunk *chunk)
{
	static struct state_live_bucket again[PIECE_BYTES / sizeof(struct state_live_bucket)];
	const struct state_live_segment *s;
	uint64_t n_buckets, first, at, n;
	struct state_live_bucket *buckets;

	if (chunk->bytes < sizeof(*s) ||
		!read_into(copy, source, chunk->offset, chunk->offset + chunk->bytes))
		return false;
	s = (const void *)((const char *)copy->state + chunk->offset);
	first = chunk->offset + s->buckets;
	if (s->buckets > chunk->bytes || s->buckets % 8 ||
		s->n_buckets > (chunk->bytes - s->buckets) / sizeof(*buckets))
		return true; /* readers pass it over */
	n_buckets = s->n_buckets;
	buckets = (void *)((char *)copy->state + first);
	for (at = 0; at < n_buckets; at += n) {
		uint64_t b;
		unsigned i;

		n = n_buckets - at;
		if (n > sizeof(again) / sizeof(again[0]))
			n = sizeof(again) / sizeof(again[0]);
		if (!state_source_read(
			    source, first + at * sizeof(*buckets), again, n * sizeof(*buckets)))
			return false;
		if (!memcmp(again, buckets + at, n * sizeof(*buckets)))
			continue;
		for (b = 0; b < n; b++)
			for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
				const struct state_live_bucket *was = &buckets[at + b];

				if (was->key[i] != again[b].key[i] ||
					memcmp(&was->value[i], &again[b].value[i],
						sizeof(was->value[i])))
					settle_slot(source, first + (at + b) * sizeof(*buckets), i,
						&buckets[at + b]);
			}
	}
	return true;
}

static bool copy_kind(
	struct state_copy *copy, const struct state_source *source, enum state_chunk_kind kind)
{
	const struct state_header *h = copy->state;
	uint32_t i;

	for (i = 0; i < h->n_chunks; i++) {
		const struct state_chunk *c = &h->chunk[i];

		if (c->kind == kind &&
			!(kind == STATE_CHUNK_LIVE
					? copy_segment(copy, source, c)
					: read_into(copy, source, c->offset, c->offset + c->bytes)))
			return false;
	}
	return true;
}

/* What the live samples name, all but the live table itself; from..to in pieces around it. */
static bool copy_rest(
	struct state_copy *copy, const struct state_source *source, uint64_t from, uint64_t to)
{
	const struct state_header *h = copy->state;

	while (from < to) {
		uint64_t end = to, behind = to;
		uint32_t i;

		for (i = 0; i < h->n_chunks; i++) {
			const struct state_chunk *c = &h->chunk[i];

			if (c->kind != STATE_CHUNK_LIVE || c->offset + c->bytes <= from ||
				c->offset >= end)
				continue;
			end = c->offset > from ? c->offset : from;
			behind = c->offset + c->bytes;
		}
		if (!read_into(copy, source, from, end))
			return false;
		from = behind;
	}
	return true;
}

/*
 * A thread through which the memory of the process is read; 0, which is none, where that may be
 * somebody else's: the number has passed on, or was put into a state by another user.
 */
static uint32_t tid_behind(const struct state_source *source, const struct state_header *header)
{
	if (source->is_gone || !proc_is_alive(source->pid, header->start_ticks) ||
		(source->uid != geteuid() && proc_uid(source->pid) != source->uid))
		return 0;
	return proc_living_thread(source->pid);
}

/* Header, and what threads hold back: everything that bytes_seen needs. */
static bool copy_totals(struct state_copy *copy, const struct state_source *source, unsigned which,
	uint64_t *bytes_seenp)
{
	struct state_header header;
	uint64_t pending_bytes = 0;
	uint32_t i, in_use = 0;
	bool whole;

	if (!state_source_read(source, 0, &header, sizeof(header)) ||
		!state_source_check(&header) || !make_room(copy, source, &header))
		return false;
	memcpy(copy->state, &header, sizeof(header));
	check_chunks(copy->state, end_of(&header));
	if (!copy_kind(copy, source, STATE_CHUNK_THREADS))
		return false;
	whole = pending_sum(copy->state, tid_behind(source, &header), &pending_bytes);
	if (!whole && header.exit_ns) {
		/* The thread that left has handed in its own; what others hold is lost. */
		for (i = 0; i < copy->state->n_chunks; i++) {
			const struct state_chunk *c = &copy->state->chunk[i];
			const struct state_thread *t;
			uint64_t k;

			if (c->kind != STATE_CHUNK_THREADS)
				continue; /* and may say that it is anywhere */
			t = (const void *)((const char *)copy->state + c->offset);
			for (k = 0; k < c->bytes / sizeof(*t); k++)
				in_use += t[k].countdown != 0;
		}
		whole = in_use == 0;
		pending_bytes = 0;
	}
	*bytes_seenp = header.bytes_seen + pending_bytes;
	copy->bytes_seen_is_lower[which] = !whole;
	return true;
}

/* Live tables that were not there when the live samples were copied are younger than the copy. */
static void drop_younger(struct state_header *h, const struct state_header *first)
{
	uint32_t i;

	for (i = 0; i < h->n_chunks; i++)
		if (h->chunk[i].kind == STATE_CHUNK_LIVE &&
			(i >= first->n_chunks || first->chunk[i].kind != STATE_CHUNK_LIVE))
			h->chunk[i].kind = 0;
}

bool state_copy_take(struct state_copy *copy, const struct state_source *source)
{
	struct state_header first;
	uint64_t end, last_end;

	copy->n_told = 0;
	copy->begin_ns = clock_ns(CLOCK_MONOTONIC);
	if (!copy_totals(copy, source, 0, &copy->bytes_seen[0]))
		return false;
	first = *copy->state;
	end = end_of(&first);
	if (!copy_kind(copy, source, STATE_CHUNK_LIVE) ||
		!copy_rest(copy, source, first.header_bytes, end) ||
		!copy_totals(copy, source, 1, &copy->bytes_seen[1]))
		return false;
	drop_younger(copy->state, &first);
	/* What records named that were still to come. */
	last_end = end_of(copy->state);
	return copy_rest(copy, source, end, last_end);
}

bool state_copy_bytes_seen(const struct state_header *state, void *context, uint64_t *bytes_seenp)
{
	struct state_copy *copy = context;
	unsigned which = copy->n_told++ ? 1 : 0;

	*bytes_seenp = copy->bytes_seen[which];
	return !copy->bytes_seen_is_lower[which];
}
