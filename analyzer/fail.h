/*
 * fail.h - the error value of the analyzer: an exit code and the text a person sees.
 *
 * A function that can fail for reasons outside the program takes a struct fail,
 * returns 0 or -1, and fills it before -1. Nothing below cmd_*.c and main.c
 * prints; they hand the value to fail_print().
 */
#ifndef HEAPSPY_ANALYZER_FAIL_H
#define HEAPSPY_ANALYZER_FAIL_H

#include <stdbool.h>

/* Exit codes of the command. */
#define EXIT_CODE_GATE  1 /* diff --exit-code: something grew */
#define EXIT_CODE_USAGE 2 /* wrong usage */
#define EXIT_CODE_INPUT 3 /* input unreadable or not comparable */
#define EXIT_CODE_OTHER 4 /* input and output errors, memory */

struct fail {
	int exit_code;
	char text[1200]; /* one to three lines, no prefix, no newline at the end */
};

/* Fills f from a printf format; a longer text is cut. Returns -1. */
int fail_set(struct fail *f, int exit_code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Prints f on stderr, each line behind "heapspy: ", control characters escaped.
 * Returns f's exit code.
 */
int fail_print(const struct fail *f);

/* Whether warnings and errors are yellow from now on; they are not at first. */
void fail_use_color(bool color);

/* Prints lines that warn of nothing on stderr, in the same way but without colour. */
void fail_say(const char *text);

/* Prints one line of warning on stderr in the same way. */
void fail_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
