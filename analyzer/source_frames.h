/*
 * source_frames.h - the frames of a profile as the source shows them: named,
 * with inline frames unfolded, and marked where they fold into their caller.
 *
 * Works on whole profiles at once, because names of many addresses cost little
 * more than one (symbols/symbols.h).
 */
#ifndef HEAPSPY_ANALYZER_SOURCE_FRAMES_H
#define HEAPSPY_ANALYZER_SOURCE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/content_index.h"
#include "analyzer/profile.h"
#include "analyzer/symbols/fold.h"
#include "analyzer/symbols/perf_map.h"
#include "analyzer/symbols/symbols.h"

#define SOURCE_FRAMES_NONE    UINT32_MAX
#define SOURCE_FRAMES_UNKNOWN (UINT32_MAX - 1)

/* One code address of the profile; all zero where no wanted stack holds it. */
struct source_address {
	const struct symbol_frame *frames; /* innermost first */
	uint32_t n_frames;                 /* at least 1 */
	/*
	 * Innermost frame that does not fold; SOURCE_FRAMES_NONE: all do. Known from the leaf of
	 * each wanted stack up to its first frame that does not, and where that has no line,
	 * for addresses with lines up to the first of these that does not fold;
	 * SOURCE_FRAMES_UNKNOWN beyond.
	 */
	uint32_t first_shown;
	uint32_t module; /* index into profile.modules, or PROFILE_NO_MODULE */
	/*
	 * The only frame of an address outside all modules; of others, where function is not
	 * NULL, the first that is shown, by the name of what it calls (fold_callback()).
	 */
	struct symbol_frame plain;
	char plain_name[24];
};

struct source_frames {
	const struct profile *profile;
	struct symbols *symbols;
	bool symbols_are_shared;          /* of the caller, who frees them */
	int *module_handles;              /* by profile module: handle in symbols; -1 not asked */
	struct source_address *addresses; /* by profile frame */
	struct fold *fold;
	char **callbacks; /* names of fold_callback() */
	size_t n_callbacks, callback_capacity;
	bool fold_by_offset; /* a pattern of the user's may match "module+0xoffset" */
	/* By moment; opened when an address lies in no module. NULL: there is none. */
	struct perf_map **perf_maps;
	size_t n_perf_maps; /* 0 until then */
};

/*
 * Whether missing debug files may be fetched by debuginfod from now on, which DEBUGINFOD_URLS
 * asks for; they may at first. For --debuginfod=off.
 */
void source_frames_allow_debuginfod(bool allowed);

/*
 * Names the frames of the stacks that are set in wanted (by stack index). hide is that of
 * fold_new(). Names are remembered in the user's cache (symbols/cache_dir.h), and a line of
 * progress is on a terminal's standard error meanwhile. Returns -1 with f filled when hide is no
 * regular expression or out of memory.
 */
int source_frames_init(struct source_frames *sf, const struct profile *p, const char *hide,
	const bool *wanted, struct fail *f);

/*
 * The same with names kept in symbols, which outlive sf: what they know already is not
 * resolved again. Shows no progress but that of symbols.
 */
int source_frames_init_shared(struct source_frames *sf, const struct profile *p, const char *hide,
	const bool *wanted, struct symbols *symbols, struct fail *f);

void source_frames_deinit(struct source_frames *sf);

/* The address of frame i (0 is the leaf) of a wanted stack. */
static inline const struct source_address *source_frames_at(
	const struct source_frames *sf, const struct profile_stack *stack, uint32_t i)
{
	return &sf->addresses[sf->profile->stack_frames[stack->first_frame + i]];
}

/*
 * The frame that names a wanted stack: the innermost that does not fold, else the outermost.
 * NULL: the stack has no frames. *positionp is the frame of the stack it is in.
 */
const struct symbol_frame *source_frames_naming(
	const struct source_frames *sf, const struct profile_stack *stack, uint32_t *positionp);

/*
 * For a wanted stack whose naming frame has no line: the nearest frame outward that has one and
 * does not fold. NULL: there is none but the start of a thread or of the program.
 */
const struct symbol_frame *source_frames_caller(
	const struct source_frames *sf, const struct profile_stack *stack);

/* Path of a module, "" without one. */
const char *source_frames_module_path(const struct source_frames *sf, uint32_t module);

/* Part of a path behind the last '/'. */
const char *source_frames_base_name(const char *path);

#endif
