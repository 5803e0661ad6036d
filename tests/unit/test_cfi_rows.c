/*
 * test_cfi_rows.c - frame information byte by byte: programs of known rules,
 * expressions of known value, this program's own tables, the same with random
 * bytes changed (under ASan: nothing outside the buffer is read), and the cache.
 */
#undef NDEBUG
#include <assert.h>
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_expr.h"
#include "preload/cfi_interp.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/modules.h"
#include "preload/process.h"
#include "tap.h"

uint32_t process_seccomp;

static unsigned module_answer = 7;

unsigned modules_serial(const struct dl_find_object *object)
{
	return module_answer;
}

/* In place of the loader's function when set; what cfi_objects.c asks comes here. */
static const struct dl_find_object *loader_answer;

int _dl_find_object(void *pc, struct dl_find_object *result)
{
	static int (*real)(void *, struct dl_find_object *);

	if (loader_answer) {
		*result = *loader_answer;
		return 0;
	}
	if (!real)
		real = (int (*)(void *, struct dl_find_object *))dlsym(
			RTLD_NEXT, "_dl_find_object");
	return real(pc, result);
}

/* Hand-made tables. */

struct table {
	uint8_t bytes[256];
	unsigned n;
};

static void put(struct table *table, uint64_t value, unsigned n_bytes)
{
	assert(table->n + n_bytes <= sizeof(table->bytes));
	for (unsigned i = 0; i < n_bytes; i++)
		table->bytes[table->n++] = value >> (8 * i);
}

static void put_block(struct table *table, const uint8_t *bytes, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		put(table, bytes[i], 1);
}

/* Sets the length field of the entry that began at `start`, filled up with no-operations. */
static void close_entry(struct table *table, unsigned start)
{
	uint32_t length;

	while ((table->n - start) % 8 != 4)
		put(table, 0, 1);
	length = table->n - start - 4;
	memcpy(table->bytes + start, &length, 4);
}

#define PC_START 0x10000u
#define PC_BYTES 0x1000u

/*
 * A CIE (absolute pointers, code 1, data -8; CFA = rsp + 8, pc at CFA - 8; 'S'
 * on request) and one FDE of PC_START with the given program.
 */
static struct cfi_section make_table(
	struct table *table, bool signal_frame, const uint8_t *program, unsigned n_bytes)
{
	static const uint8_t initial[] = { 0x0c, 7, 8, 0x90, 1 };
	unsigned fde;

	*table = (struct table){ 0 };
	put(table, 0, 4);
	put(table, 0, 4);
	put(table, 1, 1);
	put_block(table, (const uint8_t *)(signal_frame ? "zS" : "z"), signal_frame ? 3 : 2);
	put(table, 1, 1);
	put(table, 0x78, 1);
	put(table, CFI_RIP, 1);
	put(table, 0, 1);
	put_block(table, initial, sizeof(initial));
	close_entry(table, 0);
	fde = table->n;
	put(table, 0, 4);
	put(table, table->n, 4);
	put(table, PC_START, 8);
	put(table, PC_BYTES, 8);
	put(table, 0, 1);
	put_block(table, program, n_bytes);
	close_entry(table, fde);
	put(table, 0, 4);
	return (struct cfi_section){ table->bytes, table->bytes + table->n, NULL };
}

#define PROGRAM(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* The rules at PC_START + offset; false when there are none. */
static bool rules_at(const struct cfi_section *section, unsigned offset, struct cfi_work *work)
{
	struct cfi_fde fde;

	return cfi_fde_scan(section, PC_START + offset, false, &fde) &&
	       cfi_rules_at(section, &fde, PC_START + offset, work);
}

static void test_rules_follow_the_pc(void)
{
	struct cfi_work work;
	struct table table;
	/* +1: CFA rsp+16, rbp saved at -16; +4: CFA by rbp; +0x104: rbp as before, CFA rsp+8. */
	struct cfi_section section = make_table(&table, false,
		PROGRAM(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x03, 0x00, 0x01, 0xc6, 0x0c, 7,
			8));

	CHECK(rules_at(&section, 0, &work));
	CHECK(work.now.cfa_kind == CFI_CFA_REGISTER && work.now.cfa_register == CFI_RSP);
	CHECK(work.now.cfa_offset == 8 && work.now.kind[CFI_RBP] == CFI_SAME);
	CHECK(work.now.kind[CFI_RIP] == CFI_OFFSET && work.now.value[CFI_RIP] == -8);
	CHECK(rules_at(&section, 1, &work));
	CHECK(work.now.cfa_offset == 16 && work.now.kind[CFI_RBP] == CFI_OFFSET);
	CHECK(work.now.value[CFI_RBP] == -16 && work.now.cfa_register == CFI_RSP);
	CHECK(rules_at(&section, 4, &work));
	CHECK(work.now.cfa_register == CFI_RBP && work.now.cfa_offset == 16);
	CHECK(rules_at(&section, 0x103, &work) && work.now.cfa_register == CFI_RBP);
	CHECK(rules_at(&section, 0x104, &work));
	CHECK(work.now.cfa_register == CFI_RSP && work.now.kind[CFI_RBP] == CFI_SAME);
	CHECK(rules_at(&section, PC_BYTES - 1, &work));
	CHECK(!rules_at(&section, PC_BYTES, &work));
}

static void test_remember_and_restore(void)
{
	struct cfi_work work;
	struct table table;
	/* remember; CFA rsp+64, rbx saved; +1: restore. */
	struct cfi_section section =
		make_table(&table, false, PROGRAM(0x0a, 0x0e, 64, 0x83, 3, 0x41, 0x0b));

	CHECK(rules_at(&section, 0, &work) && work.now.cfa_offset == 64);
	CHECK(work.now.kind[CFI_RBX] == CFI_OFFSET && work.now.value[CFI_RBX] == -24);
	CHECK(rules_at(&section, 1, &work) && work.now.cfa_offset == 8);
	CHECK(work.now.kind[CFI_RBX] == CFI_SAME);
	/* More than there is room for, and more restored than remembered. */
	section =
		make_table(&table, false, PROGRAM(0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a));
	CHECK(!rules_at(&section, 0, &work));
	section = make_table(&table, false, PROGRAM(0x0a, 0x0b, 0x0b));
	CHECK(!rules_at(&section, 0, &work));
}

static void test_other_rules(void)
{
	struct cfi_work work;
	struct table table;
	const uint8_t *p, *end;
	/* val_offset rbx 2; rip undefined; r12 in r13; r14 expression; r15 val_expression;
	   a vector register saved; args_size; CFA expression. */
	struct cfi_section section = make_table(&table, false,
		PROGRAM(0x14, 3, 2, 0x07, 16, 0x09, 12, 13, 0x10, 14, 2, 0x77, 8, 0x16, 15, 1, 0x30,
			0x05, 17, 4, 0x2e, 8, 0x0f, 3, 0x76, 0x78, 0x06));

	CHECK(rules_at(&section, 0, &work));
	CHECK(work.now.kind[CFI_RBX] == CFI_VAL_OFFSET && work.now.value[CFI_RBX] == -16);
	CHECK(work.now.kind[CFI_RIP] == CFI_UNDEFINED);
	CHECK(work.now.kind[CFI_R12] == CFI_REGISTER && work.now.value[CFI_R12] == 13);
	CHECK(work.now.kind[CFI_R14] == CFI_EXPR && work.now.kind[CFI_R15] == CFI_VAL_EXPR);
	CHECK(cfi_block(&section, work.now.value[CFI_R14], &p, &end));
	CHECK(end - p == 2 && p[0] == 0x77 && p[1] == 8);
	CHECK(work.now.cfa_kind == CFI_CFA_EXPR);
	CHECK(cfi_block(&section, work.now.cfa_block, &p, &end) && end - p == 3);
	/* Unknown instruction; operand cut off; offset beyond 32 bits. */
	section = make_table(&table, false, PROGRAM(0x3f));
	CHECK(!rules_at(&section, 0, &work));
	section = make_table(&table, false, PROGRAM(0x0f, 200));
	CHECK(!rules_at(&section, 0, &work));
	section = make_table(
		&table, false, PROGRAM(0x0e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f));
	CHECK(!rules_at(&section, 0, &work));
}

/* What a register and an offset mean beside an expression: as in libgcc. */
static void test_cfa_after_expression(void)
{
	struct cfi_work work;
	struct table table;
	const uint8_t *p, *end;
	/* CFA rsp+48, then an expression, then an offset of 64; +1: by rbp; +2: by rsp at 80. */
	struct cfi_section section = make_table(&table, false,
		PROGRAM(0x0e, 48, 0x0f, 2, 0x77, 8, 0x0e, 64, 0x41, 0x0d, 6, 0x41, 0x0c, 7, 80));

	CHECK(rules_at(&section, 0, &work) && work.now.cfa_kind == CFI_CFA_EXPR);
	CHECK(cfi_block(&section, work.now.cfa_block, &p, &end) && end - p == 2 && p[0] == 0x77);
	CHECK(rules_at(&section, 1, &work) && work.now.cfa_kind == CFI_CFA_REGISTER);
	CHECK(work.now.cfa_register == CFI_RBP && work.now.cfa_offset == 64);
	CHECK(rules_at(&section, 2, &work) && work.now.cfa_register == CFI_RSP);
	CHECK(work.now.cfa_offset == 80);
}

/* A program is run for a bounded time. */
static void test_long_programs(void)
{
	enum { N_MAX = 70000 };
	static uint8_t program[N_MAX];
	static const uint8_t initial[] = { 0x0c, 7, 8, 0x90, 1 };
	struct cfi_section section = { program, program + N_MAX, NULL };
	struct cfi_fde fde = { .pc_start = 1,
		.pc_end = 2,
		.program = program,
		.program_end = program + 65536,
		.cie_program = initial,
		.cie_program_end = initial + sizeof(initial),
		.code_align = 1,
		.data_align = -8 };
	struct cfi_work work;

	CHECK(cfi_rules_at(&section, &fde, 1, &work) && work.now.cfa_offset == 8);
	fde.program_end++;
	CHECK(!cfi_rules_at(&section, &fde, 1, &work));
}

/* Headers of the form that linkers write when they cannot make a search table. */
static void test_header_without_table(void)
{
	struct {
		uint8_t header[4];
		int32_t frames; /* from itself */
		uint8_t bytes[sizeof(((struct table *)NULL)->bytes)];
	} object = { { 1, 0x1b, 0xff, 0xff }, 4, { 0 } };
	struct table table;
	struct cfi_section section, frames;
	struct cfi_fde fde;

	frames = make_table(&table, false, PROGRAM(0x0e, 32));
	memcpy(object.bytes, frames.lo, frames.hi - frames.lo);
	section.lo = section.hdr = object.header;
	section.hi = object.bytes + (frames.hi - frames.lo);
	CHECK(cfi_fde_find(&section, PC_START + 5, false, &fde) && fde.pc_start == PC_START);
	CHECK(!cfi_fde_find(&section, PC_START + 5, true, &fde));
	CHECK(!cfi_fde_find(&section, PC_START + PC_BYTES, false, &fde));
	/* No pointer; one that leads out of the section, on either side; one of an unknown form. */
	object.header[1] = 0xff;
	CHECK(!cfi_fde_find(&section, PC_START + 5, false, &fde));
	object.header[1] = 0x1b;
	object.frames = section.hi - section.lo - 4;
	CHECK(!cfi_fde_find(&section, PC_START + 5, false, &fde));
	object.frames = -5;
	CHECK(!cfi_fde_find(&section, PC_START + 5, false, &fde));
	object.frames = 4;
	object.header[1] = 0x3b;
	CHECK(!cfi_fde_find(&section, PC_START + 5, false, &fde));
}

static void test_table_extent_and_exact_start(void)
{
	const uint8_t *end;
	uintptr_t pc_lo, pc_hi;
	struct cfi_fde fde;
	struct table table;
	struct cfi_section section = make_table(&table, true, PROGRAM(0));

	CHECK(cfi_table_extent(table.bytes, sizeof(table.bytes), &end, &pc_lo, &pc_hi));
	CHECK(end == table.bytes + table.n && pc_lo == PC_START && pc_hi == PC_START + PC_BYTES);
	/* No closing length within the limit. */
	CHECK(!cfi_table_extent(table.bytes, table.n - 4, &end, &pc_lo, &pc_hi));
	CHECK(cfi_fde_scan(&section, PC_START, true, &fde) && fde.signal_frame);
	CHECK(!cfi_fde_scan(&section, PC_START + 1, true, &fde));
	CHECK(cfi_fde_scan(&section, PC_START + 1, false, &fde));
}

/* Expressions. */

static bool load_word(void *memory, uintptr_t address, uint64_t *valuep)
{
	if (address != 0x5000)
		return false;
	*valuep = 0x1122334455667788;
	return true;
}

/* The value of an expression; `fails` when it has none. */
static const uint64_t fails = 0xdeadbeef;

static uint64_t value_of(const uint8_t *bytes, unsigned n_bytes)
{
	uint64_t registers[CFI_N_REGISTERS], stack[CFI_EXPR_STACK], first = 100, value = 0;
	struct cfi_expr_context context = { registers, load_word, NULL, stack };

	for (unsigned i = 0; i < CFI_N_REGISTERS; i++)
		registers[i] = 1000 * i;
	return cfi_expr_run(&context, bytes, bytes + n_bytes, &first, &value) ? value : fails;
}

#define VALUE(...) value_of(PROGRAM(__VA_ARGS__))

static void test_expressions(void)
{
	CHECK(VALUE(0x96) == 100);
	CHECK(VALUE(0x08, 200) == 200 && VALUE(0x09, 200) == (uint64_t)-56);
	CHECK(VALUE(0x0a, 1, 2) == 0x201 && VALUE(0x0b, 0, 0x80) == (uint64_t)-32768);
	CHECK(VALUE(0x0c, 1, 0, 0, 0x80) == 0x80000001);
	CHECK(VALUE(0x0d, 0xff, 0xff, 0xff, 0xff) == ~0ull);
	CHECK(VALUE(0x03, 1, 2, 3, 4, 5, 6, 7, 8) == 0x0807060504030201);
	CHECK(VALUE(0x10, 0xe5, 0x8e, 0x26) == 624485 && VALUE(0x11, 0x7f) == ~0ull);
	CHECK(VALUE(0x12, 0x22) == 200 && VALUE(0x32, 0x13) == 100);
	CHECK(VALUE(0x32, 0x14, 0x22) == 102 && VALUE(0x32, 0x15, 1) == 100);
	CHECK(VALUE(0x32, 0x16, 0x1c) == (uint64_t)-98);
	/* 100 2 3 rot: 3 100 2. */
	CHECK(VALUE(0x32, 0x33, 0x17) == 2 && VALUE(0x32, 0x33, 0x17, 0x13) == 100);
	CHECK(VALUE(0x33, 0x1a) == 0 && VALUE(0x33, 0x21) == 103 && VALUE(0x33, 0x27) == 103);
	CHECK(VALUE(0x33, 0x1b) == 33 && VALUE(0x33, 0x1d) == 1 && VALUE(0x33, 0x1e) == 300);
	CHECK(VALUE(0x33, 0x1f) == (uint64_t)-3 && VALUE(0x33, 0x1f, 0x19) == 3);
	CHECK(VALUE(0x20) == ~100ull && VALUE(0x23, 5) == 105);
	CHECK(VALUE(0x32, 0x24) == 400 && VALUE(0x32, 0x25) == 25);
	CHECK(VALUE(0x1f, 0x32, 0x26) == (uint64_t)-25 && VALUE(0x08, 64, 0x24) == 0);
	CHECK(VALUE(0x33, 0x29) == 0 && VALUE(0x33, 0x2a) == 1 && VALUE(0x33, 0x2b) == 1);
	CHECK(VALUE(0x33, 0x2c) == 0 && VALUE(0x33, 0x2d) == 0 && VALUE(0x33, 0x2e) == 1);
	CHECK(VALUE(0x77, 8) == 7008 && VALUE(0x80, 0x7f) == 15999 && VALUE(0x57) == 7000);
	CHECK(VALUE(0x92, 6, 8) == 6008 && VALUE(0x90, 6) == 6000);
	CHECK(VALUE(0x0a, 0, 0x50, 0x06) == 0x1122334455667788);
	CHECK(VALUE(0x0a, 0, 0x50, 0x94, 2) == 0x7788);
	/* Over a constant; a counted loop from 100 down to 0. */
	CHECK(VALUE(0x2f, 2, 0, 0x08, 1) == 100);
	CHECK(VALUE(0x32, 0x31, 0x28, 1, 0, 0x13) == 2);
	CHECK(VALUE(0x13, 0x39, 0x31, 0x1c, 0x12, 0x28, 0xfa, 0xff) == 0);
	/* Endless; out of bounds; empty stack; overflow; unknown; bad memory; by 0; no such
	 * register. */
	CHECK(VALUE(0x2f, 0xfd, 0xff) == fails);
	CHECK(VALUE(0x2f, 0xfc, 0xff) == fails && VALUE(0x2f, 1, 0) == fails);
	CHECK(VALUE(0x13) == fails && VALUE(0x13, 0x13) == fails && VALUE(0x13, 0x22) == fails);
	CHECK(VALUE(0x12, 0x2f, 0xfc, 0xff) == fails);
	CHECK(VALUE(0xff) == fails && VALUE(0x06) == fails && VALUE(0x30, 0x1b) == fails);
	CHECK(VALUE(0x8f, 0) == fails && VALUE(0x08) == fails && VALUE(0x15, 9) == fails);
	CHECK(VALUE(0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b) == fails);
	/* Sixteen loads, and one more: a counter, and a word loaded in each round. */
	CHECK(VALUE(0x3f, 0x0a, 0, 0x50, 0x06, 0x13, 0x31, 0x1c, 0x12, 0x30, 0x2a, 0x28, 0xf3,
		      0xff) == ~0ull);
	CHECK(VALUE(0x40, 0x0a, 0, 0x50, 0x06, 0x13, 0x31, 0x1c, 0x12, 0x30, 0x2a, 0x28, 0xf3,
		      0xff) == fails);
}

/* This program's own tables, found as for any object. */

static struct cfi_section own_section(void)
{
	struct cfi_object object;

	assert(cfi_objects_find((uintptr_t)own_section, &object));
	return object.section;
}

/* Entry i of the header's table: where its function starts. */
static uintptr_t entry_start(const struct cfi_section *section, unsigned i)
{
	int32_t offset;

	memcpy(&offset, section->hdr + 12 + 8 * i, 4);
	return (uintptr_t)section->hdr + (uintptr_t)(intptr_t)offset;
}

/* Where its bytes are, from the header on. */
static size_t entry_offset(const struct cfi_section *section, unsigned i)
{
	int32_t offset;

	memcpy(&offset, section->hdr + 12 + 8 * i + 4, 4);
	return offset;
}

static unsigned entry_count(const struct cfi_section *section)
{
	uint32_t n;

	memcpy(&n, section->hdr + 8, 4);
	return n;
}

static void test_own_tables(void)
{
	struct cfi_section section = own_section();
	unsigned n_entries = entry_count(&section), n_pcs = 0;
	struct cfi_work work;
	struct cfi_fde fde;

	CHECK(n_entries > 20);
	for (unsigned i = 0; i < n_entries; i++) {
		uintptr_t start = entry_start(&section, i);

		CHECK(cfi_fde_find(&section, start, false, &fde) && fde.pc_start == start);
		CHECK(cfi_fde_find(&section, start, true, &fde));
		CHECK(cfi_fde_find(&section, fde.pc_end - 1, false, &fde) && fde.pc_start == start);
		CHECK(start + 1 == fde.pc_end || !cfi_fde_find(&section, start + 1, true, &fde));
		for (uintptr_t pc = fde.pc_start; pc < fde.pc_end; pc++, n_pcs++)
			CHECK(cfi_rules_at(&section, &fde, pc, &work));
	}
	CHECK(!cfi_fde_find(&section, entry_start(&section, 0) - 1, false, &fde));
	CHECK(n_pcs > 1000);
}

/*
 * A copy with bytes changed, exactly as long as the section, so that ASan knows
 * its ends. Relative pointers move with it, so the pcs do too.
 */
static void test_mutated_tables(void)
{
	struct cfi_section section = own_section(), copy;
	size_t lead = section.hdr - section.lo, n_bytes;
	unsigned seed = 1, n_found = 0, n_rules = 0;
	uint64_t registers[CFI_N_REGISTERS] = { 0 }, stack[CFI_EXPR_STACK], value;
	struct cfi_expr_context context = { registers, load_word, NULL, stack };
	struct cfi_work work;
	struct cfi_fde fde;
	uint8_t *bytes;

	/* From the header on; the tables follow it. */
	n_bytes = section.hi - section.hdr;
	if (n_bytes > 64 << 10)
		n_bytes = 64 << 10;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned n_changes = rand_r(&seed) % 8, entry;

		bytes = malloc(n_bytes);
		assert(bytes);
		memcpy(bytes, section.lo + lead, n_bytes);
		copy = (struct cfi_section){ bytes, bytes + n_bytes, bytes };
		entry = rand_r(&seed) % entry_count(&section);
		for (unsigned i = 0; i < n_changes; i++) {
			size_t at = rand_r(&seed) % n_bytes,
			       entry_at = entry_offset(&section, entry);

			/* Most in the header or in the entry that is looked up. */
			if (rand_r(&seed) % 4 == 0)
				at = rand_r(&seed) % 1024;
			else if (rand_r(&seed) % 3 && entry_at + 40 < n_bytes)
				at = entry_at + rand_r(&seed) % 40;
			bytes[at] = rand_r(&seed);
		}
		for (unsigned i = 0; i < 20; i++) {
			uintptr_t pc = entry_start(&section, entry) - (uintptr_t)section.hdr +
				       (uintptr_t)bytes + rand_r(&seed) % 64;

			if (!cfi_fde_find(&copy, pc, rand_r(&seed) % 8 == 0, &fde))
				continue;
			n_found++;
			if (!cfi_rules_at(&copy, &fde, pc, &work))
				continue;
			n_rules++;
			for (unsigned reg = 0; reg < CFI_N_REGISTERS; reg++) {
				const uint8_t *p, *end;

				if (cfi_block(&copy, work.now.value[reg], &p, &end))
					cfi_expr_run(&context, p, end, NULL, &value);
			}
		}
		/* As a table without a header; it starts anywhere. */
		copy.lo += rand_r(&seed) % 2000;
		copy.hdr = NULL;
		cfi_fde_scan(&copy, (uintptr_t)bytes + rand_r(&seed), false, &fde);
		free(bytes);
	}
	CHECK(n_found > 5000 && n_rules > 2000);
}

/* Bytes at random, all of them. */
static void test_random_tables(void)
{
	const size_t n_bytes = 512;
	unsigned seed = 2, n_rules = 0;
	struct cfi_work work;
	struct cfi_fde fde;

	for (unsigned round = 0; round < 20000; round++) {
		uint8_t *bytes = malloc(n_bytes);
		struct cfi_section section = { bytes, bytes + n_bytes, bytes };

		assert(bytes);
		for (size_t i = 0; i < n_bytes; i++)
			bytes[i] = rand_r(&seed) % 4 ? rand_r(&seed) % 32 : rand_r(&seed);
		memcpy(bytes, "\1\x1b\3\x3b", 4);
		cfi_fde_find(&section, (uintptr_t)bytes + rand_r(&seed), false, &fde);
		section.hdr = NULL;
		fde = (struct cfi_fde){ .pc_end = 1,
			.program = bytes,
			.program_end = bytes + n_bytes,
			.cie_program = bytes,
			.cie_program_end = bytes + rand_r(&seed) % 32,
			.code_align = 1,
			.data_align = -8,
			.encoding = rand_r(&seed) };
		n_rules += cfi_rules_at(&section, &fde, 0, &work);
		free(bytes);
	}
	CHECK(n_rules > 0 && n_rules < 20000);
}

/* Rows, and what is kept of them. */

static uint64_t row_of(uintptr_t pc, bool exact)
{
	struct cfi_work work;

	return cfi_rows_find(HEAPSPY_FRAME_MAKE(pc, 0, exact), cfi_rows_generation(), &work);
}

static void test_rows_of_shapes(void)
{
	struct table table;
	/* Unchanged; rbp pushed; by rbp; end; realigned; any register; slow shapes. */
	static const struct {
		uint8_t program[24];
		uint64_t n_bytes;
		enum row_kind kind;
		int64_t cfa_bytes, bp_bytes;
	} cases[] = {
		{ { 0 }, 1, ROW_RSP, 8, 0 },
		{ { 0x0e, 16, 0x86, 2 }, 4, ROW_RSP, 16, -16 },
		{ { 0x0e, 0x90, 0x4e, 0x86, 7 }, 5, ROW_RSP, 10000, -56 },
		{ { 0x0e, 16, 0x86, 2, 0x0d, 6 }, 6, ROW_RBP, 16, -16 },
		{ { 0x07, 16 }, 2, ROW_END, 0, 0 },
		{ { 0x0f, 3, 0x76, 0x78, 6, 0x10, 6, 2, 0x76, 0 }, 10, ROW_REALIGN, -8, 0 },
		{ { 0x0f, 3, 0x76, 0x58, 6, 0x10, 6, 2, 0x76, 8 }, 10, ROW_REALIGN, -40, 8 },
		{ { 0x0f, 3, 0x76, 0x78, 6 }, 5, ROW_SLOW, 0, 0 },
		{ { 0x0c, 3, 16 }, 3, ROW_SLOW, 0, 0 },
		{ { 0x0e, 12 }, 2, ROW_SLOW, 0, 0 },
		{ { 0x09, 6, 12 }, 3, ROW_SLOW, 0, 0 },
		{ { 0x90, 2 }, 2, ROW_SLOW, 0, 0 },
		{ { 0x0e, 0x80, 0x80, 0x80, 0x40, 0 }, 6, ROW_SLOW, 0, 0 },
		{ { 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22 }, 13,
			ROW_RSP, 8, 0 },
	};

	for (unsigned i = 0; i < HS_ARRAY_SIZE(cases); i++) {
		uint64_t row;

		make_table(&table, false, cases[i].program, cases[i].n_bytes);
		CHECK(cfi_rows_register(table.bytes));
		row = row_of(PC_START + 0x10, true);
		CHECK(row_kind(row) == cases[i].kind);
		CHECK(row_module(row) == 0);
		if (row_kind(row) < ROW_SIGNAL) {
			CHECK(row_cfa_bytes(row) == cases[i].cfa_bytes);
			CHECK(row_bp_bytes(row) == cases[i].bp_bytes);
		}
		/* The PLT's expression depends on the pc. */
		if (i == HS_ARRAY_SIZE(cases) - 1)
			CHECK(row_cfa_bytes(row_of(PC_START + 0x1b, true)) == 16);
		CHECK(cfi_rows_deregister(table.bytes));
		CHECK(row_kind(row_of(PC_START + 0x10, true)) == ROW_OUTSIDE);
	}
}

static void test_signal_row(void)
{
	struct table table;

	/* As in glibc: CFA *(rsp + 160), rbp at rsp + 120, rip at rsp + 168. */
	make_table(&table, true,
		PROGRAM(0x0f, 4, 0x77, 0xa0, 0x01, 0x06, 0x10, 6, 3, 0x77, 0xf8, 0x00, 0x10, 16, 3,
			0x77, 0xa8, 0x01));
	CHECK(cfi_rows_register(table.bytes));
	CHECK(row_kind(row_of(PC_START + 1, false)) == ROW_SIGNAL);
	CHECK(cfi_rows_deregister(table.bytes));
	/* Another layout is left to the slow walk. */
	make_table(&table, true,
		PROGRAM(0x0f, 4, 0x77, 0xa8, 0x01, 0x06, 0x10, 6, 3, 0x77, 0xf8, 0x00, 0x10, 16, 3,
			0x77, 0xa8, 0x01));
	CHECK(cfi_rows_register(table.bytes));
	CHECK(row_kind(row_of(PC_START + 1, false)) == ROW_SLOW);
	CHECK(cfi_rows_deregister(table.bytes));
}

static void test_extreme_rows(void)
{
	/* The fields keep what they are given, and make_row() refuses the rest: by the table of
	   shapes above. Here: sign and width of each field. */
	CHECK(row_cfa_bytes(1ull << 63) == -(1ll << 26));
	CHECK(row_cfa_bytes(~0ull >> 1) == (1ll << 26) - 8);
	CHECK(row_bp_bytes(1ull << (ROW_BP_SHIFT + ROW_BP_BITS - 1)) == -16384);
	CHECK(row_bp_bytes(1ull << ROW_BP_SHIFT) == 8);
	CHECK(row_module(~0ull) == HEAPSPY_MODULE_SERIAL_MAX);
}

/* In a function that no sanitizer has a version of. */
static uintptr_t pc_of_libc(void)
{
	void *function = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");

	assert(function);
	return (uintptr_t)function + 1;
}

static void test_cache_and_generations(void)
{
	/* A loaded object's: own code has no module. */
	uintptr_t pc = pc_of_libc();
	uint32_t generation = cfi_rows_generation();

	module_answer = 7;
	CHECK(row_module(row_of(pc, true)) == 7);
	module_answer = 8;
	CHECK(row_module(row_of(pc, true)) == 7);
	/* The same number as a return address is another key. */
	CHECK(row_module(row_of(pc, false)) == 8);
	cfi_rows_flush();
	CHECK(cfi_rows_generation() == generation + 1);
	CHECK(row_module(row_of(pc, true)) == 8);
	/* Once around all generations: nothing of the first comes back. */
	module_answer = 9;
	for (unsigned i = 0; i <= HEAPSPY_MODULE_SERIAL_MAX; i++)
		cfi_rows_flush();
	CHECK(((cfi_rows_generation() ^ (generation + 1)) & HEAPSPY_MODULE_SERIAL_MAX) == 0);
	CHECK(row_module(row_of(pc, true)) == 9);
}

/* An entry of one write's first word and another's second is a miss. */
static void test_torn_entries(void)
{
	uintptr_t pcs[2] = { pc_of_libc(), 0 };
	struct row_entry *set = row_set(pcs[0]), entries[2];

	/* Another pc of the same set, which is in libc too. */
	for (pcs[1] = pcs[0] + 1; row_set(pcs[1]) != set; pcs[1]++)
		;
	cfi_rows_flush();
	for (unsigned i = 0; i < 2; i++) {
		module_answer = 5 + i;
		row_of(pcs[i], false);
		entries[i] = set[0];
	}
	CHECK(set[1].row == entries[0].row && set[1].mixed == entries[0].mixed);
	module_answer = 21;
	CHECK(row_module(row_of(pcs[0], false)) == 5 && row_module(row_of(pcs[1], false)) == 6);
	for (unsigned i = 0; i < 2; i++) {
		set[0] = (struct row_entry){ entries[0].mixed, entries[1].row };
		set[1] = (struct row_entry){ entries[1].mixed, entries[0].row };
		CHECK(row_module(row_of(pcs[i], false)) == 21);
		set[0] = entries[0];
		set[1] = (struct row_entry){ 0 };
		CHECK(row_module(row_of(pcs[i], false)) == (i == 0 ? 5 : 21));
	}
}

static void test_after_call(void)
{
	uintptr_t here = (uintptr_t)__builtin_return_address(0);
	bool in_object = false;

	CHECK(cfi_objects_after_call(here, &in_object) && in_object);
	/* Inside the call instruction there is no second one, nor is the stack code. */
	CHECK(!cfi_objects_after_call(here - 1, &in_object));
	CHECK(!cfi_objects_after_call((uintptr_t)&in_object, &in_object) && !in_object);
	CHECK(!cfi_objects_after_call((uintptr_t)&module_answer, &in_object) && in_object);
}

/*
 * The kernel may map the main program with holes, and the loader then knows one
 * segment of it. Another object may lie in a hole: it is not the program's.
 */
static void test_objects_within_the_program(void)
{
	struct dl_find_object program = { 0 }, segment, other;
	struct link_map other_map = { 0 };
	struct cfi_object object;
	uintptr_t lo, hi;

	assert(_dl_find_object((void *)test_objects_within_the_program, &program) == 0);
	lo = (uintptr_t)program.dlfo_map_start;
	hi = (uintptr_t)program.dlfo_map_end;
	assert(hi - lo > 3 * 4096);

	segment = program;
	segment.dlfo_map_start = (void *)(lo + 4096);
	loader_answer = &segment;
	CHECK(cfi_objects_find(lo + 4096, &object));
	CHECK((uintptr_t)object.loaded.dlfo_map_start == lo);
	CHECK((uintptr_t)object.loaded.dlfo_map_end >= (uintptr_t)&loader_answer);

	other_map.l_addr = lo + 4096;
	other = segment;
	other.dlfo_map_end = (void *)(lo + 2 * 4096);
	other.dlfo_link_map = &other_map;
	loader_answer = &other;
	CHECK(cfi_objects_find(lo + 4096, &object));
	CHECK(object.loaded.dlfo_map_start == other.dlfo_map_start);
	CHECK(object.loaded.dlfo_map_end == other.dlfo_map_end);
	loader_answer = NULL;
}

static void test_many_registered_tables(void)
{
	static struct table tables[CFI_TABLES_MAX + 1];
	unsigned i;

	for (i = 0; i <= CFI_TABLES_MAX; i++)
		make_table(&tables[i], false, PROGRAM(0));
	for (i = 0; i < CFI_TABLES_MAX; i++)
		CHECK(cfi_rows_register(tables[i].bytes));
	CHECK(!cfi_rows_register(tables[i].bytes));
	for (i = 0; i < CFI_TABLES_MAX; i++)
		CHECK(cfi_rows_deregister(tables[i].bytes));
	CHECK(!cfi_rows_deregister(tables[0].bytes));
	CHECK(!cfi_rows_register(NULL));
}

int main(void)
{
	cfi_rows_init();
	TAP_RUN(test_rules_follow_the_pc);
	TAP_RUN(test_remember_and_restore);
	TAP_RUN(test_other_rules);
	TAP_RUN(test_cfa_after_expression);
	TAP_RUN(test_long_programs);
	TAP_RUN(test_header_without_table);
	TAP_RUN(test_table_extent_and_exact_start);
	TAP_RUN(test_expressions);
	TAP_RUN(test_own_tables);
	TAP_RUN(test_mutated_tables);
	TAP_RUN(test_random_tables);
	TAP_RUN(test_rows_of_shapes);
	TAP_RUN(test_signal_row);
	TAP_RUN(test_extreme_rows);
	TAP_RUN(test_cache_and_generations);
	TAP_RUN(test_torn_entries);
	TAP_RUN(test_after_call);
	TAP_RUN(test_objects_within_the_program);
	TAP_RUN(test_many_registered_tables);
	return tap_done();
}
