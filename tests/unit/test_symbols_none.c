/*
 * test_symbols_none.c - analyzer/symbols in a build without libdw: every
 * address is module+0xoffset, and the report says why.
 */
#include "analyzer/symbols/symbols.h"

#include <string.h>

#include "tests/unit/tap.h"

static void test_offsets(void)
{
	struct symbol_module_ref ref = { .path = "/proc/self/exe" };
	struct symbols *symbols = symbols_new();
	const struct symbol_frame *frames;
	struct symbols_report report;
	unsigned n_frames;

	CHECK(symbols_add_module(symbols, &ref) == 0);
	CHECK(symbols_request(symbols, 0, 0x1234) == 0);
	CHECK(symbols_request(symbols, 0, 0x20) == 0);
	CHECK(symbols_resolve(symbols) == 0);
	frames = symbols_lookup(symbols, 0, 0x1234, &n_frames);
	CHECK(n_frames == 1 && strcmp(frames->function, "exe+0x1234") == 0);
	CHECK(!frames->file && !frames->line && !frames->inlined);
	symbols_get_report(symbols, 0, &report);
	CHECK(report.source == SYMBOLS_NOT_BUILT_IN);
	CHECK(report.n_addresses == 2 && report.n_unnamed == 2);
	symbols_free(symbols);
}

int main(void)
{
	TAP_RUN(test_offsets);
	return tap_done();
}
