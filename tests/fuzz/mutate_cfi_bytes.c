/*
 * mutate_cfi_bytes.c - the damage: at random, at the edges of fields, and instructions that
 * are what they should be but for their meaning.
 */
#include <string.h>
#include "preload/cfi_dwarf.h"
#include "tests/fuzz/mutate_cfi.h"

#define HDR_BYTES 12

uint64_t mutate_below(struct sample_rng *rng, uint64_t n)
{
	return sample_rng_next(rng) % n;
}

static uint32_t word_at(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

unsigned mutate_n_entries(const struct cfi_section *section)
{
	return word_at(section->hdr + 8);
}

uintptr_t mutate_pc_start(const struct cfi_section *section, unsigned entry)
{
	int32_t offset = (int32_t)word_at(section->hdr + HDR_BYTES + 8 * entry);

	return (uintptr_t)section->hdr + (uintptr_t)(intptr_t)offset;
}

/* Notes what is there; cut at the section's end. Returns how many bytes may be written. */
static size_t keep_place(
	const struct cfi_section *section, struct mutation *made, uint8_t *at, size_t n_bytes)
{
	size_t room = (size_t)(section->hi - at);

	if (n_bytes > room)
		n_bytes = room;
	made->at[made->n] = at;
	made->n_bytes[made->n] = n_bytes;
	memcpy(made->before[made->n], at, n_bytes);
	made->n++;
	return n_bytes;
}

static uint64_t edge_value(struct sample_rng *rng)
{
	static const uint64_t edges[] = { 0, 1, 3, 4, 5, 8, 12, 0x7f, 0x80, 0xff, 0x7fff, 0xffff,
		0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffffe, 0xffffffff };

	return edges[mutate_below(rng, sizeof(edges) / sizeof(edges[0]))];
}

/* A number as instructions have it: mostly small, sometimes as long as can be. */
static size_t put_leb(struct sample_rng *rng, uint8_t *p)
{
	size_t n = 1;

	while (n < 10 && mutate_below(rng, 6) == 0)
		n++;
	for (size_t i = 0; i < n; i++)
		p[i] = sample_rng_next(rng) | 0x80;
	p[n - 1] &= 0x7f;
	if (n == 1 && mutate_below(rng, 2))
		p[0] &= 0x1f;
	return n;
}

static size_t put_expression(struct sample_rng *rng, uint8_t *p)
{
	size_t n_bytes = 1 + mutate_below(rng, 14);

	p[0] = mutate_below(rng, 12) ? n_bytes : sample_rng_next(rng);
	for (size_t i = 1; i <= n_bytes; i++) {
		switch (mutate_below(rng, 5)) {
		case 0:
			p[i] = OP_BREG0 + mutate_below(rng, CFI_N_REGISTERS);
			break;
		case 1:
			p[i] = OP_DUP + mutate_below(rng, OP_SKIP - OP_DUP + 1);
			break;
		case 2:
			p[i] = OP_DEREF;
			break;
		case 3:
			p[i] = mutate_below(rng, 256);
			break;
		default:
			p[i] = OP_LIT0 + mutate_below(rng, 32);
		}
	}
	return 1 + n_bytes;
}

static size_t put_instruction(struct sample_rng *rng, uint8_t *p)
{
	size_t n = 0;

	switch (mutate_below(rng, 8)) {
	case 0:
		p[n++] = CFA_ADVANCE_LOC + mutate_below(rng, 8);
		break;
	case 1:
		p[n++] = CFA_OFFSET + mutate_below(rng, CFI_N_REGISTERS);
		return n + put_leb(rng, p + n);
	case 2:
		p[n++] = CFA_DEF_CFA;
		p[n++] = mutate_below(rng, CFI_N_REGISTERS);
		return n + put_leb(rng, p + n);
	case 3:
		p[n++] = CFA_DEF_CFA_EXPRESSION;
		return n + put_expression(rng, p + n);
	case 4:
		p[n++] = mutate_below(rng, 2) ? CFA_EXPRESSION : CFA_VAL_EXPRESSION;
		p[n++] = mutate_below(rng, CFI_N_REGISTERS);
		return n + put_expression(rng, p + n);
	case 5:
		p[n++] = mutate_below(rng, 2) ? CFA_REMEMBER_STATE : CFA_RESTORE_STATE;
		break;
	default:
		p[n++] = mutate_below(rng, CFA_GNU_NEGATIVE_OFFSET_EXTENDED + 1);
		p[n++] = mutate_below(rng, CFI_N_REGISTERS + 1);
		return n + put_leb(rng, p + n);
	}
	return n;
}

static void put_instructions(struct sample_rng *rng, uint8_t *p, size_t n_bytes)
{
	uint8_t made[MUTATION_BYTES + 32];
	size_t n = 0;

	while (n < n_bytes)
		n += put_instruction(rng, made + n);
	memcpy(p, made, n_bytes);
}

/* The entry to be damaged, as it is when nothing is yet: later it may lead anywhere. */
struct target {
	uint8_t *table, *fde, *cie;
	uint32_t fde_bytes, cie_bytes;
};

static void damage(const struct cfi_section *section, const struct target *target,
	struct sample_rng *rng, struct mutation *made)
{
	uint64_t value = edge_value(rng);
	size_t n_bytes = 4;
	uint8_t *p;

	switch (mutate_below(rng, 10)) {
	case 0: /* a byte of the header */
		p = (uint8_t *)section->hdr + mutate_below(rng, HDR_BYTES);
		n_bytes = 1;
		break;
	case 1: /* the search table */
		p = target->table + 4 * mutate_below(rng, 2);
		value = mutate_below(rng, 3) ? word_at(p) + mutate_below(rng, 64) - 32 : value;
		break;
	case 2: /* a field: length, distance to the CIE, start, size */
		p = target->fde + 4 * mutate_below(rng, 4);
		value = mutate_below(rng, 2) ? word_at(p) + mutate_below(rng, 256) - 128 : value;
		break;
	case 3: /* a byte of the CIE */
		p = target->cie + mutate_below(rng, target->cie_bytes);
		value = mutate_below(rng, 4) ? sample_rng_next(rng)
					     : (uint8_t) "zRSPLBe"[value % 7];
		n_bytes = 1;
		break;
	case 4: /* instructions of the CIE, or behind it */
		p = target->cie + 17 + mutate_below(rng, 8);
		n_bytes = 1 + mutate_below(rng, 8);
		value = sample_rng_next(rng) & 0x1f1f1f1f1f1f1f1f;
		break;
	case 5: /* a byte of the entry */
		p = target->fde + mutate_below(rng, target->fde_bytes);
		value = sample_rng_next(rng);
		n_bytes = 1;
		break;
	default: /* its instructions, to the end or beyond */
		p = target->fde + 17;
		n_bytes = target->fde_bytes > 24 ? target->fde_bytes - 17 : 8;
		if (n_bytes > MUTATION_BYTES)
			n_bytes = MUTATION_BYTES;
		n_bytes = keep_place(section, made, p, n_bytes);
		put_instructions(rng, p, n_bytes);
		return;
	}
	n_bytes = keep_place(section, made, p, n_bytes);
	memcpy(p, &value, n_bytes);
}

void mutate(const struct cfi_section *section, struct sample_rng *rng, struct mutation *made)
{
	unsigned entry = mutate_below(rng, mutate_n_entries(section));
	unsigned n = mutate_below(rng, 2) ? 1 : 1 + mutate_below(rng, MUTATIONS_MAX);
	struct target target = { .table = (uint8_t *)section->hdr + HDR_BYTES + 8 * entry };

	target.fde = (uint8_t *)section->hdr + (int32_t)word_at(target.table + 4);
	target.fde_bytes = 4 + word_at(target.fde);
	target.cie = target.fde + 4 - word_at(target.fde + 4);
	target.cie_bytes = 4 + word_at(target.cie);
	made->n = 0;
	made->pc = mutate_pc_start(section, entry);
	made->pc_bytes = word_at(target.fde + 12);
	for (unsigned i = 0; i < OTHERS; i++)
		made->others[i] =
			mutate_pc_start(section, mutate_below(rng, mutate_n_entries(section))) +
			mutate_below(rng, 32);
	while (made->n < n)
		damage(section, &target, rng, made);
}

void mutate_undo(struct mutation *made)
{
	while (made->n > 0) {
		made->n--;
		memcpy(made->at[made->n], made->before[made->n], made->n_bytes[made->n]);
	}
}
