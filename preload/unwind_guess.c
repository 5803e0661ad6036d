/*
 * unwind_guess.c - frame pointers, and what makes a return address plausible.
 *
 * Whether memory outside all objects is executable only /proc/self/maps could
 * tell, which a hook cannot read; so the regions of generated code are learned
 * from frames that are certain.
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

static bool plausible(enum guess_trust trust, uintptr_t pc, uintptr_t next)
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
	       near_region(next, REGION_BYTES);
}

bool unwind_guess_caller(struct stack_range *range, enum guess_trust trust, uintptr_t *pcp,
	uintptr_t *spp, uintptr_t *bpp)
{
	uintptr_t bp = *bpp;
	uint64_t next_pc, next_bp;

	if (bp % 8 != 0 || bp < *spp || bp - *spp >= FRAME_BYTES_MAX)
		return false;
	if (!stack_range_load(range, bp, &next_bp) || !stack_range_load(range, bp + 8, &next_pc))
		return false;
	if (!plausible(trust, *pcp, next_pc))
		return false;
	*pcp = next_pc;
	*spp = bp + 16;
	*bpp = next_bp;
	return true;
}
