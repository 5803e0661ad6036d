/*
 * cfi_expr.c - the stack machine of DWARF 5, section 2.5.1, without the
 * operations that describe variables rather than addresses.
 *
 * Memory is read through the caller's function only, who knows what may be read.
 */
#include "preload/cfi_dwarf.h"
#include "preload/cfi_expr.h"

/* A branch can go backwards: this ends a loop. The longest real ones take about 20. */
#define STEPS_MAX 256
/* Each may be a system call, on a foreign stack. Real ones take one or two. */
#define LOADS_MAX 16

struct machine {
	const struct cfi_expr_context *context;
	struct cfi_cursor cursor;
	const uint8_t *start;
	unsigned depth;
	unsigned n_loads;
};

static void push(struct machine *machine, uint64_t value)
{
	if (machine->depth == CFI_EXPR_STACK)
		machine->cursor.bad = true;
	else
		machine->context->stack[machine->depth++] = value;
}

static uint64_t pop(struct machine *machine)
{
	if (machine->depth == 0) {
		machine->cursor.bad = true;
		return 0;
	}
	return machine->context->stack[--machine->depth];
}

static uint64_t read_register(struct machine *machine, uint64_t reg)
{
	if (reg < CFI_N_REGISTERS)
		return machine->context->registers[reg];
	machine->cursor.bad = true;
	return 0;
}

static uint64_t pick(struct machine *machine, unsigned below_top)
{
	if (below_top >= machine->depth) {
		machine->cursor.bad = true;
		return 0;
	}
	return machine->context->stack[machine->depth - 1 - below_top];
}

static void branch(struct machine *machine, bool taken)
{
	struct cfi_cursor *cursor = &machine->cursor;
	int64_t distance = cfi_read_signed(cursor, 2);

	if (!taken || cursor->bad)
		return;
	if (distance < machine->start - cursor->p || distance > cursor->end - cursor->p)
		cursor->bad = true;
	else
		cursor->p += distance;
}

static void deref(struct machine *machine, unsigned n_bytes)
{
	uint64_t address = pop(machine), value = 0;

	if (machine->cursor.bad || n_bytes < 1 || n_bytes > 8 || machine->n_loads++ == LOADS_MAX ||
		!machine->context->load(machine->context->memory, address, &value)) {
		machine->cursor.bad = true;
		return;
	}
	if (n_bytes < 8)
		value &= (1ull << (8 * n_bytes)) - 1;
	push(machine, value);
}

static void rotate(struct machine *machine)
{
	uint64_t top = pop(machine), second = pop(machine), third = pop(machine);

	push(machine, top);
	push(machine, third);
	push(machine, second);
}

/* Operations of two operands: b was on top. Comparisons and division are signed. */
static uint64_t binary(struct machine *machine, uint8_t op)
{
	uint64_t b = pop(machine), a = pop(machine);

	switch (op) {
	case OP_AND:
		return a & b;
	case OP_OR:
		return a | b;
	case OP_XOR:
		return a ^ b;
	case OP_PLUS:
		return a + b;
	case OP_MINUS:
		return a - b;
	case OP_MUL:
		return a * b;
	case OP_SHL:
		return b < 64 ? a << b : 0;
	case OP_SHR:
		return b < 64 ? a >> b : 0;
	case OP_SHRA:
		return (uint64_t)((int64_t)a >> (b < 64 ? b : 63));
	case OP_EQ:
		return a == b;
	case OP_NE:
		return a != b;
	case OP_GE:
		return (int64_t)a >= (int64_t)b;
	case OP_GT:
		return (int64_t)a > (int64_t)b;
	case OP_LE:
		return (int64_t)a <= (int64_t)b;
	case OP_LT:
		return (int64_t)a < (int64_t)b;
	case OP_DIV:
		/* The quotient of the smallest number by -1 does not fit: the CPU traps. */
		if (b != 0 && !(a == 1ull << 63 && b == ~0ull))
			return (uint64_t)((int64_t)a / (int64_t)b);
		break;
	case OP_MOD:
		if (b != 0)
			return a % b;
		break;
	}
	machine->cursor.bad = true;
	return 0;
}

static void run_operation(struct machine *machine, uint8_t op)
{
	struct cfi_cursor *cursor = &machine->cursor;
	uint64_t a, b;

	switch (op) {
	case OP_ADDR:
	case OP_CONST8U:
	case OP_CONST8S:
		push(machine, cfi_read_fixed(cursor, 8));
		break;
	case OP_CONST1U:
		push(machine, cfi_read_fixed(cursor, 1));
		break;
	case OP_CONST1S:
		push(machine, cfi_read_signed(cursor, 1));
		break;
	case OP_CONST2U:
		push(machine, cfi_read_fixed(cursor, 2));
		break;
	case OP_CONST2S:
		push(machine, cfi_read_signed(cursor, 2));
		break;
	case OP_CONST4U:
		push(machine, cfi_read_fixed(cursor, 4));
		break;
	case OP_CONST4S:
		push(machine, cfi_read_signed(cursor, 4));
		break;
	case OP_CONSTU:
		push(machine, cfi_read_uleb(cursor));
		break;
	case OP_CONSTS:
		push(machine, cfi_read_sleb(cursor));
		break;
	case OP_DUP:
		push(machine, pick(machine, 0));
		break;
	case OP_DROP:
		pop(machine);
		break;
	case OP_OVER:
		push(machine, pick(machine, 1));
		break;
	case OP_PICK:
		push(machine, pick(machine, cfi_read_fixed(cursor, 1)));
		break;
	case OP_SWAP:
		b = pop(machine);
		a = pop(machine);
		push(machine, b);
		push(machine, a);
		break;
	case OP_ROT:
		rotate(machine);
		break;
	case OP_ABS:
		a = pop(machine);
		push(machine, (int64_t)a < 0 ? -a : a);
		break;
	case OP_NEG:
		push(machine, -pop(machine));
		break;
	case OP_NOT:
		push(machine, ~pop(machine));
		break;
	case OP_PLUS_UCONST:
		a = pop(machine);
		push(machine, a + cfi_read_uleb(cursor));
		break;
	case OP_DEREF:
		deref(machine, 8);
		break;
	case OP_DEREF_SIZE:
		deref(machine, cfi_read_fixed(cursor, 1));
		break;
	case OP_SKIP:
		branch(machine, true);
		break;
	case OP_BRA:
		branch(machine, pop(machine) != 0);
		break;
	case OP_REGX:
		push(machine, read_register(machine, cfi_read_uleb(cursor)));
		break;
	case OP_BREGX:
		a = read_register(machine, cfi_read_uleb(cursor));
		push(machine, a + (uint64_t)cfi_read_sleb(cursor));
		break;
	case OP_NOP:
		break;
	default:
		push(machine, binary(machine, op));
	}
}

bool cfi_expr_run(const struct cfi_expr_context *context, const uint8_t *p, const uint8_t *end,
	const uint64_t *first, uint64_t *resultp)
{
	struct machine machine = { .context = context, .cursor = { p, end, false }, .start = p };
	struct cfi_cursor *cursor = &machine.cursor;

	if (first)
		push(&machine, *first);
	for (unsigned step = 0; cursor->p < cursor->end && !cursor->bad; step++) {
		uint8_t op = cfi_read_fixed(cursor, 1);

		if (step == STEPS_MAX)
			return false;
		if (op >= OP_LIT0 && op < OP_REG0) {
			push(&machine, op - OP_LIT0);
		} else if (op >= OP_REG0 && op < OP_BREG0) {
			push(&machine, read_register(&machine, op - OP_REG0));
		} else if (op >= OP_BREG0 && op <= OP_BREG31) {
			uint64_t base = read_register(&machine, op - OP_BREG0);

			push(&machine, base + (uint64_t)cfi_read_sleb(cursor));
		} else {
			run_operation(&machine, op);
		}
	}
	*resultp = pop(&machine);
	return !cursor->bad;
}
