/*
 * unwind.c - the walk: rows from the cache, and the stack of the walk before.
 *
 * Owns the steps by row, the reuse and the dropping of own frames. A frame of
 * rare shape makes it start again in unwind_slow.c.
 */
#include <string.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/compiler.h"
#include "preload/unwind.h"
#include "preload/unwind_guess.h"
#include "preload/unwind_reference.h"
#include "preload/unwind_registers.h"
#include "preload/unwind_slow.h"

#define OWN_FRAMES_MAX 32
/* A step whose effect two loads cannot check. */
#define NO_BP_SLOT     UINTPTR_MAX

#define WORD_MODULE_MASK ((uint64_t)HEAPSPY_MODULE_SERIAL_MAX << 48)

/* How our own walk goes: OFF, CFI, FP. Written by unwind_init() before the first one. */
static enum unwind_mode mode;

/* Where a walk is. */
struct position {
	uintptr_t pc, sp, bp;
	uint64_t exact; /* HEAPSPY_FRAME_EXACT or 0 */
};

enum step {
	STEP_DONE,
	STEP_END,   /* no caller: the stack is complete */
	STEP_STUCK, /* a caller, but no way to it */
	STEP_SLOW,  /* only the slow walk can */
};

/*
 * A walk under way: slots [0, n) are its frames, remembered ones in [r, hi) may
 * still be met. n <= r, or r >= hi.
 */
struct walk {
	struct unwind_scratch *scratch;
	struct stack_range range;
	uint32_t generation;
	enum unwind_mode mode;
	unsigned depth_max;
	unsigned n, r, hi;
	unsigned n_foreign; /* frames before this one cannot be remembered */
	uint32_t flags;
	unsigned approx_from; /* valid with HEAPSPY_STACK_APPROX */
};

void unwind_init(enum unwind_mode wanted)
{
	stack_range_init();
	cfi_rows_init();
	mode = wanted == UNWIND_FP ? UNWIND_FP : UNWIND_CFI;
}

bool unwind_cfi_available(void)
{
	return cfi_objects_available();
}

/* Goes to the caller by a row. The range changes when a signal frame leads to another stack. */
static enum step step_by_row(struct walk *walk, uint64_t row, struct position *at)
{
	struct stack_range *range = &walk->range;
	uint64_t cfa, pc, bp = at->bp;
	uintptr_t sp = at->sp;

	switch (row_kind(row)) {
	case ROW_RSP:
	case ROW_RBP:
		cfa = (row_kind(row) == ROW_RSP ? sp : bp) + row_cfa_bytes(row);
		if (row_bp_bytes(row) != 0 &&
			!stack_range_load(range, cfa + row_bp_bytes(row), &bp))
			return STEP_STUCK;
		break;
	case ROW_REALIGN:
		if (!stack_range_load(range, at->bp + row_cfa_bytes(row), &cfa) ||
			!stack_range_load(range, at->bp + row_bp_bytes(row), &bp))
			return STEP_STUCK;
		break;
	case ROW_SIGNAL:
		if (!stack_range_load(range, sp + ROW_SIGNAL_PC, &pc) ||
			!stack_range_load(range, sp + ROW_SIGNAL_BP, &bp) ||
			!stack_range_load(range, sp + ROW_SIGNAL_SP, &cfa))
			return STEP_STUCK;
		*at = (struct position){ pc, cfa, bp, HEAPSPY_FRAME_EXACT };
		/* The handler may have had a stack of its own: nothing is known of the order. */
		stack_range_open(range, &walk->scratch->stack, cfa - STACK_RANGE_RED_ZONE);
		return STEP_DONE;
	case ROW_END:
		return STEP_END;
	case ROW_SLOW:
		return STEP_SLOW;
	default:
		return STEP_STUCK;
	}
	/* From a foreign stack back to the thread's own, perhaps; that is rare. */
	if (cfa <= sp)
		return range->foreign ? STEP_SLOW : STEP_STUCK;
	if (!stack_range_load(range, cfa - 8, &pc))
		return STEP_STUCK;
	*at = (struct position){ pc, cfa, bp, 0 };
	stack_range_raise(range, cfa);
	return STEP_DONE;
}

static inline bool by_frame_pointer(const struct walk *walk, uint64_t row)
{
	return row_kind(row) == ROW_NO_CFI || row_kind(row) == ROW_OUTSIDE ||
	       (walk->mode == UNWIND_FP && row_kind(row) != ROW_END);
}

/* Goes to the caller by the frame pointer. */
static HS_COLD bool step_by_guess(struct walk *walk, uint64_t row, struct position *at)
{
	enum guess_trust trust = GUESS_OBJECT;

	if (walk->mode == UNWIND_FP)
		trust = GUESS_PLAIN;
	else if (row_kind(row) == ROW_OUTSIDE)
		trust = GUESS_OUTSIDE;
	if (!unwind_guess_caller(&walk->range, trust, &at->pc, &at->sp, &at->bp))
		return false;
	at->exact = 0;
	stack_range_raise(&walk->range, at->sp);
	if (!(walk->flags & HEAPSPY_STACK_APPROX)) {
		walk->flags |= HEAPSPY_STACK_APPROX;
		walk->approx_from = walk->n;
	}
	return true;
}

/*
 * The step by a row of the two most common shapes, on the thread's own stack.
 * False: something else, or not in order; `at` is as it was, step_by_row() looks
 * closer. *bp_slotp: where the caller's rbp was saved, 0 if it was not.
 *
 * What it did can be checked later by two loads (unchanged_until): the return
 * address is right below the caller's sp, and no slot is below the frame's own.
 */
static inline __attribute__((always_inline)) bool step_common(
	const struct stack_range *range, uint64_t row, struct position *at, uintptr_t *bp_slotp)
{
	int64_t bp_bytes = row_bp_bytes(row);
	uint64_t bp = at->bp, cfa;
	uintptr_t slot = 0;

	if (HS_LIKELY(row_kind(row) == ROW_RSP))
		cfa = at->sp + row_cfa_bytes(row);
	else if (row_kind(row) == ROW_RBP)
		cfa = at->bp + row_cfa_bytes(row);
	else
		return false;
	if (cfa <= at->sp || cfa - 8 - range->lo >= range->span)
		return false;
	if (bp_bytes != 0) {
		slot = cfa + bp_bytes;
		if (slot < at->sp || slot - range->lo >= range->span)
			return false;
		bp = stack_range_word(slot);
	}
	*at = (struct position){ .pc = stack_range_word(cfa - 8), .sp = cfa, .bp = bp };
	*bp_slotp = slot;
	return true;
}

/*
 * Leaves the frames of libheapspy.so itself behind. All of its code that calls
 * anything keeps frame pointers (preload/meson.build).
 */
static enum step skip_own(struct walk *walk, struct position *at)
{
	for (unsigned i = 0; i < OWN_FRAMES_MAX && cfi_objects_is_own(at->pc); i++) {
		uint64_t pc, bp;

		if (!stack_range_load(&walk->range, at->bp, &bp) ||
			!stack_range_load(&walk->range, at->bp + 8, &pc))
			return STEP_STUCK;
		*at = (struct position){ .pc = pc, .sp = at->bp + 16, .bp = bp };
		stack_range_raise(&walk->range, at->sp);
	}
	return cfi_objects_is_own(at->pc) ? STEP_STUCK : STEP_DONE;
}

/* Remembered frames are left, and this is the stack they were on. */
static inline bool may_meet(const struct walk *walk)
{
	return walk->r < walk->hi && walk->range.hi == walk->scratch->last_top;
}

/* Is this remembered frame one of the same pc, sp and rbp? top: of the stack. */
static inline bool is_same_frame(
	const struct unwind_scratch *scratch, unsigned r, uintptr_t top, const struct position *at)
{
	return scratch->states[r].sp_below == (uint32_t)(top - at->sp) &&
	       scratch->states[r].bp == at->bp &&
	       ((scratch->words[r] ^ (at->pc | at->exact)) & ~WORD_MODULE_MASK) == 0;
}

/* The first remembered frame from r on that is not below `at`. */
static inline unsigned pass_by(const struct walk *walk, unsigned r, const struct position *at)
{
	const uint32_t sp_below = walk->range.hi - at->sp;

	while (r < walk->hi && walk->scratch->states[r].sp_below > sp_below)
		r++;
	return r;
}

/*
 * Walks on while step_common() can, and stops at whatever is anything else, at
 * a pc that is exact, and at a remembered frame. This loop is the time of a
 * fresh walk, so it keeps all it can in registers. Slot n is free to be written
 * when n < limit.
 *
 * Not each remembered frame is looked for: after one that was not met, the next
 * one, then the second, the fourth. Stacks that have met stay together, so a
 * meeting is only noticed later; stacks that have nothing in common are not
 * held up at each step.
 */
static HS_SAMPLED void walk_common(struct walk *walk, struct position *atp)
{
	struct unwind_scratch *scratch = walk->scratch;
	const uintptr_t lo = walk->range.lo, hi = walk->range.hi, span = walk->range.span;
	const uint32_t generation = walk->generation;
	const bool can_meet = may_meet(walk);
	uint64_t *word = &scratch->words[walk->n], *limit = word;
	struct unwind_state *state = &scratch->states[walk->n];
	uintptr_t pc = atp->pc, sp = atp->sp, meet_sp = 0; /* of remembered frame r */
	uint64_t bp = atp->bp;
	unsigned n, r = walk->r, stride = 1;

	if (atp->exact || walk->range.foreign)
		return;
	while (pc - UNWIND_PC_MIN < UNWIND_PC_MAX - UNWIND_PC_MIN) {
		uint64_t row, row_bp = bp;
		int64_t bp_bytes;
		uintptr_t cfa, slot;

		if (HS_UNLIKELY(word >= limit || sp >= meet_sp)) {
			struct position here = { .pc = pc, .sp = sp, .bp = bp };

			n = word - scratch->words;
			if (n == walk->depth_max)
				break;
			limit = &scratch->words[walk->depth_max];
			meet_sp = UINTPTR_MAX;
			if (can_meet && (r = pass_by(walk, r, &here)) < walk->hi) {
				if (is_same_frame(scratch, r, hi, &here))
					break;
				r = r + stride < walk->hi ? r + stride : walk->hi - 1;
				stride *= 2;
				if (r > n) {
					limit = &scratch->words[r < walk->depth_max
									? r
									: walk->depth_max];
					meet_sp = hi - scratch->states[r].sp_below;
				}
			}
		}
		row = cfi_rows_peek(pc, generation);
		if (HS_LIKELY(row_kind(row) == ROW_RSP))
			cfa = sp + row_cfa_bytes(row);
		else if (row_kind(row) == ROW_RBP)
			cfa = bp + row_cfa_bytes(row);
		else
			break;
		if (cfa <= sp || cfa - 8 - lo >= span)
			break;
		*word = HEAPSPY_FRAME_MAKE(pc, row_module(row), 0);
		state->sp_below = hi - sp;
		state->bp_below = 0;
		state->bp = bp;
		bp_bytes = row_bp_bytes(row);
		if (bp_bytes != 0) {
			slot = cfa + bp_bytes;
			if (slot < sp || slot - lo >= span)
				break;
			state->bp_below = hi - slot;
			row_bp = stack_range_word(slot);
		}
		pc = stack_range_word(cfa - 8);
		sp = cfa;
		bp = row_bp;
		word++;
		state++;
	}
	walk->n = n = word - scratch->words;
	walk->r = r < n ? n : r;
	if (sp != atp->sp)
		stack_range_raise(&walk->range, sp);
	*atp = (struct position){ .pc = pc, .sp = sp, .bp = bp };
}

/*
 * The walk is at a frame of the same pc, sp and rbp as remembered frame r.
 * Returns the last remembered frame that a walk from here would reach in just
 * the same way: each return address and saved rbp on the way is where it was.
 *
 * Plain loads: these words were on this thread's own stack and above the sp
 * that the walk is at now, see walk_common().
 */
static inline unsigned unchanged_until(const struct walk *walk, unsigned r)
{
	const struct unwind_scratch *scratch = walk->scratch;
	const struct unwind_state *state = &scratch->states[r];
	const struct unwind_state *last = &scratch->states[walk->hi - 1];
	const uint64_t *word = &scratch->words[r];
	const uintptr_t top = walk->range.hi;

	for (; state < last; state++) {
		const uint32_t bp_below = state->bp_below;

		if (bp_below != 0 && (bp_below == UNWIND_STEP_ANEW ||
					     stack_range_word(top - bp_below) != state[1].bp))
			break;
		word++;
		if (stack_range_word(top - 8 - state[1].sp_below) != HEAPSPY_FRAME_PC(*word))
			break;
	}
	return state - scratch->states;
}

/* Moves `n` frames from a slot to a higher one; overlap is allowed, as below. No call: mostly few.
 */
static void move_slots_up(struct unwind_scratch *scratch, unsigned to, unsigned from, unsigned n)
{
	while (n-- > 0) {
		scratch->words[to + n] = scratch->words[from + n];
		scratch->states[to + n] = scratch->states[from + n];
	}
}

static void move_slots_down(struct unwind_scratch *scratch, unsigned to, unsigned from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		scratch->words[to + i] = scratch->words[from + i];
		scratch->states[to + i] = scratch->states[from + i];
	}
}

/*
 * Ends a walk whose frames are slots [0, n), followed by those of [r, hi). They
 * become the remembered stack and the result.
 */
static unsigned finish(struct walk *walk, unsigned r, unsigned hi, bool ended)
{
	struct unwind_scratch *scratch = walk->scratch;
	unsigned start = r - walk->n, n_frames = hi - start;

	move_slots_up(scratch, start, 0, walk->n);
	scratch->frames = &scratch->words[start];
	scratch->last_lo = start + walk->n_foreign;
	scratch->last_hi = hi;
	scratch->last_ended = ended;
	scratch->last_valid = scratch->last_lo < hi && !walk->range.foreign;
	scratch->last_top = walk->range.hi;
	if (n_frames > walk->depth_max) {
		walk->flags |= HEAPSPY_STACK_CUT;
		n_frames = walk->depth_max;
	}
	return n_frames;
}

/*
 * Is the walk at a remembered frame? Then takes over those that are as they
 * were. True: all of them up to the outermost, which begin at walk->r now: the
 * walk is over. Else `at` may have moved on.
 */
static bool meet(struct walk *walk, struct position *at)
{
	struct unwind_scratch *scratch = walk->scratch;
	unsigned r = pass_by(walk, walk->r, at), until;

	walk->r = r;
	if (r >= walk->hi || !is_same_frame(scratch, r, walk->range.hi, at))
		return false;
	until = unchanged_until(walk, r);
	if (until + 1 == walk->hi && scratch->last_ended)
		return true;
	if (until > r + walk->depth_max - walk->n)
		until = r + walk->depth_max - walk->n;
	if (until == r)
		return false;
	move_slots_down(scratch, walk->n, r, until - r);
	walk->n += until - r;
	walk->r = until;
	*at = (struct position){
		.pc = HEAPSPY_FRAME_PC(scratch->words[until]),
		.sp = walk->range.hi - scratch->states[until].sp_below,
		.bp = scratch->states[until].bp,
	};
	stack_range_raise(&walk->range, at->sp);
	return false;
}

/* Writes the frame to slot n; a remembered one there cannot be met any more. */
static void record(struct walk *walk, uint64_t row, const struct position *at)
{
	struct unwind_scratch *scratch = walk->scratch;

	scratch->words[walk->n] = HEAPSPY_FRAME_MAKE(at->pc, row_module(row), at->exact);
	scratch->states[walk->n] = (struct unwind_state){
		.sp_below = walk->range.hi - at->sp,
		.bp_below = UNWIND_STEP_ANEW,
		.bp = at->bp,
	};
	walk->n++;
	if (walk->r < walk->n)
		walk->r = walk->n;
	if (walk->range.foreign) {
		walk->flags |= HEAPSPY_STACK_FOREIGN;
		walk->n_foreign = walk->n;
	}
	if (row_kind(row) == ROW_SIGNAL)
		walk->flags |= HEAPSPY_STACK_SIGNAL;
	if (row_kind(row) == ROW_OUTSIDE && !(walk->flags & HEAPSPY_STACK_APPROX))
		unwind_guess_learn(at->pc);
}

/* step_common() from the frame that was recorded last, so that it can be checked later. */
static bool step_recorded(struct walk *walk, uint64_t row, struct position *at)
{
	uintptr_t bp_slot;

	if (!step_common(&walk->range, row, at, &bp_slot))
		return false;
	walk->scratch->states[walk->n - 1].bp_below =
		bp_slot ? (uint32_t)(walk->range.hi - bp_slot) : 0;
	stack_range_raise(&walk->range, at->sp);
	return true;
}

/* False: the slow walk must do it. Else the number of frames is in *n_framesp. */
static bool walk_fast(struct walk *walk, unsigned *n_framesp)
{
	struct unwind_scratch *scratch = walk->scratch;
	struct position at = {
		.pc = scratch->registers[CFI_RIP],
		.sp = scratch->registers[CFI_RSP],
		.bp = scratch->registers[CFI_RBP],
		.exact = HEAPSPY_FRAME_EXACT,
	};
	bool ended = false;
	enum step step;

	walk->generation = cfi_rows_generation();
	if (scratch->last_valid && scratch->last_generation == walk->generation) {
		walk->r = scratch->last_lo;
		walk->hi = scratch->last_hi;
	}
	/*
	 * From here on the slots are half old, half new. A siglongjmp() out of a
	 * handler that interrupts the walk may leave them so for good.
	 */
	*(volatile bool *)&scratch->last_valid = false;
	scratch->last_generation = walk->generation;
	stack_range_open(&walk->range, &scratch->stack, at.sp);
	step = skip_own(walk, &at);
	stack_range_raise(&walk->range, at.sp);
	while (step == STEP_DONE) {
		uint64_t row;

		if (walk->mode == UNWIND_CFI)
			walk_common(walk, &at);
		if (at.pc < UNWIND_PC_MIN || at.pc >= UNWIND_PC_MAX) {
			step = at.pc == 0 ? STEP_END : STEP_STUCK;
			break;
		}
		if (may_meet(walk) && meet(walk, &at)) {
			*n_framesp = finish(walk, walk->r, walk->hi, true);
			return true;
		}
		if (walk->n == walk->depth_max) {
			walk->flags |= HEAPSPY_STACK_CUT;
			break;
		}
		row = cfi_rows_find(at.pc | at.exact, walk->generation, &scratch->work);
		record(walk, row, &at);
		if (by_frame_pointer(walk, row))
			step = step_by_guess(walk, row, &at) ? STEP_DONE : STEP_STUCK;
		else if (!step_recorded(walk, row, &at))
			step = step_by_row(walk, row, &at);
		ended = step == STEP_END;
	}
	if (step == STEP_SLOW)
		return false;
	if (step == STEP_STUCK)
		walk->flags |= HEAPSPY_STACK_TRUNCATED;
	*n_framesp = finish(walk, UNWIND_SLOTS, UNWIND_SLOTS, ended);
	return true;
}

HS_SAMPLED unsigned unwind_walk(struct unwind_scratch *scratch, enum unwind_mode how, bool slow,
	unsigned depth_max, uint32_t *flagsp, unsigned *approx_fromp)
{
	struct walk walk = {
		.scratch = scratch,
		.mode = how,
		.depth_max = depth_max < UNWIND_DEPTH_MAX ? depth_max : UNWIND_DEPTH_MAX,
	};
	unsigned n_frames = 0;

	scratch->frames = scratch->words;
	if (how == UNWIND_OFF) {
		walk.flags = HEAPSPY_STACK_TRUNCATED;
	} else if (slow || !walk_fast(&walk, &n_frames) ||
		   walk.generation != cfi_rows_generation()) {
		/* Also when the walk met code where other code was, whose rows it may have used. */
		scratch->frames = scratch->words;
		scratch->last_valid = false;
		walk.flags = 0;
		n_frames =
			unwind_slow_walk(scratch, walk.depth_max, &walk.flags, &walk.approx_from);
	}
	if (walk.approx_from >= n_frames)
		walk.flags &= ~HEAPSPY_STACK_APPROX;
	*approx_fromp = walk.flags & HEAPSPY_STACK_APPROX ? walk.approx_from : 0;
	*flagsp = walk.flags;
	return n_frames;
}

/* The stack by libunwind, or our own, to be compared with it. */
static HS_COLD unsigned walk_with_reference(struct unwind_scratch *scratch, unsigned depth_max,
	uint32_t *flagsp, unsigned *approx_fromp)
{
	uint64_t registers[CFI_N_REGISTERS];
	unsigned n_frames;

	if (depth_max > UNWIND_DEPTH_MAX)
		depth_max = UNWIND_DEPTH_MAX;
	memcpy(registers, scratch->registers, sizeof(registers));
	if (unwind_reference_mode == UNWIND_LIBUNWIND &&
		unwind_reference_capture(
			scratch, registers, depth_max, flagsp, approx_fromp, &n_frames))
		return n_frames;
	n_frames = unwind_walk(scratch, mode, false, depth_max, flagsp, approx_fromp);
	if (unwind_reference_mode == UNWIND_COMPARE) {
		const struct unwind_own own = {
			.scratch = scratch,
			.registers = registers,
			.stack = { "own", scratch->frames, n_frames },
			.depth_max = depth_max,
			.approx_from = *approx_fromp,
			.flags = *flagsp,
		};

		unwind_reference_compare(&own);
	}
	return n_frames;
}

/*
 * Not inlined, and not left by a jump into what it calls: the frame that the
 * registers describe has to be there during the walk.
 */
HS_SAMPLED unsigned unwind_capture(struct unwind_scratch *scratch, unsigned depth_max,
	uint32_t *flagsp, unsigned *approx_fromp)
{
	unsigned n_frames;

	unwind_registers_read(scratch->registers);
	if (HS_LIKELY(hs_load_acquire(&unwind_reference_mode) == UNWIND_OFF))
		n_frames = unwind_walk(scratch, mode, false, depth_max, flagsp, approx_fromp);
	else
		n_frames = walk_with_reference(scratch, depth_max, flagsp, approx_fromp);
	__asm__ volatile("" : "+r"(n_frames));
	return n_frames;
}

__attribute__((noinline)) unsigned unwind_capture_slow(struct unwind_scratch *scratch,
	unsigned depth_max, uint32_t *flagsp, unsigned *approx_fromp)
{
	unsigned n_frames;

	unwind_registers_read(scratch->registers);
	n_frames = unwind_walk(scratch, mode, true, depth_max, flagsp, approx_fromp);
	__asm__ volatile("" : "+r"(n_frames));
	return n_frames;
}
