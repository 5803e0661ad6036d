/*
 * jit.c - functions made at run time, with frame information made beside them: registered, taken
 * back, registered anew at the same place with another frame size; with another table's function
 * between two of one; in memory of the program itself.
 */
#include <sys/mman.h>
#include "rows.h"

void __register_frame(void *table);
void __deregister_frame(void *table);

/* Where the generated function calls its argument, and so where that returns to. */
#define RETURN_OFFSET 12

struct generated {
	uint8_t code[64];
	uint8_t table[192];
};

typedef void generated_function(void (*function)(unsigned), unsigned bytes);

static void put(uint8_t **at, uint64_t value, unsigned n_bytes)
{
	memcpy(*at, &value, n_bytes);
	*at += n_bytes;
}

/*
 *     push %rbx; sub $frame, %rsp; mov %rdi, %rax; mov %esi, %edi;
 *     call *%rax; add $frame, %rsp; pop %rbx; ret
 * frame: a multiple of 16, below 112.
 */
static void generate_code(struct generated *made, uint8_t frame)
{
	const uint8_t code[] = { 0x53, 0x48, 0x83, 0xec, frame, 0x48, 0x89, 0xf8, 0x89, 0xf7, 0xff,
		0xd0, 0x48, 0x83, 0xc4, frame, 0x5b, 0xc3 };

	memset(made, 0, sizeof(*made));
	memcpy(made->code, code, sizeof(code));
}

/* CIE: version 1, "", code 1, data -8, return address 16; CFA rsp+8, pc at CFA-8. */
static uint8_t *begin_table(struct generated *made)
{
	uint8_t *p = made->table;

	put(&p, 20, 4);
	put(&p, 0, 4);
	put(&p, 0x1078010001, 5);
	put(&p, 0x019008070c, 5);
	return made->table + 24;
}

/* FDE: after 1 byte CFA+16 and rbx at CFA-16; after 4 more the frame. The table ends there so far.
 */
static uint8_t *add_function(struct generated *table, uint8_t *start, const struct generated *of)
{
	uint8_t *p = start;

	put(&p, 36, 4);
	put(&p, p - table->table, 4);
	put(&p, (uintptr_t)of->code, 8);
	put(&p, sizeof(of->code), 8);
	put(&p, 0x0283100e41, 5);
	put(&p, 0x0e44, 2);
	put(&p, of->code[4] + 16, 1);
	p = start + 40;
	put(&p, 0, 4);
	return start + 40;
}

ROW static void allocate(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

ROW static void runs(const struct generated *made, unsigned bytes)
{
	CALL(((generated_function *)(void *)made->code)(allocate, bytes));
}

ROW static void run_and_expect(const struct generated *made, unsigned bytes, const char *flags)
{
	char chain[100];

	CALL(runs(made, bytes));
	snprintf(chain, sizeof(chain), "allocate %#lx runs run_and_expect main start",
		(long)made->code + RETURN_OFFSET);
	expect(bytes, flags, chain);
}

static struct generated inside __attribute__((aligned(4096)));

int main(void)
{
	const int rights = PROT_READ | PROT_WRITE | PROT_EXEC;
	struct generated *made = mmap(NULL, 4096, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned bytes = 7001;

	REQUIRE(made != MAP_FAILED);
	for (unsigned i = 0; i < 4; i++) {
		generate_code(made, 32 + 32 * (i % 3));
		add_function(made, begin_table(made), made);
		__register_frame(made->table);
		run_and_expect(made, bytes += 2, "");
		__deregister_frame(made->table);
	}
	run_and_expect(made, bytes += 2, "marked");

	for (unsigned i = 0; i < 3; i++)
		generate_code(&made[i], 16 + 16 * i);
	add_function(made, add_function(made, begin_table(made), made), &made[2]);
	add_function(&made[1], begin_table(&made[1]), &made[1]);
	__register_frame(made[0].table);
	__register_frame(made[1].table);
	for (unsigned i = 0; i < 3; i++)
		run_and_expect(&made[i], bytes += 2, "");

	REQUIRE(!mprotect(&inside, 4096, rights));
	generate_code(&inside, 48);
	add_function(&inside, begin_table(&inside), &inside);
	__register_frame(inside.table);
	CALL(runs(&inside, bytes += 2));
	expect(bytes, "", "allocate inside runs main start");
	return 0;
}
