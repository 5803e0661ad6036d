/*
 * test_unwind_compare.c - stacks made by hand: where unwinders part, what that
 * is called, and the text of it.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "heapspy/snapshot.h"
#include "preload/cfi_objects.h"
#include "preload/cfi_rows.h"
#include "preload/modules.h"
#include "preload/process.h"
#include "preload/unwind_compare.h"
#include "tap.h"

uint32_t process_seccomp;

/* Where this program has frame information, a table of __register_frame() will be, nothing is. */
#define CODE       ((uint64_t)(uintptr_t)covered)
#define REGISTERED 0x20010ull
#define OUTSIDE    0x30010ull

#define INTERRUPTED ((CODE + 2) | HEAPSPY_FRAME_EXACT)

unsigned modules_serial(const struct dl_find_object *object)
{
	return 3;
}

static struct cfi_work work;

static __attribute__((noinline)) unsigned covered(unsigned a)
{
	return a * a + 1;
}

struct stack {
	uint64_t words[4];
	unsigned n;
};

static enum unwind_compare_class judge(
	struct stack own, struct stack libunwind, struct stack libgcc)
{
	const struct unwind_column a = { "own", own.words, own.n };
	const struct unwind_column b = { "libunwind", libunwind.words, libunwind.n };
	const struct unwind_column c = { "libgcc", libgcc.words, libgcc.n };
	struct unwind_verdict verdict = unwind_compare(&a, &b, &c, &work);

	CHECK(verdict.equals_libunwind ==
		(own.n == libunwind.n && unwind_compare_pcs(&a, &b) == own.n));
	/* More than the pcs has to be equal there. */
	CHECK(!verdict.equals_libgcc || (own.n == libgcc.n && unwind_compare_pcs(&a, &c) == own.n));
	CHECK((verdict.class == COMPARE_EQUAL) ==
		(verdict.equals_libunwind && verdict.equals_libgcc));
	return verdict.class;
}

static void test_classes(void)
{
	const struct stack own = { { HEAPSPY_FRAME_MAKE(CODE + 1, 3, 0),
					   HEAPSPY_FRAME_MAKE(CODE + 2, 3, 1),
					   HEAPSPY_FRAME_MAKE(CODE + 3, 3, 0) },
		3 };
	const struct stack none = { { 0 }, 0 };
	/* libunwind's do not say which pc is exact. */
	const struct stack equal = { { CODE + 1, CODE + 2, CODE + 3 }, 3 };
	const struct stack exact = { { CODE + 1, INTERRUPTED, CODE + 3 }, 3 };
	const struct stack shorter = { { CODE + 1, INTERRUPTED }, 2 };
	const struct stack longer = { { CODE + 1, INTERRUPTED, CODE + 3, CODE + 4 }, 4 };
	const struct stack last = { { CODE + 1, INTERRUPTED, CODE + 4 }, 3 };
	const struct stack last2 = { { CODE + 1, INTERRUPTED, CODE + 5 }, 3 };
	const struct stack first = { { CODE + 5, CODE + 2, CODE + 3 }, 3 };

	CHECK(judge(own, equal, exact) == COMPARE_EQUAL);
	CHECK(judge(none, none, none) == COMPARE_EQUAL);
	CHECK(judge(own, exact, equal) == COMPARE_LIBGCC_DIFFERS);
	CHECK(judge(own, equal, shorter) == COMPARE_LIBGCC_DIFFERS);
	CHECK(judge(own, equal, first) == COMPARE_LIBGCC_DIFFERS);
	CHECK(judge(own, shorter, exact) == COMPARE_LIBUNWIND_DIFFERS);
	CHECK(judge(own, longer, exact) == COMPARE_LIBUNWIND_DIFFERS);
	CHECK(judge(own, last, exact) == COMPARE_LIBUNWIND_DIFFERS);
	CHECK(judge(own, none, exact) == COMPARE_LIBUNWIND_DIFFERS);
	/* The others need not agree to the end, only where they leave us. */
	CHECK(judge(own, shorter, shorter) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, longer, longer) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, last, last) == COMPARE_OWN_DIFFERS);
	CHECK(judge(shorter, last, last) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, none, none) == COMPARE_OWN_DIFFERS);
	CHECK(judge(none, equal, last) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, last, last2) == COMPARE_ALL_DIFFER);
	CHECK(judge(own, last, shorter) == COMPARE_ALL_DIFFER);
	CHECK(judge(own, first, last) == COMPARE_ALL_DIFFER);
	CHECK(judge(own, none, shorter) == COMPARE_ALL_DIFFER);
}

/* Whatever comes behind such a frame is a guess; the frame itself is not. */
static void test_code_outside_all_objects(void)
{
	const struct stack own = { { CODE + 1, OUTSIDE, CODE + 2 }, 3 };
	const struct stack behind = { { CODE + 1, OUTSIDE, CODE + 3 }, 3 };
	const struct stack up_to = { { CODE + 1, OUTSIDE }, 2 };
	const struct stack before = { { CODE + 1, CODE + 3, CODE + 2 }, 3 };
	const struct stack shorter = { { CODE + 1 }, 1 };

	CHECK(judge(own, own, own) == COMPARE_EQUAL);
	CHECK(judge(own, own, up_to) == COMPARE_EQUAL_BY_RULES);
	CHECK(judge(own, behind, up_to) == COMPARE_EQUAL_BY_RULES);
	CHECK(judge(own, up_to, up_to) == COMPARE_EQUAL_BY_RULES);
	CHECK(judge(up_to, own, up_to) == COMPARE_EQUAL_BY_RULES);
	CHECK(judge(own, shorter, up_to) == COMPARE_LIBUNWIND_DIFFERS);
	CHECK(judge(own, before, up_to) == COMPARE_LIBUNWIND_DIFFERS);
	CHECK(judge(own, own, shorter) == COMPARE_LIBGCC_DIFFERS);
	CHECK(judge(own, behind, before) == COMPARE_LIBGCC_DIFFERS);
	CHECK(judge(own, before, before) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, shorter, shorter) == COMPARE_OWN_DIFFERS);
}

/* libunwind does not know these tables; libgcc does. */
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
	const struct stack own = { { CODE + 1, REGISTERED, CODE + 2 }, 3 };
	const struct stack behind = { { CODE + 1, REGISTERED, CODE + 3 }, 3 };
	const struct stack up_to = { { CODE + 1, REGISTERED }, 2 };
	const struct stack before = { { CODE + 1, CODE + 3, CODE + 2 }, 3 };
	struct cfi_object object;

	CHECK(cfi_rows_register(table));
	CHECK(cfi_objects_find(REGISTERED, &object) && object.registered);
	CHECK(judge(own, own, own) == COMPARE_EQUAL);
	CHECK(judge(own, up_to, own) == COMPARE_REGISTERED);
	CHECK(judge(own, behind, own) == COMPARE_REGISTERED);
	CHECK(judge(own, before, own) == COMPARE_LIBUNWIND_DIFFERS);
	CHECK(judge(own, own, up_to) == COMPARE_LIBGCC_DIFFERS);
	CHECK(judge(own, behind, behind) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, up_to, up_to) == COMPARE_OWN_DIFFERS);
	CHECK(judge(own, up_to, behind) == COMPARE_ALL_DIFFER);
	CHECK(cfi_rows_deregister(table));
}

static void test_own_ways(void)
{
	const uint64_t a[] = { HEAPSPY_FRAME_MAKE(CODE, 3, 0), HEAPSPY_FRAME_MAKE(CODE, 4, 1) };
	const uint64_t module[] = { HEAPSPY_FRAME_MAKE(CODE, 3, 0),
		HEAPSPY_FRAME_MAKE(CODE, 5, 1) };
	const uint64_t exact[] = { HEAPSPY_FRAME_MAKE(CODE, 3, 0), HEAPSPY_FRAME_MAKE(CODE, 4, 0) };
	const struct unwind_column one = { "one", a, 2 }, same = { "same", a, 2 };
	const struct unwind_column shorter = { "shorter", a, 1 };
	const struct unwind_column other_module = { "module", module, 2 };
	const struct unwind_column other_exact = { "exact", exact, 2 };

	CHECK(unwind_compare_words(&one, &same));
	CHECK(!unwind_compare_words(&one, &shorter) && !unwind_compare_words(&shorter, &one));
	CHECK(!unwind_compare_words(&one, &other_module));
	CHECK(!unwind_compare_words(&one, &other_exact));
	CHECK(unwind_compare_pcs(&one, &shorter) == 1);
	CHECK(unwind_compare_pcs(&one, &other_module) == 2);
	CHECK(unwind_compare_pcs(&one, &other_exact) == 2);
}

/* What unwind_compare_print() writes, up to a size that it does not reach here. */
static void printed(
	char *text, size_t bytes, const struct unwind_column *columns, unsigned n_columns)
{
	int saved = dup(2), ends[2];
	ssize_t n = -1;

	CHECK(saved >= 0 && pipe(ends) == 0 && dup2(ends[1], 2) == 2);
	unwind_compare_print("of this test", columns, n_columns);
	CHECK(dup2(saved, 2) == 2);
	close(ends[1]);
	n = read(ends[0], text, bytes - 1);
	CHECK(n > 0);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	close(saved);
}

static void check_text(const struct unwind_column *columns, unsigned n, const char *expected)
{
	char text[4096];

	printed(text, sizeof(text), columns, n);
	CHECK(strcmp(text, expected) == 0);
	if (strcmp(text, expected) != 0)
		printf("# %s# %s", text, expected);
}

static void test_text(void)
{
	const uint64_t own[] = { HEAPSPY_FRAME_MAKE(CODE + 1, 3, 0),
		HEAPSPY_FRAME_MAKE((uintptr_t)lcong48, 4, 0), OUTSIDE };
	const uint64_t others[] = { CODE + 1, CODE + 2 };
	const struct unwind_column columns[] = { { "own", own, 3 }, { "libunwind", others, 2 },
		{ "libgcc", own, 2 } };
	const struct unwind_column nothing[] = { { "own", own, 1 }, { "slow", NULL, 0 } };
	Dl_info program, libc;
	char expected[1024];

	CHECK(dladdr((void *)covered, &program) && dladdr((void *)lcong48, &libc));
	snprintf(expected, sizeof(expected),
		"heapspy: unwinders: a stack is of this test\n"
		"heapspy:   0 all program+0x%lx\n"
		"heapspy:   1 own libc.so.6+0x%lx libunwind program+0x%lx libgcc libc.so.6+0x%lx\n"
		"heapspy:   2 own 0x30010 libunwind - libgcc -\n",
		CODE + 1 - (uintptr_t)program.dli_fbase,
		(uintptr_t)lcong48 - (uintptr_t)libc.dli_fbase,
		CODE + 2 - (uintptr_t)program.dli_fbase,
		(uintptr_t)lcong48 - (uintptr_t)libc.dli_fbase);
	check_text(columns, 3, expected);
	snprintf(expected, sizeof(expected),
		"heapspy: unwinders: a stack is of this test\n"
		"heapspy:   0 own program+0x%lx slow -\n",
		CODE + 1 - (uintptr_t)program.dli_fbase);
	check_text(nothing, 2, expected);
}

/* A line of log.c is cut without a word. */
static void test_names_are_different_and_short(void)
{
	for (int i = 0; i < COMPARE_N_CLASSES; i++) {
		const char *name = unwind_compare_name(i);

		CHECK(strlen(name) > 4 && strlen(name) < 100);
		for (int j = 0; j < i; j++)
			CHECK(strcmp(name, unwind_compare_name(j)) != 0);
	}
}

int main(void)
{
	cfi_rows_init();
	TAP_RUN(test_classes);
	TAP_RUN(test_code_outside_all_objects);
	TAP_RUN(test_registered_table);
	TAP_RUN(test_own_ways);
	TAP_RUN(test_text);
	TAP_RUN(test_names_are_different_and_short);
	return tap_done();
}
