/*
 * test_unwind_compare.c - stacks made by hand: where two unwinders part, what
 * that is called, and the text of it.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/modules.h"
#include "preload/unwind_compare.h"
#include "tap.h"

/* Where this program has frame information, a table of __register_frame() will be, nothing is. */
#define CODE       ((uint64_t)(uintptr_t)covered)
#define REGISTERED 0x20010ull
#define OUTSIDE    0x30010ull

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

unsigned modules_serial(const struct dl_find_object *object)
{
	return 3;
}

static struct cfi_work work;

static __attribute__((noinline)) unsigned covered(unsigned a)
{
	return a * a + 1;
}

static enum unwind_compare_class judge(const uint64_t *own, unsigned n_own, const uint64_t *others,
	unsigned n_others, unsigned same)
{
	enum unwind_compare_class class;
	unsigned n_same = ~0u;

	class = unwind_compare(own, n_own, others, n_others, &work, &n_same);
	CHECK(n_same == same);
	return class;
}

static void test_classes(void)
{
	const uint64_t own[] = { HEAPSPY_FRAME_MAKE(CODE + 1, 3, 0),
		HEAPSPY_FRAME_MAKE(CODE + 2, 3, 1), HEAPSPY_FRAME_MAKE(CODE + 3, 3, 0) };
	const uint64_t equal[] = { CODE + 1, CODE + 2, CODE + 3 };
	const uint64_t last[] = { CODE + 1, CODE + 2, CODE + 4 };
	const uint64_t first[] = { CODE + 5, CODE + 2, CODE + 3 };

	CHECK(judge(own, 3, equal, 3, 3) == COMPARE_EQUAL);
	CHECK(judge(own, 0, equal, 0, 0) == COMPARE_EQUAL);
	CHECK(judge(own, 3, equal, 2, 2) == COMPARE_OWN_LONGER);
	CHECK(judge(own, 1, equal, 0, 0) == COMPARE_OWN_LONGER);
	CHECK(judge(own, 2, equal, 3, 2) == COMPARE_OTHER_LONGER);
	CHECK(judge(own, 0, equal, 1, 0) == COMPARE_OTHER_LONGER);
	CHECK(judge(own, 3, last, 3, 2) == COMPARE_DIFFERENT);
	CHECK(judge(own, 3, first, 3, 0) == COMPARE_DIFFERENT);
	CHECK(judge(own, 3, first, 1, 0) == COMPARE_DIFFERENT);
}

/* Whatever comes behind such a frame is a guess; the frame itself is not. */
static void check_guesses_behind(uint64_t pc)
{
	const uint64_t own[] = { HEAPSPY_FRAME_MAKE(CODE + 1, 3, 0), HEAPSPY_FRAME_MAKE(pc, 0, 0),
		HEAPSPY_FRAME_MAKE(CODE + 2, 3, 0) };
	const uint64_t equal[] = { CODE + 1, pc, CODE + 2 };
	const uint64_t behind[] = { CODE + 1, pc, CODE + 3 };
	const uint64_t before[] = { CODE + 1, CODE + 3, CODE + 2 };

	CHECK(judge(own, 3, equal, 3, 3) == COMPARE_EQUAL);
	CHECK(judge(own, 3, behind, 3, 2) == COMPARE_GUESSED);
	CHECK(judge(own, 3, equal, 2, 2) == COMPARE_GUESSED);
	CHECK(judge(own, 2, equal, 3, 2) == COMPARE_GUESSED);
	CHECK(judge(own, 3, equal, 1, 1) == COMPARE_OWN_LONGER);
	CHECK(judge(own, 3, before, 3, 1) == COMPARE_DIFFERENT);
}

static void test_code_outside_all_objects(void)
{
	check_guesses_behind(OUTSIDE);
}

/* libunwind does not know these tables, so it guesses where we do not. */
static void test_registered_table(void)
{
	/*
	 * A CIE: version 1, "z", code 1, data -8, rip; CFA rsp + 8, rip at CFA - 8.
	 * An FDE: 256 bytes from 0x20000 on. The end.
	 */
	static const uint8_t table[]
		__attribute__((aligned(8))) = { 20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 0, 1, 0x78, 16, 0,
			0x0c, 7, 8, 0x90, 1, 0, 0, 0, 0, 28, 0, 0, 0, 28, 0, 0, 0, 0, 0, 2, 0, 0, 0,
			0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct cfi_object object;

	CHECK(cfi_rows_register(table));
	CHECK(cfi_objects_find(REGISTERED, &object) && object.registered);
	check_guesses_behind(REGISTERED);
	CHECK(cfi_rows_deregister(table));
}

/* What unwind_compare_print() writes, up to a size that it does not reach here. */
static void printed(char *text, size_t bytes, enum unwind_compare_class class, const uint64_t *own,
	unsigned n_own, const uint64_t *others, unsigned n_others, unsigned n_same)
{
	int saved = dup(2), ends[2];
	ssize_t n = -1;

	CHECK(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2);
	unwind_compare_print(class, own, n_own, others, n_others, n_same);
	CHECK(dup2(saved, 2) == 2);
	close(ends[1]);
	n = read(ends[0], text, bytes - 1);
	CHECK(n > 0);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	close(saved);
}

static void test_text(void)
{
	const uint64_t own[] = { HEAPSPY_FRAME_MAKE(CODE + 1, 3, 0),
		HEAPSPY_FRAME_MAKE((uintptr_t)lcong48, 4, 0), OUTSIDE };
	const uint64_t others[] = { CODE + 1, CODE + 2 };
	char text[4096], expected[1024];
	Dl_info program, libc;

	CHECK(dladdr((void *)covered, &program) && dladdr((void *)lcong48, &libc));
	printed(text, sizeof(text), COMPARE_DIFFERENT, own, 3, others, 2, 1);
	snprintf(expected, sizeof(expected),
		"heapspy: unwinders: a stack is different: 3 frames by our own, 2 by libunwind, "
		"1 the same\n"
		"heapspy:   0 both program+0x%lx\n"
		"heapspy:   1 own libc.so.6+0x%lx libunwind program+0x%lx\n"
		"heapspy:   2 own 0x30010 libunwind -\n",
		CODE + 1 - (uintptr_t)program.dli_fbase,
		(uintptr_t)lcong48 - (uintptr_t)libc.dli_fbase,
		CODE + 2 - (uintptr_t)program.dli_fbase);
	CHECK(strcmp(text, expected) == 0);
	if (strcmp(text, expected) != 0)
		printf("# %s# %s", text, expected);
	printed(text, sizeof(text), COMPARE_OWN_LONGER, own, 1, NULL, 0, 0);
	CHECK(strstr(text, "own longer: 1 frames by our own, 0 by libunwind, 0 the same\n"));
	printed(text, sizeof(text), COMPARE_OTHER_LONGER, NULL, 0, others, LENGTH(others), 0);
	CHECK(strstr(text, "libunwind longer: 0 frames by our own, 2 by libunwind, 0 the same\n"));
	CHECK(strstr(text, "1 own - libunwind program+0x"));
}

int main(void)
{
	cfi_rows_init();
	TAP_RUN(test_classes);
	TAP_RUN(test_code_outside_all_objects);
	TAP_RUN(test_registered_table);
	TAP_RUN(test_text);
	return tap_done();
}
