/* snapshot_codec.h: XXH64 against published values, in pieces too; varints at their edges. */
#include <string.h>
#include "snapshot_codec.h"
#include "tests/unit/tap.h"

static void test_checksum_of_known_texts(void)
{
	/* From the reference implementation (xxhsum 0.8), seed 0. */
	CHECK(codec_checksum("", 0) == 0xef46db3751d8e999ull);
	CHECK(codec_checksum("a", 1) == 0xd24ec4f1a98c6e5bull);
	CHECK(codec_checksum("abc", 3) == 0x44bc2cf5ad770999ull);
	CHECK(codec_checksum("Nobody inspects the spammish repetition", 39) ==
		0xfbcea83c8a378bf1ull);
}

static void test_checksum_does_not_depend_on_the_pieces(void)
{
	uint8_t data[301];
	unsigned step, i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + (i >> 3));
	for (step = 1; step < 80; step++) {
		struct codec_hash h;

		codec_hash_init(&h);
		for (i = 0; i < sizeof(data); i += step)
			codec_hash_update(
				&h, data + i, sizeof(data) - i < step ? sizeof(data) - i : step);
		CHECK(codec_hash_final(&h) == codec_checksum(data, sizeof(data)));
	}
}

static void test_varints_come_back(void)
{
	static const uint64_t values[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, 1ull << 62,
		UINT64_MAX - 1, UINT64_MAX };
	unsigned i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint8_t bytes[CODEC_VARINT_MAX_BYTES];
		unsigned n = codec_put_varint(bytes, values[i]), cut;
		const uint8_t *pos = bytes;
		uint64_t back = 0;

		CHECK(codec_get_varint(&pos, bytes + n, &back));
		CHECK(back == values[i] && pos == bytes + n);
		for (cut = 0; cut < n; cut++) {
			pos = bytes;
			CHECK(!codec_get_varint(&pos, bytes + cut, &back));
			CHECK(pos == bytes);
		}
	}
}

static void test_varints_too_large_are_refused(void)
{
	const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1 };
	const uint8_t above[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2 };
	const uint8_t *pos = eleven;
	uint64_t value;

	CHECK(!codec_get_varint(&pos, eleven + sizeof(eleven), &value));
	pos = above;
	CHECK(!codec_get_varint(&pos, above + sizeof(above), &value));
}

static void test_zigzag(void)
{
	CHECK(codec_zigzag(0) == 0 && codec_zigzag(-1) == 1 && codec_zigzag(1) == 2);
	CHECK(codec_unzigzag(codec_zigzag(INT64_MIN)) == INT64_MIN);
	CHECK(codec_unzigzag(codec_zigzag(INT64_MAX)) == INT64_MAX);
}

int main(void)
{
	TAP_RUN(test_checksum_of_known_texts);
	TAP_RUN(test_checksum_does_not_depend_on_the_pieces);
	TAP_RUN(test_varints_come_back);
	TAP_RUN(test_varints_too_large_are_refused);
	TAP_RUN(test_zigzag);
	return tap_done();
}
