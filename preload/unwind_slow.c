/*
 * unwind_slow.c - one step is: find the entry, run its program, apply every
 * rule. Shares with the fast walk the bounds of memory and the guesses.
 */
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/compiler.h"
#include "preload/unwind_guess.h"
#include "preload/unwind_slow.h"

/* Own frames are dropped and not counted; more than this is no walk of ours. */
#define OWN_FRAMES_MAX 32

static bool load(void *memory, uintptr_t address, uint64_t *valuep)
{
	return stack_range_load(memory, address, valuep);
}

static bool evaluate(const struct cfi_expr_context *context, const struct cfi_section *section,
	int32_t block, const uint64_t *first, uint64_t *valuep)
{
	const uint8_t *p, *end;

	return cfi_block(section, block, &p, &end) && cfi_expr_run(context, p, end, first, valuep);
}

static bool find_cfa(const struct cfi_expr_context *context, const struct cfi_section *section,
	const struct cfi_rules *rules, uint64_t *cfap)
{
	if (rules->cfa_kind == CFI_CFA_EXPR)
		return evaluate(context, section, rules->cfa_block, NULL, cfap);
	*cfap = context->registers[rules->cfa_register] + (int64_t)rules->cfa_offset;
	return true;
}

static bool find_register(const struct cfi_expr_context *context, const struct cfi_section *section,
	const struct cfi_rules *rules, uint64_t cfa, unsigned reg, uint64_t *valuep)
{
	int32_t value = rules->value[reg];
	uint64_t address;

	switch ((enum cfi_rule)rules->kind[reg]) {
	case CFI_SAME:
	case CFI_UNDEFINED:
		*valuep = reg == CFI_RSP ? cfa : context->registers[reg];
		return true;
	case CFI_OFFSET:
		return stack_range_load(context->memory, cfa + (int64_t)value, valuep);
	case CFI_VAL_OFFSET:
		*valuep = cfa + (int64_t)value;
		return true;
	case CFI_REGISTER:
		if (value < 0 || value >= CFI_N_REGISTERS)
			return false;
		*valuep = context->registers[value];
		return true;
	case CFI_EXPR:
		return evaluate(context, section, value, &cfa, &address) &&
		       stack_range_load(context->memory, address, valuep);
	case CFI_VAL_EXPR:
		return evaluate(context, section, value, &cfa, valuep);
	}
	return false;
}

/*
 * Can the caller's sp be this? A rule may name any address. On the thread's own
 * stack it is above the present one and not behind the end. To a foreign one the
 * program may have changed from its own, wherever that is; from then on the walk is there.
 */
static bool is_callers_sp(struct unwind_scratch *scratch, struct stack_range *range, uint64_t sp)
{
	struct stack_range own;

	if (!range->foreign)
		return sp > scratch->registers[CFI_RSP] && sp <= range->hi;
	if (sp > scratch->registers[CFI_RSP])
		return true;
	stack_range_open(&own, &scratch->stack, sp);
	if (own.foreign)
		return false;
	*range = own;
	return true;
}

/* Replaces the registers by the caller's. False: a rule cannot be followed. */
static bool apply_rules(struct unwind_scratch *scratch, const struct cfi_section *section,
	struct stack_range *range, bool signal_frame)
{
	const struct cfi_rules *rules = &scratch->work.now;
	const struct cfi_expr_context context = {
		.registers = scratch->registers,
		.load = load,
		.memory = range,
		.stack = scratch->expression_stack,
	};
	uint64_t caller[CFI_N_REGISTERS], cfa;

	if (rules->kind[CFI_RIP] == CFI_SAME || !find_cfa(&context, section, rules, &cfa))
		return false;
	for (unsigned reg = 0; reg < CFI_N_REGISTERS; reg++) {
		if (find_register(&context, section, rules, cfa, reg, &caller[reg]))
			continue;
		if (reg == CFI_RSP || reg == CFI_RBP || reg == CFI_RIP)
			return false;
		/* Lost, which matters only if a frame further up needs it. */
		caller[reg] = 0;
	}
	if (!signal_frame && !is_callers_sp(scratch, range, caller[CFI_RSP]))
		return false;
	for (unsigned reg = 0; reg < CFI_N_REGISTERS; reg++)
		scratch->registers[reg] = caller[reg];
	return true;
}

HS_COLD unsigned unwind_slow_walk(struct unwind_scratch *scratch, unsigned depth_max,
	uint32_t *flagsp, unsigned *approx_fromp)
{
	uint64_t *registers = scratch->registers, exact = HEAPSPY_FRAME_EXACT;
	unsigned n_frames = 0, n_own = 0;
	struct stack_range range;

	/* Not kept over a call, so nothing is known of them at the start. */
	for (unsigned reg = 0; reg < CFI_RIP; reg++) {
		if (reg != CFI_RBX && reg != CFI_RBP && reg != CFI_RSP && reg < CFI_R12)
			registers[reg] = 0;
	}
	stack_range_open(&range, &scratch->stack, registers[CFI_RSP]);
	for (;;) {
		uint64_t pc = registers[CFI_RIP];
		bool own = n_frames == 0 && cfi_objects_is_own(pc), signal_frame = false;
		struct cfi_section section;
		enum row_kind kind;
		unsigned module;

		if (pc == 0)
			return n_frames;
		if (pc < UNWIND_PC_MIN || pc >= UNWIND_PC_MAX || (own && n_own++ == OWN_FRAMES_MAX))
			break;
		if (n_frames == depth_max) {
			*flagsp |= HEAPSPY_STACK_CUT;
			return n_frames;
		}
		kind = cfi_rows_rules(pc | exact, &scratch->work, &section, &signal_frame, &module);
		if (!own) {
			scratch->words[n_frames++] = HEAPSPY_FRAME_MAKE(pc, module, exact);
			if (range.foreign)
				*flagsp |= HEAPSPY_STACK_FOREIGN;
			if (signal_frame)
				*flagsp |= HEAPSPY_STACK_SIGNAL;
			if (kind == ROW_OUTSIDE && !(*flagsp & HEAPSPY_STACK_APPROX))
				unwind_guess_learn(pc);
		}
		if (kind == ROW_END)
			return n_frames;
		if (kind != ROW_SLOW) {
			enum guess_trust trust = kind == ROW_NO_CFI ? GUESS_OBJECT : GUESS_OUTSIDE;

			if (own || !unwind_guess_caller(&range, trust, &registers[CFI_RIP],
					   &registers[CFI_RSP], &registers[CFI_RBP]))
				break;
			if (!(*flagsp & HEAPSPY_STACK_APPROX)) {
				*flagsp |= HEAPSPY_STACK_APPROX;
				*approx_fromp = n_frames;
			}
			stack_range_raise(&range, registers[CFI_RSP]);
			exact = 0;
			continue;
		}
		if (scratch->work.now.kind[CFI_RIP] == CFI_UNDEFINED)
			return n_frames;
		if (!apply_rules(scratch, &section, &range, signal_frame))
			break;
		exact = signal_frame ? HEAPSPY_FRAME_EXACT : 0;
		if (signal_frame)
			stack_range_open(
				&range, &scratch->stack, registers[CFI_RSP] - STACK_RANGE_RED_ZONE);
		else
			stack_range_raise(&range, registers[CFI_RSP]);
	}
	*flagsp |= HEAPSPY_STACK_TRUNCATED;
	return n_frames;
}
