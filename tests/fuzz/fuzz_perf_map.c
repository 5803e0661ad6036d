/*
 * fuzz_perf_map.c - libFuzzer target for perf map files: any bytes are a map, and
 * every address has one answer, also those at the edges of 64 bits.
 *
 * A clang build makes it on demand: ninja tests/fuzz/fuzz_perf_map.
 * tests/unit/test_perf_map.c does the same with mutations from a fixed seed.
 */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "analyzer/symbols/perf_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const uint64_t edges[] = { 0, 1, 0x1000, 0xfff, INT64_MAX, UINT64_MAX - 1,
		UINT64_MAX };
	struct perf_map *map = perf_map_parse((const char *)data, bytes);
	size_t n_chars = 0;

	assert(map);
	for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		const char *name = perf_map_find(map, edges[i]);

		n_chars += name ? strlen(name) : 0;
	}
	for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i++) {
		uint64_t pc = 0;
		const char *name;

		memcpy(&pc, data + i, sizeof(pc));
		name = perf_map_find(map, pc);
		n_chars += name ? strlen(name) : 0;
	}
	perf_map_free(map);
	return n_chars > SIZE_MAX / 2;
}
