/*
 * fuzz_cfi.c - libFuzzer target for frame information.
 *
 * A clang build makes it on demand: ninja tests/fuzz/fuzz_cfi. The input is .eh_frame_hdr
 * with what follows it in memory; start it on a folder with some of real objects.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/exercise_cfi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	struct exercise_cfi_figures figures = { 0 };
	uint8_t *bytes = malloc(n_bytes ? n_bytes : 1);
	struct cfi_section section = { bytes, bytes + n_bytes, bytes };
	const uint8_t *end;
	uintptr_t lo, hi;
	bool good = true;

	if (n_bytes)
		memcpy(bytes, data, n_bytes);
	/* Where the search table says that functions begin, and a little further. */
	for (size_t at = 12; at + 4 <= n_bytes && at < 12 + 8 * 8; at += 8) {
		int32_t offset;

		memcpy(&offset, bytes + at, sizeof(offset));
		for (int k = -1; k < 16; k += 5)
			good &= exercise_cfi(&section,
				(uintptr_t)bytes + (uintptr_t)((intptr_t)offset + k), &figures);
	}
	/* The same bytes as a table without a header. */
	cfi_table_extent(section.lo, n_bytes, &end, &lo, &hi);
	free(bytes);
	if (!good)
		abort();
	return 0;
}
