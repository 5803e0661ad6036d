/*
 * exercise_cfi.c - reads frame information as a walk does, but with memory that is
 * made up, so that the sanitizers see all that is read of the section itself.
 */
#include <stdio.h>
#include "preload/cfi_expr.h"
#include "tests/fuzz/exercise_cfi.h"

#define MEMORY_LO    0x10000u
#define MEMORY_BYTES 4096u
/* What one expression may load: more would be noticed by the thread that waits. */
#define LOADS_MAX    32

static bool load(void *memory, uintptr_t address, uint64_t *valuep)
{
	unsigned *n_loads = memory;

	if (++*n_loads > LOADS_MAX || address < MEMORY_LO || address >= MEMORY_LO + MEMORY_BYTES)
		return false;
	*valuep = MEMORY_LO + address % 64 * 8;
	return true;
}

static bool is_inside(const struct cfi_section *section, const uint8_t *p, const uint8_t *end)
{
	return p >= section->lo && p <= end && end <= section->hi;
}

static bool run_block(
	const struct cfi_section *section, int32_t block, struct exercise_cfi_figures *figures)
{
	uint64_t registers[CFI_N_REGISTERS], stack[CFI_EXPR_STACK], value, first = MEMORY_LO;
	unsigned n_loads = 0;
	const struct cfi_expr_context context = { registers, load, &n_loads, stack };
	const uint8_t *p, *end;

	for (unsigned reg = 0; reg < CFI_N_REGISTERS; reg++)
		registers[reg] = MEMORY_LO + 16 * reg;
	if (!cfi_block(section, block, &p, &end))
		return true;
	if (!is_inside(section, p, end)) {
		printf("# an expression outside the section\n");
		return false;
	}
	figures->n_values += cfi_expr_run(&context, p, end, NULL, &value);
	figures->n_values += cfi_expr_run(&context, p, end, &first, &value);
	if (n_loads > LOADS_MAX) {
		printf("# an expression of more than %u loads\n", LOADS_MAX);
		return false;
	}
	return true;
}

static bool run_entry(const struct cfi_section *section, const struct cfi_fde *fde, uintptr_t pc,
	struct exercise_cfi_figures *figures)
{
	struct cfi_work work;
	bool good = is_inside(section, fde->program, fde->program_end) &&
		    is_inside(section, fde->cie_program, fde->cie_program_end);

	if (!good)
		printf("# a program outside the section\n");
	if (pc < fde->pc_start || pc >= fde->pc_end) {
		printf("# the entry of another pc\n");
		good = false;
	}
	figures->n_entries++;
	if (!good || !cfi_rules_at(section, fde, pc, &work))
		return good;
	figures->n_rules++;
	if (work.now.cfa_kind == CFI_CFA_EXPR)
		good = run_block(section, work.now.cfa_block, figures);
	for (unsigned reg = 0; reg < CFI_N_REGISTERS && good; reg++) {
		if (work.now.kind[reg] == CFI_EXPR || work.now.kind[reg] == CFI_VAL_EXPR)
			good = run_block(section, work.now.value[reg], figures);
	}
	return good;
}

bool exercise_cfi(
	const struct cfi_section *section, uintptr_t pc, struct exercise_cfi_figures *figures)
{
	struct cfi_fde fde;

	if (cfi_fde_find(section, pc, true, &fde) && fde.pc_start != pc) {
		printf("# an entry that does not begin at its pc\n");
		return false;
	}
	if (!cfi_fde_find(section, pc, false, &fde))
		return true;
	return run_entry(section, &fde, pc, figures) &&
	       run_entry(section, &fde, fde.pc_start, figures) &&
	       run_entry(section, &fde, fde.pc_end - 1, figures);
}
