/*
 * unwind.h - the stack of the calling thread, as frame words leaf first.
 *
 * Made for the inside of somebody else's malloc: allocates nothing, takes no
 * lock, leaves errno alone, uses no floating point, and needs less than 1 KiB of
 * stack. Reads only the stack it walks (stack_range.h) and frame information of
 * loaded objects; system calls only to ask whether a page is readable.
 *
 * A frame word (HEAPSPY_FRAME_ of snapshot.h) holds a pc, the serial of its
 * module (0: code outside all modules) and whether the pc is exact: the
 * interrupted instruction below a signal frame. Any other pc is a return
 * address, whose call is at pc - 1.
 */
#ifndef HEAPSPY_UNWIND_H
#define HEAPSPY_UNWIND_H

#include <stdbool.h>
#include <stdint.h>
#include "preload/cfi_expr.h"
#include "preload/cfi_interp.h"
#include "preload/stack_range.h"

#define UNWIND_DEPTH_MAX     256
#define UNWIND_DEPTH_DEFAULT 128

enum unwind_mode {
	UNWIND_OFF, /* before unwind_init(): every stack is empty */
	UNWIND_CFI,
	UNWIND_FP,        /* by frame pointers alone, from the first frame on */
	UNWIND_LIBUNWIND, /* by libunwind, once unwind_reference_load() has had it */
	UNWIND_COMPARE,   /* as UNWIND_CFI, and each stack compared with libunwind's and libgcc's */
};

/* Space for one walk at the limit, and beside it some of the stack before. */
#define UNWIND_SLOTS (UNWIND_DEPTH_MAX + 8)

/* What a walk knew at a frame. Bytes are counted down from the stack's upper end. */
struct unwind_state {
	uint32_t sp_below;
	uint32_t bp_below; /* where the caller's rbp is saved; 0: not saved, it is the same;
			      UNWIND_STEP_ANEW: getting to the caller takes more than that */
	uint64_t bp;
};

#define UNWIND_STEP_ANEW UINT32_MAX

/*
 * One thread's work area; the caller's memory, not on a stack. All zero is a
 * valid state, and what a thread's area must be at its first use. Not to be
 * used by two walks at a time: the caller keeps signal handlers out.
 *
 * The stack of the walk before is slots [last_lo, last_hi), leaf first, when
 * last_valid. A walk writes from slot 0 up and meets it on the way: then the
 * rest is checked instead of walked, and the new part is moved in front.
 */
struct unwind_scratch {
	const uint64_t *frames; /* result: frame words, valid until the next walk */
	struct stack_known stack;
	uintptr_t last_top;
	uint32_t last_generation;
	uint16_t last_lo, last_hi;
	bool last_valid;
	bool last_ended;                     /* its last frame was an outermost one */
	uint64_t registers[CFI_N_REGISTERS]; /* at the start; the slow walk's present ones */
	uint64_t expression_stack[CFI_EXPR_STACK];
	struct cfi_work work;
	uint64_t words[UNWIND_SLOTS];
	struct unwind_state states[UNWIND_SLOTS];
};

_Static_assert(sizeof(struct unwind_scratch) <= 8192, "budget of a thread's work area");

/*
 * Prepares walks. Once, from a constructor, on the program's main thread, and
 * before any hook may sample; takes the dynamic linker's lock for a moment.
 */
void unwind_init(enum unwind_mode mode);

/*
 * False with glibc before 2.35, where only libheapspy.so's own frames have
 * rules: UNWIND_CFI then behaves as UNWIND_FP with checks. After unwind_init().
 */
bool unwind_cfi_available(void);

/*
 * Walks the calling thread's stack, starting at the caller of the first
 * function outside libheapspy.so, which is dropped by its address.
 *
 * depth_max: 1..UNWIND_DEPTH_MAX (clamped), frames wanted.
 * *flagsp: HEAPSPY_STACK_CUT when there were more, _TRUNCATED when the end of
 *     the stack was not reached for another reason, _APPROX when frames from
 *     *approx_fromp on rest on frame pointers, _SIGNAL, _FOREIGN.
 * *approx_fromp: index of the first such frame, 0 without _APPROX.
 * Returns the number of frames, 0 when not even the caller could be found;
 * they are in scratch->frames.
 *
 * Signal-safe but for the scratch's rule. Also right with any stack of the
 * program: small threads, sigaltstack, coroutines.
 */
unsigned unwind_capture(struct unwind_scratch *scratch, unsigned depth_max, uint32_t *flagsp,
	unsigned *approx_fromp);

/*
 * The same by interpreting frame information at each step, without cache and
 * memory: what unwind_capture() must equal. For tests.
 */
unsigned unwind_capture_slow(struct unwind_scratch *scratch, unsigned depth_max, uint32_t *flagsp,
	unsigned *approx_fromp);

/*
 * What these two are made of: a walk from scratch->registers, which it may
 * change, by UNWIND_CFI or UNWIND_FP; slow: as unwind_capture_slow(). The function
 * that the registers are of must be running. Nothing else of heapspy needs it
 * but unwind_reference.c, which walks one stack in each way.
 */
unsigned unwind_walk(struct unwind_scratch *scratch, enum unwind_mode how, bool slow,
	unsigned depth_max, uint32_t *flagsp, unsigned *approx_fromp);

#endif
