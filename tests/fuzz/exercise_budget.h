/*
 * exercise_budget.h - everything the command does with the bytes of a budget file, in one call: for
 * the mutation test and the libFuzzer target.
 */
#ifndef HEAPSPY_TEST_EXERCISE_BUDGET_H
#define HEAPSPY_TEST_EXERCISE_BUDGET_H

#include <stddef.h>

/*
 * Parses the bytes, checks that every error has a place inside them and is one line of text, and
 * asks for some sites. Returns the number of errors; what is wrong aborts.
 */
size_t exercise_budget(const char *text, size_t bytes);

#endif
