/*
 * profile.h - what one or several snapshots say, in one set of tables.
 *
 * Snapshots number modules and stacks each for itself, and another run maps
 * modules elsewhere. Here a frame is (module, address inside the module), a
 * module is one path with one build id, equal frames are one, and stacks of equal frames are
 * one, so that figures of all snapshots can be put side by side by stack index.
 *
 * Frames of libheapspy.so are left out: who profiles is in every stack and in no answer.
 */
#ifndef HEAPSPY_ANALYZER_PROFILE_H
#define HEAPSPY_ANALYZER_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/content_index.h"
#include "analyzer/read/snapshot_reader.h"
#include "analyzer/stats/estimate.h"

#define PROFILE_NO_MODULE UINT32_MAX
#define PROFILE_NO_THREAD 0 /* name index of samples whose thread is unknown */

struct profile_module {
	const char *path;
	const uint8_t *build_id;
	uint32_t build_id_bytes;
};

struct profile_frame {
	/*
	 * ELF virtual address inside the call or the instruction itself: return
	 * addresses are one less than recorded. A plain pc with PROFILE_NO_MODULE.
	 */
	uint64_t vaddr;
	uint32_t module;
	uint32_t reserved; /* 0, so that frames compare as bytes */
};

struct profile_stack {
	uint32_t flags; /* HEAPSPY_STACK_* of all snapshots together */
	uint32_t n_frames;
	size_t first_frame; /* into profile.stack_frames; leaf first */
};

struct profile_moment {
	const struct snapshot *snapshot;
	uint32_t *stack_of;  /* by stack index of the snapshot: index into profile.stacks */
	uint32_t *thread_of; /* by thread id of the snapshot: index into profile.threads */
};

struct profile {
	struct profile_module *modules;
	size_t n_modules, module_capacity;
	struct profile_frame *frames; /* each once */
	size_t n_frames, frame_capacity;
	uint32_t *stack_frames; /* of one stack after the other: index into frames */
	size_t n_stack_frames, stack_frame_capacity;
	struct profile_stack *stacks;
	size_t n_stacks, stack_capacity;
	const char **threads; /* names; [PROFILE_NO_THREAD] is "" */
	size_t n_threads, thread_capacity;
	struct profile_moment *moments;
	size_t n_moments, moment_capacity;
	struct content_index module_index, frame_index, stack_index, thread_index;
};

void profile_init(struct profile *p);
void profile_deinit(struct profile *p);

/*
 * Adds a snapshot, which must outlive p: paths, build ids and thread names are not copied. Any
 * number of them. Each costs 4 bytes for each of its stacks and thread names, and room for the
 * frames (16 bytes) and stacks (24 bytes, 4 more for each of its frames) that none before had.
 * Of a further snapshot of one process, stacks that the last had too are recognized by id, and
 * cost a comparison; others a look-up for each frame.
 * Returns the index of its moment; a pointer to a moment holds until the next call.
 */
unsigned profile_add(struct profile *p, const struct snapshot *s);

/* Frame i (0 is the leaf) of a stack of p. */
static inline const struct profile_frame *profile_frame(
	const struct profile *p, const struct profile_stack *stack, uint32_t i)
{
	return &p->frames[p->stack_frames[stack->first_frame + i]];
}

/* Mean sampling interval in force at the cut, or of the level asked for, in bytes. */
uint64_t profile_interval_bytes(const struct snapshot *s, uint32_t level);

/* Cumulative allocations of a snapshot's stack as an aggregate, at the weights of their time. */
struct aggregate profile_allocated(const struct snapshot *s, const struct snapshot_stack *stack);

/*
 * A difference of two such aggregates, of the same stack at a later and an earlier cut s: the sums
 * of variances and of counts have 64 bits and go round, after years of 10 GB/s at one stack. Puts
 * right what the difference shows of that. (An aggregate itself is not put right: its variance
 * matters no more then.)
 */
void profile_unwrap(const struct snapshot *s, struct aggregate *difference);

/* A live sample in the terms of estimate_add_sample(). */
struct estimate_sample profile_sample(
	const struct snapshot *s, const struct heapspy_sample *sample);

/*
 * The self test of a snapshot: |sum of B over all stacks - bytes_seen| within
 * four standard errors and 8 R (docs/sampling.md), nearly equal in an exact run. Where samples
 * were lost, only above. *estimatep and *differencep (bytes, signed, 0 inside [bytes_seen,
 * bytes_seen_end]) may be printed with a failure.
 */
bool profile_self_test(const struct snapshot *s, double *estimatep, double *differencep);

#endif
