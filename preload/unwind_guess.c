/*
 * unwind_guess.c - frame pointers, and what makes a return address plausible.
 *
 * Whether memory outside all objects is executable only /proc/self/maps could
 * tell, which a hook cannot read; so the regions of generated code are learned
 * from frames that are certain. Of what is not known yet the rest of the chain
 * must speak.
 */
#include <stddef.h>
#include "preload/atomics.h"
#include "preload/cfi_objects.h"
#include "preload/compiler.h"
#include "preload/unwind_guess.h"

#define FRAME_BYTES_MAX   (1u << 20)
#define REGION_BYTES      (1u << 30)
/* Closer than this to a known pc teaches nothing new. */
#define REGION_NEAR_BYTES (64u << 20)
#define N_REGIONS         8
/* So many frames out there may follow each other before one of an object. */
#define LEAD_FRAMES_MAX   32

/*
 * Some pcs outside all objects; 0: none yet. Relaxed everywhere: each word
 * stands for itself, and an old value is one more correct one.
 */
static uintptr_t regions[N_REGIONS];
static uint32_t region_next;

static uintptr_t distance(uintptr_t a, uintptr_t b)
{
	return a > b ? a - b : b - a;
}

static bool near_region(uintptr_t pc, uintptr_t bytes)
{
	for (unsigned i = 0; i < N_REGIONS; i++) {
		uintptr_t known = hs_load_relaxed(&regions[i]);

		if (known && distance(pc, known) < bytes)
			return true;
	}
	return false;
}

HS_COLD void unwind_guess_learn(uintptr_t pc)
{
	if (!near_region(pc, REGION_NEAR_BYTES))
		hs_store_relaxed(&regions[hs_add_relaxed(&region_next, 1) % N_REGIONS], pc);
}

/* Is that where a frame pointer that was at `from` may be in the caller? */
static bool is_above(uintptr_t bp, uintptr_t from)
{
	return bp % 8 == 0 && bp >= from && bp - from < FRAME_BYTES_MAX;
}

/*
 * Does the chain of frame pointers lead from code outside all objects, of which
 * nothing is known yet, back to a call in one? sp, bp: of the frame out there.
 */
static HS_COLD bool leads_back(struct stack_range *range, uintptr_t sp, uintptr_t bp)
{
	for (unsigned i = 0; i < LEAD_FRAMES_MAX && is_above(bp, sp); i++) {
		uint64_t next_bp, next;
		bool in_object;

		if (!stack_range_load(range, bp, &next_bp) ||
			!stack_range_load(range, bp + 8, &next) || next < UNWIND_PC_MIN ||
			next >= UNWIND_PC_MAX)
			return false;
		if (cfi_objects_after_call(next, &in_object))
			return true;
		if (in_object)
			return false;
		sp = bp + 16;
		bp = next_bp;
	}
	return false;
}

static bool plausible(struct stack_range *range, enum guess_trust trust, uintptr_t pc,
	uintptr_t next, uintptr_t next_sp, uintptr_t next_bp)
{
	bool in_object;

	if (next == 0)
		return true;
	if (next < UNWIND_PC_MIN || next >= UNWIND_PC_MAX)
		return false;
	if (trust == GUESS_PLAIN || cfi_objects_after_call(next, &in_object))
		return true;
	if (in_object)
		return false;
	return (trust == GUESS_OUTSIDE && distance(pc, next) < REGION_BYTES) ||
	       near_region(next, REGION_BYTES) || leads_back(range, next_sp, next_bp);
}

bool unwind_guess_caller(struct stack_range *range, enum guess_trust trust, uintptr_t *pcp,
	uintptr_t *spp, uintptr_t *bpp)
{
	uintptr_t bp = *bpp;
	uint64_t next_pc, next_bp;

	if (!is_above(bp, *spp))
		return false;
	if (!stack_range_load(range, bp, &next_bp) || !stack_range_load(range, bp + 8, &next_pc))
		return false;
	if (!plausible(range, trust, *pcp, next_pc, bp + 16, next_bp))
		return false;
	*pcp = next_pc;
	*spp = bp + 16;
	*bpp = next_bp;
	return true;
}
