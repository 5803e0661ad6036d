/*
 * symbols_c.c - a program that knows its own symbols. Each line it prints is
 * an address and what must be said of it:
 *     VADDR KIND FUNCTION:LINE[ FUNCTION:LINE...]
 * innermost first. KIND is "chain" (DWARF sees all frames, a symbol table the
 * last) or "symbol" (no debug info knows it) or "gap" (nothing covers it).
 */
#include <link.h>
#include <stdint.h>
#include <stdio.h>

extern const char __ehdr_start[];

/*
 * Two bytes and a hole; code without a size up to the next symbol; a symbol
 * inside another.
 */
__asm__(".text\n"
	".globl symbols_sized\n"
	".type symbols_sized, @function\n"
	"symbols_sized: nop; ret\n"
	".size symbols_sized, 2\n"
	".skip 30, 0x90\n"
	".globl symbols_unsized\n"
	"symbols_unsized: nop; nop; nop; nop; nop; ret\n"
	".globl symbols_wide\n"
	".type symbols_wide, @function\n"
	"symbols_wide: nop; nop\n"
	".globl symbols_narrow\n"
	".type symbols_narrow, @function\n"
	"symbols_narrow: nop\n"
	".size symbols_narrow, 1\n"
	"nop; nop; ret\n"
	".size symbols_wide, 6\n"
	".globl symbols_after\n"
	".type symbols_after, @function\n"
	"symbols_after: ret\n"
	".size symbols_after, 1\n");

extern const char symbols_sized[], symbols_unsized[], symbols_wide[], symbols_after[];
extern const char symbols_row[];

static int row_line;

static uintptr_t vaddr_of(const void *address)
{
	return (uintptr_t)address - (uintptr_t)__ehdr_start;
}

/* The address of the call to this function, as a profiler would ask for it. */
__attribute__((noinline)) static void note(const char *expected, int a, int b, int c)
{
	printf("%lx chain ", (unsigned long)vaddr_of(__builtin_return_address(0)) - 1);
	printf(expected, a, b, c);
	putchar('\n');
	fflush(stdout);
	__asm__ volatile("");
}

__attribute__((always_inline)) static inline void innermost(int outer_line, int middle_line)
{
	note("innermost:%d middle:%d symbols_outer:%d", __LINE__, middle_line, outer_line);
	__asm__ volatile("");
}

__attribute__((always_inline)) static inline void middle(int outer_line)
{
	{
		volatile int block = 1;

		innermost(outer_line, __LINE__);
		block++;
	}
}

__attribute__((noinline)) void symbols_outer(void)
{
	middle(__LINE__);
	__asm__ volatile("");
}

__attribute__((noinline)) void symbols_plain(void)
{
	note("symbols_plain:%d", __LINE__, 0, 0);
	/* The first byte of a row of the line table, under a label that names no function. */
	row_line = __LINE__ + 1;
	__asm__ volatile(".globl symbols_row; symbols_row: nop");
}

#ifdef SYMBOLS_DROPPED
/* For --gc-sections: debug info then claims it lies at 0, over everything else. */
void symbols_dropped(void)
{
	__asm__ volatile(".skip 0x4000, 0x90");
}
#endif

int main(void)
{
	symbols_outer();
	symbols_plain();
	printf("%lx symbol symbols_sized:0\n", (unsigned long)vaddr_of(symbols_sized + 1));
	printf("%lx gap -:0\n", (unsigned long)vaddr_of(symbols_sized + 2));
	printf("%lx gap -:0\n", (unsigned long)vaddr_of(symbols_sized + 20));
	printf("%lx symbol symbols_unsized:0\n", (unsigned long)vaddr_of(symbols_unsized + 5));
	printf("%lx symbol symbols_wide:0\n", (unsigned long)vaddr_of(symbols_wide + 1));
	printf("%lx symbol symbols_narrow:0\n", (unsigned long)vaddr_of(symbols_wide + 2));
	printf("%lx symbol symbols_wide:0\n", (unsigned long)vaddr_of(symbols_wide + 4));
	printf("%lx chain symbols_plain:%d\n", (unsigned long)vaddr_of(symbols_row), row_line);
	printf("%lx symbol symbols_after:0\n", (unsigned long)vaddr_of(symbols_after));
	return 0;
}
