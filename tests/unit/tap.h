/*
 * tap.h - the harness of the unit tests: TAP on stdout, nothing else.
 *
 * A test file is a plain program: static void test_x(void) functions that use
 * CHECK(), listed in main() by TAP_RUN(test_x), closed by return tap_done().
 * One TAP line a function; a failed CHECK names file, line and expression.
 */
#ifndef HEAPSPY_TAP_H
#define HEAPSPY_TAP_H

#include <stdio.h>

static int tap_count, tap_failed, tap_bad;

#define CHECK(expr)                                                                                \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			tap_bad++;                                                                 \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #expr);                        \
		}                                                                                  \
	} while (0)

/* As CHECK, and prints the two figures that should have been in order. */
#define CHECK_NEAR(a, b, tolerance)                                                                \
	do {                                                                                       \
		double a_ = (a), b_ = (b), t_ = (tolerance);                                       \
		if (!(a_ - b_ <= t_ && b_ - a_ <= t_)) {                                           \
			tap_bad++;                                                                 \
			printf("# %s:%d: %s = %.12g, expected %s = %.12g within %g\n", __FILE__,   \
				__LINE__, #a, a_, #b, b_, t_);                                     \
		}                                                                                  \
	} while (0)

#define TAP_RUN(function)                                                                          \
	do {                                                                                       \
		tap_bad = 0;                                                                       \
		function();                                                                        \
		tap_count++;                                                                       \
		tap_failed += tap_bad != 0;                                                        \
		printf("%sok %d - %s\n", tap_bad ? "not " : "", tap_count, #function);             \
		fflush(stdout);                                                                    \
	} while (0)

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
