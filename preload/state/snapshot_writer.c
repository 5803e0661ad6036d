/*
 * snapshot_writer.c - owns the way from the state to format 1 (snapshot.h). One
 * pass in the order LIVE, STACKS, MODULES, THREADS, TICKS, STRINGS, INFO: each
 * section names only things that were published before, so the ones read later
 * hold whatever the earlier ones mention.
 *
 * The state may change under the reading, and may be damaged: lengths are taken
 * once and checked against the committed size.
 */
#include <string.h>
#include "preload/atomics.h"
#include "preload/state/snapshot_info.h"
#include "preload/state/snapshot_writer.h"
#include "preload/state/state_map.h"
#include "sample_age.h"

#define FRAMES_MAX       256
#define EXTRAS_MAX       64
#define LIVE_BUCKETS_MAX (1ull << 28)
#define PATH_MAX_BYTES   4096
#define NAMES_MAX        4096

/* Sums over the extras of one stack. */
struct stack_sums {
	struct {
		uint64_t n, B, C;
	} died[HEAPSPY_LIFETIME_BUCKETS];
	uint64_t n, S, B, V, C; /* thinned */
};

/* Too large for the stacks this may run on: it lies at the start of the sink's buffer. */
struct output {
	const struct state_header *state;
	const struct snapshot_facts *facts;
	struct snapshot_output file;
	uint64_t committed;     /* of the state, at the start */
	uint64_t strings_bytes; /* handed out so far by string_offset() */
	struct heapspy_info info;
	struct stack_sums sums;
	struct snapshot_sink sink; /* what is left of the buffer */
};

/* Whether [offset, offset + bytes) lies inside the committed state. */
static bool inside(const struct output *out, uint64_t offset, uint64_t bytes)
{
	return offset >= sizeof(struct state_header) && offset <= out->committed &&
	       bytes <= out->committed - offset && offset % 8 == 0;
}

/* The next younger chunk of a kind from directory entry *ip on; false at the end. */
static bool next_chunk(const struct output *out, enum state_chunk_kind kind, uint32_t *ip,
	struct state_chunk *chunk)
{
	uint32_t n = state_n_chunks(out->state);

	while (*ip < n) {
		const struct state_chunk *c = &out->state->chunk[(*ip)++];

		if (hs_load_acquire(&c->kind) != kind)
			continue;
		chunk->offset = hs_load_relaxed(&c->offset);
		chunk->bytes = hs_load_relaxed(&c->bytes);
		if (inside(out, chunk->offset, chunk->bytes))
			return true;
	}
	return false;
}

/*
 * Copies a live sample; false when the slot is empty or changes under the
 * reading. Key and birth are read on both sides of the rest: a slot that was
 * emptied and refilled meanwhile, by the same address even, has another birth.
 */
static bool read_sample(
	const struct state_live_bucket *bucket, unsigned i, struct heapspy_sample *sample)
{
	const struct state_live_value *v = &bucket->value[i];
	uint64_t key = hs_load_acquire(&bucket->key[i]);

	if (!key || key & (STATE_KEY_RESERVED | STATE_KEY_DEAD))
		return false;
	sample->address = STATE_KEY_ADDRESS(key);
	sample->birth_level = hs_load_acquire(&v->birth_level);
	sample->size_thread = hs_load_acquire(&v->size_thread);
	sample->stack = hs_load_acquire(&v->stack);
	sample->u = hs_load_acquire(&v->u);
	/* Another sample's word, if one was read, came after its key was reserved. */
	key = hs_load_acquire(&bucket->key[i]);
	return STATE_KEY_ADDRESS(key) == sample->address && !(key & STATE_KEY_RESERVED) &&
	       hs_load_relaxed(&v->birth_level) == sample->birth_level;
}

static const struct state_stack *stack_at(const struct output *out, uint32_t id)
{
	uint64_t offset = (uint64_t)id * STATE_ALIGN;
	const struct state_stack *s = state_at(out->state, offset);

	if (!inside(out, offset, sizeof(*s)) || s->n_frames > FRAMES_MAX ||
		!inside(out, offset, sizeof(*s) + s->n_frames * sizeof(uint64_t)))
		return NULL;
	return s;
}

static void write_live(struct output *out)
{
	uint64_t cut = out->info.cut_ns;
	struct state_chunk c;
	uint32_t at = 0;

	snapshot_output_begin(&out->file, HEAPSPY_SECTION_LIVE);
	while (next_chunk(out, STATE_CHUNK_LIVE, &at, &c)) {
		const struct state_live_segment *s = state_at(out->state, c.offset);
		uint64_t n = s->n_buckets, b, buckets = s->buckets;
		unsigned i;

		if (n > LIVE_BUCKETS_MAX || buckets > c.bytes || buckets % 8 ||
			n * sizeof(struct state_live_bucket) > c.bytes - buckets)
			continue;
		for (b = 0; b < n && out->file.ok; b++) {
			const struct state_live_bucket *bucket = state_at(out->state,
				c.offset + buckets + b * sizeof(struct state_live_bucket));

			for (i = 0; i < STATE_BUCKET_SLOTS; i++) {
				struct heapspy_sample sample;

				if ((read_sample(bucket, i, &sample) ||
					    read_sample(bucket, i, &sample)) &&
					sample_age_ns(sample.birth_level, cut) != UINT64_MAX &&
					stack_at(out, sample.stack))
					snapshot_output_put(&out->file, &sample, sizeof(sample));
			}
		}
	}
	snapshot_output_end(&out->file);
}

static void write_frames(struct output *out, const struct state_stack *s, uint32_t n)
{
	uint64_t pc = 0, tag = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint64_t frame = s->frame[i], new_pc = HEAPSPY_FRAME_PC(frame);
		uint64_t new_tag = (uint64_t)HEAPSPY_FRAME_MODULE(frame) << 1 |
				   !!(frame & HEAPSPY_FRAME_EXACT);

		snapshot_output_varint(
			&out->file, codec_zigzag((int64_t)(new_pc - pc)) << 1 | (new_tag != tag));
		if (new_tag != tag)
			snapshot_output_varint(&out->file, new_tag);
		pc = new_pc;
		tag = new_tag;
	}
}

/* Adds up the extras of a stack; there may be several of a group. */
static void read_extras(
	const struct output *out, const struct state_stack *s, struct stack_sums *sums)
{
	uint32_t id = hs_load_acquire(&s->extras), steps, i;

	for (steps = 0; id && steps < EXTRAS_MAX; steps++) {
		const struct state_extra *e = state_at(out->state, (uint64_t)id * STATE_ALIGN);
		uint32_t group;

		if (!inside(out, (uint64_t)id * STATE_ALIGN, sizeof(*e)))
			return;
		group = hs_load_relaxed(&e->group);
		for (i = 0; group < STATE_EXTRA_THINNED && i < STATE_EXTRA_BUCKETS; i++) {
			uint32_t bucket = group * STATE_EXTRA_BUCKETS + i;

			sums->died[bucket].n += hs_load_relaxed(&e->died[i].n);
			sums->died[bucket].B += hs_load_relaxed(&e->died[i].B);
			sums->died[bucket].C += hs_load_relaxed(&e->died[i].C);
		}
		if (group == STATE_EXTRA_THINNED) {
			sums->n += hs_load_relaxed(&e->thinned.n);
			sums->S += hs_load_relaxed(&e->thinned.S);
			sums->B += hs_load_relaxed(&e->thinned.B);
			sums->V += hs_load_relaxed(&e->thinned.V);
			sums->C += hs_load_relaxed(&e->thinned.C);
		}
		id = e->next;
	}
}

static void write_counters(struct output *out, const struct state_stack *s)
{
	struct stack_sums *sums = &out->sums;
	uint32_t i, n_deaths = 0;

	memset(sums, 0, sizeof(*sums));
	snapshot_output_varint(&out->file, hs_load_relaxed(&s->n));
	snapshot_output_varint(&out->file, hs_load_relaxed(&s->S));
	snapshot_output_varint(&out->file, hs_load_relaxed(&s->B));
	snapshot_output_varint(&out->file, hs_load_relaxed(&s->V));
	snapshot_output_varint(&out->file, hs_load_relaxed(&s->C));
	read_extras(out, s, sums);
	if (sums->n | sums->S | sums->B | sums->V | sums->C) {
		snapshot_output_varint(&out->file, 1);
		snapshot_output_signed(&out->file, sums->n);
		snapshot_output_signed(&out->file, sums->S);
		snapshot_output_signed(&out->file, sums->B);
		snapshot_output_signed(&out->file, sums->V);
		snapshot_output_signed(&out->file, sums->C);
	} else {
		snapshot_output_varint(&out->file, 0);
	}
	for (i = 0; i < HEAPSPY_LIFETIME_BUCKETS; i++)
		n_deaths += sums->died[i].n != 0;
	snapshot_output_varint(&out->file, n_deaths);
	for (i = 0; i < HEAPSPY_LIFETIME_BUCKETS; i++) {
		if (!sums->died[i].n)
			continue;
		snapshot_output_varint(&out->file, i);
		snapshot_output_varint(&out->file, sums->died[i].n);
		snapshot_output_varint(&out->file, sums->died[i].B);
		snapshot_output_varint(&out->file, sums->died[i].C);
	}
}

static void write_stacks(struct output *out)
{
	struct state_chunk c;
	uint32_t at = 0;

	snapshot_output_begin(&out->file, HEAPSPY_SECTION_STACKS);
	while (next_chunk(out, STATE_CHUNK_INDEX, &at, &c)) {
		const uint64_t *slots = state_at(out->state, c.offset);
		uint64_t n = c.bytes / sizeof(*slots), i;

		for (i = 0; i < n && out->file.ok; i++) {
			uint32_t id = (uint32_t)hs_load_acquire(&slots[i]); /* put_in() */
			const struct state_stack *s = id ? stack_at(out, id) : NULL;
			uint32_t n_frames;

			if (!s)
				continue;
			n_frames = s->n_frames <= FRAMES_MAX ? s->n_frames : 0;
			snapshot_output_varint(&out->file, id);
			snapshot_output_varint(&out->file, s->flags);
			snapshot_output_varint(&out->file, s->approx_from);
			snapshot_output_varint(&out->file, n_frames);
			write_frames(out, s, n_frames);
			write_counters(out, s);
		}
	}
	snapshot_output_end(&out->file);
}

/* Length of a string inside the state, bounded. */
static size_t bounded_length(const struct output *out, uint64_t offset)
{
	uint64_t room = offset < out->committed ? out->committed - offset : 0;

	return strnlen(state_at(out->state, offset), room < PATH_MAX_BYTES ? room : PATH_MAX_BYTES);
}

/* Hands out the place that a string of length bytes will have in STRINGS. */
static uint32_t string_offset(struct output *out, size_t length)
{
	uint64_t offset = out->strings_bytes;

	if (!length)
		return 0;
	out->strings_bytes += length + 1;
	return (uint32_t)offset;
}

static void put_string(struct output *out, const char *s, size_t length)
{
	if (!length)
		return;
	snapshot_output_put(&out->file, s, length);
	snapshot_output_put(&out->file, "", 1);
}

/* The strings of INFO, in the order of their offsets. */
static const char *info_string(const struct output *out, unsigned i, size_t *lengthp)
{
	const struct state_header *s = out->state;
	const struct {
		const char *text;
		size_t bytes;
	} strings[] = {
		{ s->comm, sizeof(s->comm) },
		{ s->exe, sizeof(s->exe) },
		{ s->host, sizeof(s->host) },
		{ s->front_malloc, sizeof(s->front_malloc) },
		{ s->next_malloc, sizeof(s->next_malloc) },
		{ out->facts->label ? out->facts->label : "", SNAPSHOT_LABEL_BYTES },
	};

	if (i >= sizeof(strings) / sizeof(strings[0]))
		return NULL;
	*lengthp = strnlen(strings[i].text, strings[i].bytes - 1);
	return strings[i].text;
}

static const struct state_module *module_at(const struct output *out, uint32_t index)
{
	const struct state_module *m = state_map_entry(
		out->state, STATE_CHUNK_MODULES, index, sizeof(struct state_module));

	if (!m ||
		!inside(out, (uint64_t)((const char *)m - (const char *)out->state), sizeof(*m)) ||
		!(hs_load_acquire(&m->flags) & STATE_MODULE_READY)) /* modules_serial() */
		return NULL;
	return m;
}

static void write_modules(struct output *out, uint32_t n)
{
	uint32_t i;

	snapshot_output_begin(&out->file, HEAPSPY_SECTION_MODULES);
	for (i = 0; i < n; i++) {
		const struct state_module *m = module_at(out, i);
		struct heapspy_module module = { .serial = i + 1 };

		if (!m)
			continue;
		if (m->path_offset)
			module.path = string_offset(out, bounded_length(out, m->path_offset));
		module.start_address = m->start_address;
		module.end_address = m->end_address;
		module.load_bias = m->load_bias;
		module.flags = m->flags & STATE_MODULE_MAIN ? HEAPSPY_MODULE_MAIN : 0;
		if (m->build_id_bytes <= sizeof(module.build_id)) {
			module.build_id_bytes = m->build_id_bytes;
			memcpy(module.build_id, m->build_id, m->build_id_bytes);
		}
		snapshot_output_put(&out->file, &module, sizeof(module));
	}
	snapshot_output_end(&out->file);
}

static const char *name_at(const struct output *out, uint32_t index)
{
	const char *name = state_map_entry(out->state, STATE_CHUNK_NAMES, index, STATE_NAME_BYTES);

	if (!name || !inside(out, (uint64_t)(name - (const char *)out->state), STATE_NAME_BYTES))
		return NULL;
	return name;
}

/* Names have a place of fixed length: one may still be growing as we look. */
static void write_threads(struct output *out, uint32_t n)
{
	uint32_t i, offset = 0;

	snapshot_output_begin(&out->file, HEAPSPY_SECTION_THREADS);
	for (i = 0; i < n; i++) {
		if (i)
			offset = string_offset(out, STATE_NAME_BYTES);
		snapshot_output_put(&out->file, &offset, sizeof(offset));
	}
	snapshot_output_end(&out->file);
}

/* False: it is being written. */
static bool read_tick(const struct heapspy_tick *from, struct heapspy_tick *tick)
{
	tick->time_ns = hs_load_acquire(&from->time_ns);
	tick->bytes_seen = hs_load_acquire(&from->bytes_seen);
	tick->live_samples = hs_load_acquire(&from->live_samples);
	return hs_load_relaxed(&from->time_ns) == tick->time_ns;
}

static void write_ticks(struct output *out)
{
	struct state_chunk c;
	uint32_t at = 0;

	snapshot_output_begin(&out->file, HEAPSPY_SECTION_TICKS);
	if (next_chunk(out, STATE_CHUNK_TICKS, &at, &c) && c.bytes >= sizeof(struct heapspy_tick)) {
		const struct heapspy_tick *ring = state_at(out->state, c.offset);
		uint64_t n = c.bytes / sizeof(*ring), i, last_ns = 0;
		uint64_t first = hs_load_relaxed(&out->state->tick_second) + 1;

		for (i = 0; i < n; i++) {
			struct heapspy_tick tick;

			/* Only what goes forward: the ring may be turning under us. */
			if (!read_tick(&ring[(first + i) % n], &tick) || tick.time_ns <= last_ns ||
				tick.time_ns > out->info.cut_ns)
				continue;
			last_ns = tick.time_ns;
			snapshot_output_put(&out->file, &tick, sizeof(tick));
		}
	}
	snapshot_output_end(&out->file);
}

static void write_strings(struct output *out, uint32_t n_modules, uint32_t n_names)
{
	const char *s;
	size_t length;
	uint32_t i;

	snapshot_output_begin(&out->file, HEAPSPY_SECTION_STRINGS);
	snapshot_output_put(&out->file, "", 1);
	for (i = 0; (s = info_string(out, i, &length)); i++)
		put_string(out, s, length);
	for (i = 0; i < n_modules; i++) {
		const struct state_module *m = module_at(out, i);

		if (m && m->path_offset)
			put_string(out, state_at(out->state, m->path_offset),
				bounded_length(out, m->path_offset));
	}
	for (i = 1; i < n_names; i++) {
		char name[STATE_NAME_BYTES] = "";

		s = name_at(out, i);
		if (s)
			memcpy(name, s, sizeof(name));
		put_string(out, name, sizeof(name));
	}
	snapshot_output_end(&out->file);
}

/* Where the strings of INFO will be: the first ones. */
static void place_info_strings(struct output *out)
{
	struct heapspy_info *info = &out->info;
	uint32_t *offsets[] = { &info->comm, &info->exe, &info->host, &info->front_malloc,
		&info->next_malloc, &info->label };
	size_t length;
	unsigned i;

	out->strings_bytes = 1;
	for (i = 0; info_string(out, i, &length); i++)
		*offsets[i] = string_offset(out, length);
}

static void write_info(struct output *out)
{
	snapshot_output_begin(&out->file, HEAPSPY_SECTION_INFO);
	snapshot_output_put(&out->file, &out->info, sizeof(out->info));
	snapshot_output_end(&out->file);
}

static uint32_t at_most(uint32_t n, uint32_t max)
{
	return n < max ? n : max;
}

uint64_t snapshot_bytes_max(const struct state_header *state)
{
	return 4 * hs_load_acquire(&state->committed_bytes) + SNAPSHOT_BUFFER_BYTES;
}

bool snapshot_write(const struct state_header *state, const struct snapshot_facts *facts,
	struct snapshot_sink *sink)
{
	struct output *out = (struct output *)sink->buffer;
	uint32_t n_modules, n_names;

	memset(out, 0, sizeof(*out));
	out->state = state;
	out->facts = facts;
	out->sink = *sink;
	out->sink.buffer += sizeof(*out);
	out->sink.buffer_bytes -= sizeof(*out);
	snapshot_output_init(&out->file, &out->sink);
	out->committed = state_backed_bytes(state);
	if (out->committed > state->max_bytes)
		return false;
	snapshot_info_begin(state, facts, &out->info);
	place_info_strings(out);
	write_live(out);
	/* The state may have grown since: what LIVE names must be found in it. */
	out->committed = state_backed_bytes(state);
	if (out->committed > state->max_bytes)
		return false;
	write_stacks(out);
	n_modules = at_most(hs_load_acquire(&state->n_modules), HEAPSPY_MODULE_SERIAL_MAX);
	n_names = at_most(hs_load_acquire(&state->n_names), NAMES_MAX);
	write_modules(out, n_modules);
	write_threads(out, n_names);
	write_ticks(out);
	write_strings(out, n_modules, n_names);
	snapshot_info_end(state, facts, &out->info);
	write_info(out);
	return snapshot_output_finish(&out->file);
}
