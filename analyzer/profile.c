/*
 * profile.c - owns the merging of snapshots into common tables. Names of frames
 * are sites.c's, figures of groups compare.c's and ranking.c's.
 */
#include "analyzer/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alloc.h"
#include "analyzer/read/stacks_reader.h"
#include "sample_math.h"

/* Share of all bytes that the self test of an exact run lets pass. */
#define EXACT_TOLERANCE 1e-3
#define OWN_LIBRARY     "libheapspy.so"
/* In place of a module's index: its frames are left out. */
#define OWN_MODULE      (PROFILE_NO_MODULE - 1)

void profile_init(struct profile *p)
{
	memset(p, 0, sizeof(*p));
	content_index_init(&p->module_index);
	content_index_init(&p->frame_index);
	content_index_init(&p->stack_index);
	content_index_init(&p->thread_index);
	p->threads = alloc_room(NULL, 0, &p->thread_capacity, sizeof(*p->threads));
	p->threads[p->n_threads++] = "";
	content_index_add(&p->thread_index, content_index_hash(&p->thread_index, "", 0), 0);
}

void profile_deinit(struct profile *p)
{
	size_t i;

	for (i = 0; i < p->n_moments; i++) {
		free(p->moments[i].stack_of);
		free(p->moments[i].thread_of);
	}
	free(p->moments);
	free(p->modules);
	free(p->frames);
	free(p->stack_frames);
	free(p->stacks);
	free(p->threads);
	content_index_deinit(&p->module_index);
	content_index_deinit(&p->frame_index);
	content_index_deinit(&p->stack_index);
	content_index_deinit(&p->thread_index);
	memset(p, 0, sizeof(*p));
}

static bool is_own_library(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !strncmp(slash ? slash + 1 : path, OWN_LIBRARY, strlen(OWN_LIBRARY));
}

static uint32_t intern_module(struct profile *p, const struct snapshot *s, size_t index)
{
	const struct heapspy_module *m = &s->modules[index];
	const char *path = snapshot_string(s, m->path);
	struct profile_module *added;
	uint64_t hash, at;
	size_t have;

	if (is_own_library(path))
		return OWN_MODULE;
	hash = content_index_hash(&p->module_index, path, strlen(path));
	for (at = hash; content_index_next(&p->module_index, hash, &at, &have);)
		if (p->modules[have].build_id_bytes == m->build_id_bytes &&
			!memcmp(p->modules[have].build_id, m->build_id, m->build_id_bytes) &&
			!strcmp(p->modules[have].path, path))
			return (uint32_t)have;
	p->modules = alloc_room(p->modules, p->n_modules, &p->module_capacity, sizeof(*p->modules));
	added = &p->modules[p->n_modules];
	added->path = path;
	added->build_id = m->build_id;
	added->build_id_bytes = m->build_id_bytes;
	content_index_add(&p->module_index, hash, p->n_modules);
	return (uint32_t)p->n_modules++;
}

static uint32_t intern_thread(struct profile *p, const char *name)
{
	uint64_t at, hash = content_index_hash(&p->thread_index, name, strlen(name));
	size_t have;

	for (at = hash; content_index_next(&p->thread_index, hash, &at, &have);)
		if (!strcmp(p->threads[have], name))
			return (uint32_t)have;
	p->threads = alloc_room(p->threads, p->n_threads, &p->thread_capacity, sizeof(*p->threads));
	p->threads[p->n_threads] = name;
	content_index_add(&p->thread_index, hash, p->n_threads);
	return (uint32_t)p->n_threads++;
}

static uint32_t intern_frame(struct profile *p, const struct profile_frame *frame)
{
	uint64_t at, hash = content_index_hash(&p->frame_index, frame, sizeof(*frame));
	size_t have;

	for (at = hash; content_index_next(&p->frame_index, hash, &at, &have);)
		if (!memcmp(&p->frames[have], frame, sizeof(*frame)))
			return (uint32_t)have;
	p->frames = alloc_room(p->frames, p->n_frames, &p->frame_capacity, sizeof(*p->frames));
	p->frames[p->n_frames] = *frame;
	content_index_add(&p->frame_index, hash, p->n_frames);
	return (uint32_t)p->n_frames++;
}

/*
 * The stack whose frames are those behind first_frame in p->stack_frames; they are dropped where it
 * is known already.
 */
static uint32_t intern_stack(struct profile *p, size_t first_frame, uint32_t flags)
{
	size_t have, n = p->n_stack_frames - first_frame, bytes = n * sizeof(uint32_t);
	/* No frames at all (an empty table): nothing may be reckoned from a null pointer. */
	const uint32_t *frames = n ? p->stack_frames + first_frame : NULL;
	uint64_t hash = content_index_hash(&p->stack_index, frames, bytes), at;
	struct profile_stack *stack;

	for (at = hash; content_index_next(&p->stack_index, hash, &at, &have);) {
		stack = &p->stacks[have];
		if (stack->n_frames != n ||
			(n && memcmp(p->stack_frames + stack->first_frame, frames, bytes)))
			continue;
		stack->flags |= flags;
		p->n_stack_frames = first_frame;
		return (uint32_t)have;
	}
	p->stacks = alloc_room(p->stacks, p->n_stacks, &p->stack_capacity, sizeof(*p->stacks));
	stack = &p->stacks[p->n_stacks];
	stack->flags = flags;
	stack->n_frames = (uint32_t)n;
	stack->first_frame = first_frame;
	content_index_add(&p->stack_index, hash, p->n_stacks);
	return (uint32_t)p->n_stacks++;
}

static void add_frame(
	struct profile *p, const struct snapshot *s, const uint32_t *module_of, uint64_t packed)
{
	uint64_t pc = HEAPSPY_FRAME_PC(packed);
	uint16_t module = s->module_of_serial[HEAPSPY_FRAME_MODULE(packed)];
	struct profile_frame frame = { .vaddr = pc, .module = PROFILE_NO_MODULE };

	if (module && module_of[module - 1] == OWN_MODULE)
		return;
	/* A return address may be the first byte of the next function: look at the call. */
	if (!(packed & HEAPSPY_FRAME_EXACT) && pc)
		frame.vaddr--;
	if (module) {
		frame.vaddr -= s->modules[module - 1].load_bias;
		frame.module = module_of[module - 1];
	}
	p->stack_frames[p->n_stack_frames++] = intern_frame(p, &frame);
}

static uint32_t add_stack(struct profile *p, const struct snapshot *s, const uint32_t *module_of,
	const struct snapshot_stack *stack)
{
	size_t i, first_frame = p->n_stack_frames;

	while (p->stack_frame_capacity < first_frame + stack->n_frames) {
		p->stack_frame_capacity =
			p->stack_frame_capacity ? 2 * p->stack_frame_capacity : 64;
		p->stack_frames = alloc_resize(
			p->stack_frames, p->stack_frame_capacity, sizeof(*p->stack_frames));
	}
	for (i = 0; i < stack->n_frames; i++)
		add_frame(p, s, module_of, s->frames[stack->first_frame + i]);
	return intern_stack(p, first_frame, stack->flags);
}

/*
 * The last moment of the same process, in which a stack of equal frames is an equal stack: each
 * module that both have is the same one at the same place. NULL: there is none.
 */
static const struct profile_moment *moment_alike(
	struct profile *p, const struct snapshot *s, const uint32_t *module_of)
{
	const struct profile_moment *last = p->n_moments ? &p->moments[p->n_moments - 1] : NULL;
	size_t i;

	if (!last || last->snapshot->info.start_id != s->info.start_id)
		return NULL;
	for (i = 0; i < s->n_modules; i++) {
		uint16_t have = last->snapshot->module_of_serial[s->modules[i].serial];

		if (have && (intern_module(p, last->snapshot, have - 1u) != module_of[i] ||
				    last->snapshot->modules[have - 1].load_bias !=
					    s->modules[i].load_bias))
			return NULL;
	}
	return last;
}

/* Whether both stacks have the same frames as recorded. */
static bool equal_stacks(const struct snapshot *a, const struct snapshot_stack *x,
	const struct snapshot *b, const struct snapshot_stack *y)
{
	return x->n_frames == y->n_frames &&
	       (!x->n_frames || !memcmp(a->frames + x->first_frame, b->frames + y->first_frame,
					x->n_frames * sizeof(*a->frames)));
}

static void add_stacks(struct profile *p, struct profile_moment *moment, const uint32_t *module_of)
{
	const struct snapshot *s = moment->snapshot;
	const struct profile_moment *last = moment_alike(p, s, module_of);
	struct stacks_index index;
	uint32_t have, duplicate;
	size_t i;

	content_index_reserve(&p->stack_index, last ? p->n_stacks : p->n_stacks + s->n_stacks);
	if (last)
		stacks_index_init(&index, last->snapshot, &duplicate);
	for (i = 0; i < s->n_stacks; i++) {
		const struct snapshot_stack *stack = &s->stacks[i];

		if (last && stacks_index_find(&index, stack->id, &have) &&
			equal_stacks(s, stack, last->snapshot, &last->snapshot->stacks[have])) {
			moment->stack_of[i] = last->stack_of[have];
			p->stacks[moment->stack_of[i]].flags |= stack->flags;
		} else {
			moment->stack_of[i] = add_stack(p, s, module_of, stack);
		}
	}
	if (last)
		stacks_index_deinit(&index);
}

unsigned profile_add(struct profile *p, const struct snapshot *s)
{
	uint32_t *module_of = alloc_array(s->n_modules, sizeof(*module_of));
	struct profile_moment *moment;
	size_t i;

	p->moments = alloc_room(p->moments, p->n_moments, &p->moment_capacity, sizeof(*p->moments));
	moment = &p->moments[p->n_moments];
	moment->snapshot = s;
	moment->stack_of = alloc_array(s->n_stacks, sizeof(*moment->stack_of));
	moment->thread_of = alloc_array(s->n_threads, sizeof(*moment->thread_of));
	for (i = 0; i < s->n_modules; i++)
		module_of[i] = intern_module(p, s, i);
	for (i = 0; i < s->n_threads; i++)
		moment->thread_of[i] = intern_thread(p, snapshot_string(s, s->threads[i]));
	add_stacks(p, moment, module_of);
	free(module_of);
	return (unsigned)p->n_moments++;
}

uint64_t profile_interval_bytes(const struct snapshot *s, uint32_t level)
{
	if (s->info.interval_bytes > SAMPLE_INTERVAL_MAX >> level)
		return SAMPLE_INTERVAL_MAX;
	return s->info.interval_bytes << level;
}

struct aggregate profile_allocated(const struct snapshot *s, const struct snapshot_stack *stack)
{
	const struct snapshot_counters *c = &stack->allocated;
	struct aggregate sum = { 0 };

	sum.samples = (double)c->n;
	sum.size_bytes = (double)c->S;
	sum.bytes = (double)c->B;
	sum.variance = ldexp((double)c->V, (int)s->info.variance_unit_log2);
	sum.count = (double)c->C / SAMPLE_COUNT_UNIT;
	return sum;
}

static void unwrap(double *value, double round)
{
	if (*value < -round / 2)
		*value += round;
}

void profile_unwrap(const struct snapshot *s, struct aggregate *difference)
{
	unwrap(&difference->variance, ldexp(1, 64 + (int)s->info.variance_unit_log2));
	unwrap(&difference->count, ldexp(1, 64) / SAMPLE_COUNT_UNIT);
}

struct estimate_sample profile_sample(const struct snapshot *s, const struct heapspy_sample *sample)
{
	return (struct estimate_sample){
		.size_bytes = HEAPSPY_SAMPLE_SIZE(sample),
		.birth_interval_bytes =
			profile_interval_bytes(s, HEAPSPY_SAMPLE_BIRTH_LEVEL(sample)),
		.u = sample->u,
	};
}

bool profile_self_test(const struct snapshot *s, double *estimatep, double *differencep)
{
	struct aggregate sum = { 0 };
	double tolerance;
	size_t i;

	for (i = 0; i < s->n_stacks; i++) {
		struct aggregate one = profile_allocated(s, &s->stacks[i]);

		estimate_add(&sum, &one);
	}
	*estimatep = sum.bytes;
	*differencep = 0;
	/* Samples that were lost are missing, and nobody knows what they stood for. */
	if (sum.bytes < (double)s->info.bytes_seen && !s->info.losses[HEAPSPY_LOSS_STATE_FULL] &&
		!s->info.losses[HEAPSPY_LOSS_NO_SCRATCH])
		*differencep = sum.bytes - (double)s->info.bytes_seen;
	if (sum.bytes > (double)s->info.bytes_seen_end)
		*differencep = sum.bytes - (double)s->info.bytes_seen_end;
	/* Blocks that no mark has met leave no variance behind: beyond 8 R of them one is met. */
	tolerance = 4 * sqrt(sum.variance) + 8 * profile_interval_bytes(s, s->info.level);
	/*
	 * An exact run has no variance, and still need not match to the byte: bytes_seen
	 * counts one for a block of no bytes, and a block that a preempted thread has
	 * counted may not be in the tables yet.
	 */
	if (profile_interval_bytes(s, s->info.level) <= 1)
		tolerance = sum.samples + EXACT_TOLERANCE * (double)s->info.bytes_seen;
	return fabs(*differencep) <= tolerance;
}
