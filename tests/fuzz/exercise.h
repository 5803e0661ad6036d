/*
 * exercise.h - everything the command does with the bytes of a snapshot, in one
 * call: for the mutation test and the libFuzzer target.
 */
#ifndef HEAPSPY_TEST_EXERCISE_H
#define HEAPSPY_TEST_EXERCISE_H

#include <stddef.h>
#include <stdint.h>

enum exercise_result {
	EXERCISE_REFUSED, /* with one line and EXIT_CODE_INPUT */
	EXERCISE_USED,    /* read, compared, ranked and printed */
	EXERCISE_WRONG,   /* refused in any other way; the text is on stdout */
};

/*
 * base is a sound snapshot to compare with (base_bytes), read once and kept. Sanitizers and
 * asserts report what goes wrong.
 */
enum exercise_result exercise_snapshot(
	const uint8_t *data, size_t bytes, const uint8_t *base, size_t base_bytes);

/* Frees what exercise_snapshot() keeps. */
void exercise_end(void);

#endif
