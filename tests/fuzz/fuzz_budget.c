/*
 * fuzz_budget.c - libFuzzer target for budget files: any bytes are limits, errors with their
 * places, or both.
 *
 * A clang build makes it on demand: ninja tests/fuzz/fuzz_budget.
 * mutate_budget.c does the same with mutations from a fixed seed.
 */
#include <stdint.h>

#include "tests/fuzz/exercise_budget.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	exercise_budget((const char *)data, bytes);
	return 0;
}
