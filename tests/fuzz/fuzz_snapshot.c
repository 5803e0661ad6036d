/*
 * fuzz_snapshot.c - libFuzzer target for everything that is done with a snapshot.
 *
 * A clang build makes it on demand: ninja tests/fuzz/fuzz_snapshot. Checksums are set
 * right before use, or the fuzzer would never get past them; mutate_sections.c keeps the
 * offsets of the sections right, too.
 */
#include "tests/fuzz/exercise.h"
#include "tests/unit/snapshot_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct fixture_bytes base;
	uint64_t file_bytes = bytes;
	enum exercise_result result;
	uint8_t *sealed;

	if (!base.data) {
		struct heapspy_sample sample = fixture_sample(0x1000, 4096, 7, 1, 5);
		struct fixture x;

		fixture_init(&x, 1, 1000);
		fixture_add_module(&x, 1, "/nowhere/api", 0x400000);
		fixture_add_stack(&x, 1, 0x401234, 3);
		fixture_add_sample(&x, &sample);
		base = fixture_build(&x, 0);
		fixture_deinit(&x);
	}
	sealed = malloc(bytes ? bytes : 1);
	if (bytes)
		memcpy(sealed, data, bytes);
	if (bytes >= sizeof(struct heapspy_file_header)) {
		memcpy(sealed, HEAPSPY_MAGIC, HEAPSPY_MAGIC_BYTES);
		memcpy(sealed + offsetof(struct heapspy_file_header, file_bytes), &file_bytes,
			sizeof(file_bytes));
		fixture_seal(sealed, bytes);
	}
	result = exercise_snapshot(sealed, bytes, base.data, base.bytes);
	free(sealed);
	if (result == EXERCISE_WRONG)
		abort();
	return 0;
}
