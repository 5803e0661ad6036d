/*
 * fuzz_state.c - libFuzzer target for the readers of a state, from the file to all that is printed
 * of its snapshot. What an input means: exercise_state.h.
 *
 * A clang build makes it on demand: ninja tests/fuzz/fuzz_state. mutate_state.c damages states
 * from a fixed seed.
 */
#include "tests/fuzz/exercise_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	exercise_state(data, bytes);
	return 0;
}
