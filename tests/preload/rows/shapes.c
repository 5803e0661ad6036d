/*
 * shapes.c - frames as compilers make them: realigned, of variable size, with saved registers,
 * pushed arguments, split into a hot and a cold part, left by a tail call, ended by a call that
 * does not return. Built in many ways.
 */
#include <alloca.h>
#include <setjmp.h>
#include "rows.h"

static volatile unsigned sink;
static volatile unsigned zero;
static jmp_buf back;

ROW static void plain(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

ROW static void recursive(unsigned bytes, unsigned depth)
{
	if (depth == 0)
		CALL(plain(bytes));
	else
		CALL(recursive(bytes, depth - 1));
	sink += bytes;
}

ROW static void aligned(unsigned bytes)
{
	_Alignas(64) volatile char line[64];

	line[0] = ((uintptr_t)line & 63) != 0;
	CALL(plain(bytes));
	sink += line[0];
}

/* A stack pointer that was rounded down, and something of unknown size below. */
ROW static void aligned_variable(unsigned bytes, unsigned n)
{
	_Alignas(128) volatile char line[128];
	volatile char *variable = alloca(n);

	line[0] = variable[0] = 1;
	CALL(ALLOCATE(bytes));
	sink += line[0] + variable[0];
}

ROW static void variable(unsigned bytes, unsigned n)
{
	volatile char *block = alloca(n);
	volatile char array[n + 1];

	block[0] = array[n] = 1;
	CALL(plain(bytes));
	sink += block[0] + array[n];
}

/* All registers that a call keeps are in use, rbp too where it is free. */
ROW static void saved(unsigned bytes)
{
	unsigned a = sink, b = a * 3 + bytes, c = b * 5 + a, d = c * 7 + b, e = d ^ a, f = e + c;

	CALL(plain(bytes));
	__asm__ volatile("" ::"r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f));
	CALL(plain(bytes));
	sink += a + b + c + d + e + f;
}

ROW static void large(unsigned bytes)
{
	volatile char block[200000];

	block[bytes] = 1;
	CALL(aligned(bytes));
	sink += block[bytes];
}

ROW static unsigned many_arguments(
	unsigned bytes, long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
	CALL(plain(bytes));
	return a + b + c + d + e + f + g + h + i;
}

/* The stack pointer moves while the arguments are put there. */
ROW static void pushes(unsigned bytes)
{
	sink += many_arguments(bytes, sink, 2, 3, 4, 5, 6, 7, 8,
		many_arguments(bytes, 1, sink, 3, 4, 5, 6, 7, 8, 9));
	__asm__ volatile("");
}

__attribute__((cold, noinline)) static void cold_leaf(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

/* The unlikely half goes to a section of its own, as a function of its own with the same frame. */
ROW static void split(unsigned bytes)
{
	unsigned a = sink * 3, b = sink * 5, c = a ^ b;

	if (zero != 0)
		CALL(plain(bytes + a));
	if (__builtin_expect(bytes > 100, 0)) {
		CALL(cold_leaf(bytes));
		sink += a * b;
	}
	for (unsigned i = 0; i < zero; i++)
		sink += a + b + c;
	sink += c;
}

__attribute__((noinline, noreturn)) static void leaves(unsigned bytes)
{
	ALLOCATE(bytes);
	longjmp(back, 1);
}

/* Ends with a call: the return address is that of the next function. */
__attribute__((noinline)) static void ends_with_call(unsigned bytes)
{
	leaves(bytes);
}

ROW static void next_function(unsigned bytes)
{
	if (setjmp(back) == 0)
		CALL(ends_with_call(bytes));
}

__attribute__((used)) ROW static void tail_target(unsigned bytes) __asm__("tail_target");
__attribute__((used)) ROW static void tail_target(unsigned bytes)
{
	CALL(ALLOCATE(bytes));
}

/* Its own frame is gone by the time of the allocation. */
__asm__(".text\n\t.type tail, @function\ntail:\n\t.cfi_startproc\n\t"
	"push %rbx\n\t.cfi_def_cfa_offset 16\n\t.cfi_offset rbx, -16\n\tmov %edi, %ebx\n\t"
	"mov %ebx, %edi\n\tpop %rbx\n\t.cfi_def_cfa_offset 8\n\t.cfi_restore rbx\n\t"
	"jmp tail_target\n\t.cfi_endproc\n\t.size tail, . - tail\n");
void tail(unsigned bytes);

int main(void)
{
	CALL(plain(7001));
	CALL(recursive(7003, 5));
	CALL(aligned(7005));
	for (unsigned n = 1; n < 2000; n += 133) {
		CALL(aligned_variable(7007, n));
		CALL(variable(7009, n));
	}
	CALL(saved(7011));
	CALL(large(7013));
	CALL(pushes(7015));
	CALL(split(7017));
	CALL(next_function(7019));
	CALL(tail(7021));

	expect(7001, "", "plain main start");
	expect(7003, "",
		"plain recursive recursive recursive recursive recursive recursive main start");
	expect(7005, "", "plain aligned main start");
	expect(7007, "", "aligned_variable main start");
	expect(7009, "", "plain variable main start");
	expect(7011, "", "plain saved main start");
	expect(7013, "", "plain aligned large main start");
	expect(7015, "", "plain many_arguments pushes main start");
	expect(7017, "", "cold_leaf split main start");
	expect(7019, "", "leaves ends_with_call next_function main start");
	expect(7021, "", "tail_target main start");
	return 0;
}
