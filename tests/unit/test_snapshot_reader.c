/* test_snapshot_reader.c - what the reader takes, and what it refuses in which words. */
#undef NDEBUG
#include <unistd.h>

#include "tests/unit/tap.h"
#include "tests/unit/snapshot_fixture.h"

#include "analyzer/read/snapshot_reader.h"

static struct fixture x;

static void begin(void)
{
	struct heapspy_sample sample = fixture_sample(0x1000, 4096, 7, 77, 5);

	fixture_init(&x, 3, 1000);
	fixture_add_module(&x, 1, "/usr/bin/api", 0x400000);
	fixture_add_stack(&x, 77, 0x401234, 3);
	fixture_add_stack(&x, 12, 0x402000, 1);
	fixture_add_sample(&x, &sample);
}

/* Builds, decodes and frees; the text of the failure stays in *f. */
static int try_decode(unsigned flags, uint32_t omit, struct snapshot **sp, struct fail *f)
{
	struct fixture_bytes file = fixture_build(&x, omit);
	int rc = snapshot_decode(file.data, file.bytes, "file", flags, sp, f);

	free(file.data);
	fixture_deinit(&x);
	return rc;
}

static int refused(const char *words)
{
	struct snapshot *s = NULL;
	struct fail f = { 0 };

	if (try_decode(0, 0, &s, &f) == 0) {
		snapshot_free(s);
		return 0;
	}
	if (!strstr(f.text, words) || f.exit_code != EXIT_CODE_INPUT) {
		printf("# %s\n", f.text);
		return 0;
	}
	return !strchr(f.text, '\n');
}

static void test_whole_snapshot(void)
{
	struct snapshot *s = NULL;
	struct fail f = { 0 };
	const uint64_t *frames;

	begin();
	CHECK(try_decode(0, 0, &s, &f) == 0);
	if (!s)
		return;
	CHECK(s->info.number == 3 && s->info.pid == 4121);
	CHECK(!strcmp(snapshot_string(s, s->info.comm), "api"));
	CHECK(!strcmp(snapshot_string(s, 0), "") && !strcmp(snapshot_string(s, 1 << 30), ""));
	CHECK(s->n_modules == 1 && s->module_of_serial[1] == 1 && s->module_of_serial[2] == 0);
	CHECK(s->n_threads == 2 && s->n_stacks == 2 && s->n_samples == 1 && s->n_ticks == 0);
	CHECK(s->stacks[0].id == 77 && s->stacks[0].n_frames == 3);
	frames = s->frames + s->stacks[0].first_frame;
	CHECK(HEAPSPY_FRAME_PC(frames[0]) == 0x401234 && HEAPSPY_FRAME_MODULE(frames[0]) == 1);
	CHECK(HEAPSPY_FRAME_PC(frames[2]) == 0x401254 && !(frames[2] & HEAPSPY_FRAME_EXACT));
	CHECK(s->stacks[1].allocated.n == 10 && s->stacks[1].allocated.S == 40960);
	CHECK(s->stacks[1].thinned.n == 1 && s->stacks[1].thinned.S == -1);
	CHECK(s->stacks[1].n_deaths == 1 && s->deaths[s->stacks[1].first_death].bucket == 20);
	CHECK(s->samples[0].stack == 0);
	snapshot_free(s);
}

static void test_foreign_files(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *words;
	} cases[] = {
		{ "", 0, "is empty" },
		{ "\x1f\x8b\x08", 3, "gzip" },
		{ "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\4\0", 18, "ELF core file" },
		{ "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0", 18, "looks like an ELF file" },
		{ "hello\n", 6, "looks like text" },
		{ "\1\2\3\4\5\6\7\10", 8, "unknown content" },
		{ "\x89HSPY\n\0\0", 8, "copied as text" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snapshot *s;
		struct fail f = { 0 };

		CHECK(snapshot_decode(
			      (const uint8_t *)cases[i].bytes, cases[i].n, "file", 0, &s, &f) < 0);
		CHECK(f.exit_code == EXIT_CODE_INPUT && strstr(f.text, cases[i].words));
	}
}

static void test_every_length_is_cut_short(void)
{
	struct fixture_bytes file;
	size_t n;

	begin();
	file = fixture_build(&x, 0);
	for (n = 0; n < file.bytes; n++) {
		struct snapshot *s = NULL;
		struct fail f = { 0 };
		/* A copy of its own size, so that a sanitizer sees a read beyond it. */
		uint8_t *part = malloc(n ? n : 1);

		memcpy(part, file.data, n);
		CHECK(snapshot_decode(part, n, "file", 0, &s, &f) < 0);
		if (n >= HEAPSPY_MAGIC_BYTES)
			CHECK(strstr(f.text, "cut short") != NULL);
		if (snapshot_decode(part, n, "file", SNAPSHOT_PARTIAL, &s, &f) == 0) {
			CHECK(SNAPSHOT_HAS(s, HEAPSPY_SECTION_STRINGS));
			snapshot_free(s);
		}
		free(part);
	}
	free(file.data);
	fixture_deinit(&x);
}

static void test_every_flipped_bit_is_found(void)
{
	struct fixture_bytes file;
	size_t bit, missed = 0;

	begin();
	file = fixture_build(&x, 0);
	for (bit = 0; bit < file.bytes * 8; bit++) {
		struct snapshot *s = NULL;
		struct fail f = { 0 };

		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) == 0) {
			missed++;
			snapshot_free(s);
		}
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Padding between sections is covered by no checksum: under 8 bytes behind each of 7. */
	CHECK(missed < 7 * 7 * 8);
	CHECK(missed % 8 == 0);
	free(file.data);
	fixture_deinit(&x);
}

static void test_newer_format(void)
{
	struct fixture_bytes file;
	struct snapshot *s;
	struct fail f = { 0 };

	begin();
	file = fixture_build(&x, 0);
	file.data[offsetof(struct heapspy_file_header, version)] = 3;
	CHECK(snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) < 0);
	CHECK(strstr(f.text, "format 3 is newer") != NULL);
	file.data[offsetof(struct heapspy_file_header, version)] = 0;
	CHECK(snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) < 0);
	CHECK(strstr(f.text, "damaged") != NULL);
	free(file.data);
	fixture_deinit(&x);
}

static void test_trailing_bytes(void)
{
	struct fixture_bytes file;
	struct snapshot *s;
	struct fail f = { 0 };

	begin();
	file = fixture_build(&x, 0);
	fixture_add(&file, "more", 4);
	CHECK(snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) < 0);
	CHECK(strstr(f.text, "4 bytes follow its end") != NULL);
	free(file.data);
	fixture_deinit(&x);
}

static void test_references(void)
{
	struct heapspy_sample sample;
	uint32_t beyond = 1 << 20;

	begin();
	sample = fixture_sample(0x2000, 1, 0, 78, 0);
	fixture_add_sample(&x, &sample);
	CHECK(refused("sample 1 names stack 78"));
	begin();
	sample = fixture_sample(0x2000, 1, 1001, 77, 0);
	fixture_add_sample(&x, &sample);
	CHECK(refused("sample 1 is out of range"));
	begin();
	sample = fixture_sample(0x2000, 1, 0, 77, 0);
	sample.size_thread |= 7ull << 48;
	fixture_add_sample(&x, &sample);
	CHECK(refused("sample 1 is out of range"));
	begin();
	sample = fixture_sample(0x2000, 1, 0, 77, 0);
	sample.birth_level |= 1ull << 56;
	fixture_add_sample(&x, &sample);
	CHECK(refused("sample 1 is out of range"));
	begin();
	x.info.comm = beyond;
	CHECK(refused("beyond STRINGS"));
	begin();
	fixture_add(&x.bodies[HEAPSPY_SECTION_THREADS], &beyond, sizeof(beyond));
	CHECK(refused("beyond STRINGS"));
	begin();
	fixture_add(&x.bodies[HEAPSPY_SECTION_STRINGS], "x", 1);
	CHECK(refused("begin and end with a NUL"));
	begin();
	fixture_add_module(&x, 1, "twice", 0);
	CHECK(refused("two modules have serial 1"));
	begin();
	fixture_add_stack(&x, 77, 0x1000, 1);
	CHECK(refused("two stacks have id 77"));
	begin();
	fixture_add(&x.bodies[HEAPSPY_SECTION_LIVE], "1234", 4);
	CHECK(refused("no multiple of 32"));
	begin();
	x.info.interval_bytes = 0;
	CHECK(refused("INFO"));
	begin();
	x.info.level = 16;
	CHECK(refused("INFO"));
}

static void test_stacks_out_of_range(void)
{
	static const struct {
		const char *what;
		uint64_t values[8];
		unsigned n;
	} cases[] = {
		{ "more frames than bytes", { 1, 0, 0, 1ull << 40 }, 4 },
		{ "id above 32 bits", { 1ull << 32, 0, 0, 0 }, 4 },
		{ "pc above 48 bits", { 1, 0, 0, 1, 1ull << 60 }, 5 },
		{ "pc below 0", { 1, 0, 0, 1, 1 << 1 }, 5 },
		{ "module that is not there", { 1, 0, 0, 1, 1, 9 << 1 }, 6 },
		{ "cut off", { 1 }, 1 },
	};
	size_t i;
	unsigned j;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture_bytes *b = &x.bodies[HEAPSPY_SECTION_STACKS];

		begin();
		for (j = 0; j < cases[i].n; j++)
			fixture_add_varint(b, cases[i].values[j]);
		/* The rest of a record, so that only the value at hand is wrong. */
		for (j = 0; cases[i].n > 1 && j < 7; j++)
			fixture_add_varint(b, 0);
		if (!refused("STACKS, record 2 is out of range")) {
			tap_bad++;
			printf("# %s\n", cases[i].what);
		}
	}
}

/* A record without frames, with one number in all five counters. */
static void add_counting_stack(uint32_t id, uint64_t number)
{
	struct fixture_bytes *b = &x.bodies[HEAPSPY_SECTION_STACKS];
	int i;

	fixture_add_varint(b, id);
	for (i = 0; i < 3; i++)
		fixture_add_varint(b, 0);
	for (i = 0; i < 5; i++)
		fixture_add_varint(b, number);
	fixture_add_varint(b, 0);
	fixture_add_varint(b, 0);
}

/* Around each power of two, at every distance from the end of the section. */
static void test_numbers_of_every_length(void)
{
	struct snapshot *s = NULL;
	struct fail f = { 0 };
	uint64_t number;
	unsigned bit, i;

	fixture_init(&x, 3, 1000);
	for (bit = 0; bit < 64; bit++)
		for (i = 0; i < 3; i++)
			add_counting_stack(3 * bit + i, (UINT64_C(1) << bit) + i - 1);
	add_counting_stack(192, UINT64_MAX);
	CHECK(try_decode(0, 0, &s, &f) == 0);
	CHECK(s && s->n_stacks == 193);
	for (i = 0; s && i < s->n_stacks; i++) {
		const struct snapshot_counters *c = &s->stacks[i].allocated;

		number = i < 192 ? (UINT64_C(1) << i / 3) + i % 3 - 1 : UINT64_MAX;
		CHECK(c->n == number && c->S == number && c->B == number && c->V == number &&
			c->C == number);
	}
	snapshot_free(s);
}

/* Samples find their stacks, however the ids lie; no id is there twice. */
static void test_ids_of_stacks(void)
{
	static const uint32_t ids[][4] = { { 0, 1, 2, 3 }, { 7, 2, 11, 5 }, { 16, 15, 1, 0 },
		{ UINT32_MAX, 0, 77, 1u << 31 }, { 100, 200, 300, 400 } };
	unsigned i, j;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct snapshot *s = NULL;
		struct fail f = { 0 };

		fixture_init(&x, 3, 1000);
		for (j = 0; j < 4; j++)
			add_counting_stack(ids[i][j], 10 * j);
		for (j = 0; j < 4; j++) {
			struct heapspy_sample sample =
				fixture_sample(0x1000 + j, 4096, 7, ids[i][3 - j], 5);

			fixture_add_sample(&x, &sample);
		}
		CHECK(try_decode(0, 0, &s, &f) == 0);
		for (j = 0; s && j < 4; j++)
			CHECK(s->samples[j].stack == 3 - j);
		snapshot_free(s);
		for (j = 0; j < 3; j++) {
			fixture_init(&x, 3, 1000);
			add_counting_stack(ids[i][j], 1);
			add_counting_stack(ids[i][3], 1);
			add_counting_stack(ids[i][j], 1);
			CHECK(refused("two stacks have id"));
		}
	}
}

/* The same from memory and from a file, which is removed. */
static int try_live(
	const struct fixture_bytes *file, bool on_disk, struct snapshot **sp, struct fail *f)
{
	char path[] = "/tmp/heapspy-test-reader-XXXXXX";
	int fd, rc;

	if (!on_disk)
		return snapshot_decode_live(file->data, file->bytes, "file", sp, f);
	fd = mkstemp(path);
	if (fd < 0 || write(fd, file->data, file->bytes) != (ssize_t)file->bytes)
		printf("Bail out! cannot write %s\n", path);
	close(fd);
	rc = snapshot_read_live(path, sp, f);
	unlink(path);
	return rc;
}

/* Of a snapshot among many INFO and LIVE are read, and nothing else can be wrong with it. */
static void test_live_alone(void)
{
	const uint32_t others = 1u << HEAPSPY_SECTION_STACKS | 1u << HEAPSPY_SECTION_MODULES |
				1u << HEAPSPY_SECTION_STRINGS | 1u << HEAPSPY_SECTION_THREADS |
				1u << HEAPSPY_SECTION_TICKS;
	struct heapspy_sample unknown = fixture_sample(0x2000, 64, 9, 4000000000, 6),
			      late = unknown;
	struct fixture_bytes whole, alone, damaged, missing, too_late;
	struct fail f = { 0 };
	struct snapshot *s;
	bool on_disk;
	size_t i;

	begin();
	fixture_add_sample(&x, &unknown);
	whole = fixture_build(&x, 0);
	alone = fixture_build(&x, others);
	missing = fixture_build(&x, 1u << HEAPSPY_SECTION_LIVE);
	late.birth_level = 1001;
	fixture_add_sample(&x, &late);
	too_late = fixture_build(&x, 0);
	fixture_deinit(&x);
	damaged.data = malloc(whole.bytes);
	damaged.bytes = whole.bytes;
	memcpy(damaged.data, whole.data, whole.bytes);
	/* The file ends with the samples. */
	damaged.data[damaged.bytes - 1] ^= 1;
	for (on_disk = false;; on_disk = true) {
		const struct fixture_bytes *good[] = { &whole, &alone };

		for (i = 0; i < 2; i++) {
			s = NULL;
			CHECK(try_live(good[i], on_disk, &s, &f) == 0);
			if (!s)
				continue;
			CHECK(s->info.number == 3 && s->n_samples == 2);
			CHECK(s->samples[0].stack == 77 && s->samples[1].stack == 4000000000);
			CHECK(!s->n_stacks && !s->n_modules && !s->n_threads && !s->strings);
			CHECK(!strcmp(snapshot_string(s, s->info.comm), ""));
			CHECK(SNAPSHOT_HAS(s, HEAPSPY_SECTION_LIVE));
			CHECK(!SNAPSHOT_HAS(s, HEAPSPY_SECTION_STACKS));
			snapshot_free(s);
		}
		CHECK(try_live(&damaged, on_disk, &s, &f) < 0 &&
			strstr(f.text, "checksum of its LIVE section"));
		CHECK(try_live(&missing, on_disk, &s, &f) < 0 &&
			strstr(f.text, "it has no LIVE section"));
		CHECK(try_live(&too_late, on_disk, &s, &f) < 0 &&
			strstr(f.text, "sample 2 is out of range"));
		whole.bytes -= 8;
		CHECK(try_live(&whole, on_disk, &s, &f) < 0 && strstr(f.text, "is cut short at"));
		whole.bytes += 8;
		if (on_disk)
			break;
	}
	free(whole.data);
	free(alone.data);
	free(damaged.data);
	free(missing.data);
	free(too_late.data);
}

static void test_missing_sections(void)
{
	uint32_t kind;

	for (kind = HEAPSPY_SECTION_INFO; kind <= HEAPSPY_SECTION_TICKS; kind++) {
		struct snapshot *s = NULL;
		struct fail f = { 0 };
		int rc;

		begin();
		rc = try_decode(0, 1u << kind, &s, &f);
		CHECK((rc == 0) == (kind == HEAPSPY_SECTION_TICKS));
		CHECK(rc == 0 || strstr(f.text, snapshot_section_name(kind)));
		snapshot_free(rc == 0 ? s : NULL);
	}
}

static void test_partial_takes_what_is_whole(void)
{
	struct fixture_bytes file;
	struct heapspy_section section;
	struct snapshot *s = NULL;
	struct fail f = { 0 };

	begin();
	file = fixture_build(&x, 0);
	memcpy(&section,
		file.data + sizeof(struct heapspy_file_header) +
			(HEAPSPY_SECTION_STACKS - 1) * sizeof(section),
		sizeof(section));
	file.data[section.offset] ^= 1;
	CHECK(snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) < 0);
	CHECK(strstr(f.text, "STACKS section is wrong") != NULL);
	CHECK(snapshot_decode(file.data, file.bytes, "file", SNAPSHOT_PARTIAL, &s, &f) == 0);
	/* LIVE itself is whole, but names stacks that cannot be trusted. */
	CHECK(!SNAPSHOT_HAS(s, HEAPSPY_SECTION_STACKS) && !SNAPSHOT_HAS(s, HEAPSPY_SECTION_LIVE));
	CHECK(SNAPSHOT_HAS(s, HEAPSPY_SECTION_MODULES) && s->n_modules == 1 && s->n_samples == 0);
	snapshot_free(s);
	free(file.data);
	fixture_deinit(&x);
}

static void test_later_writers(void)
{
	struct fixture_bytes file;
	struct heapspy_section section;
	uint8_t *at;
	struct snapshot *s = NULL;
	struct fail f = { 0 };

	begin();
	file = fixture_build(&x, 0);
	/* A section kind that this reader does not know, in place of TICKS. */
	at = file.data + sizeof(struct heapspy_file_header) +
	     (HEAPSPY_SECTION_TICKS - 1) * sizeof(section);
	memcpy(&section, at, sizeof(section));
	section.kind = 4000000;
	memcpy(at, &section, sizeof(section));
	fixture_seal(file.data, file.bytes);
	CHECK(snapshot_decode(file.data, file.bytes, "file", 0, &s, &f) == 0);
	if (s)
		CHECK(s->n_samples == 1);
	snapshot_free(s);
	free(file.data);
	fixture_deinit(&x);
}

int main(void)
{
	TAP_RUN(test_whole_snapshot);
	TAP_RUN(test_foreign_files);
	TAP_RUN(test_every_length_is_cut_short);
	TAP_RUN(test_every_flipped_bit_is_found);
	TAP_RUN(test_newer_format);
	TAP_RUN(test_trailing_bytes);
	TAP_RUN(test_references);
	TAP_RUN(test_stacks_out_of_range);
	TAP_RUN(test_numbers_of_every_length);
	TAP_RUN(test_ids_of_stacks);
	TAP_RUN(test_live_alone);
	TAP_RUN(test_missing_sections);
	TAP_RUN(test_partial_takes_what_is_whole);
	TAP_RUN(test_later_writers);
	return tap_done();
}
