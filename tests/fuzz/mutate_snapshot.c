/*
 * mutate_snapshot.c - twelve thousand broken snapshots, from a fixed seed: each is
 * refused with one line and the exit code for bad input, or used, and never more.
 *
 * Plain damage is found by the checksums. Three quarters of the mutants get right ones again, so
 * that the code behind them is reached; the test fails when too few of them are.
 * Its worth is in the sanitized build. An argument is another seed, for a longer search.
 */
#undef NDEBUG
#include "tests/unit/tap.h"
#include "tests/unit/snapshot_fixture.h"

#include "sample_math.h"
#include "tests/fuzz/exercise.h"

#define N_MUTANTS 12000
#define N_SEEDS   4

static struct sample_rng rng;
static struct fixture_bytes seeds[N_SEEDS];

static uint64_t below(uint64_t n)
{
	return n ? sample_rng_next(&rng) % n : 0;
}

/* A sound snapshot of n_stacks stacks and n_live samples. */
static struct fixture_bytes make_seed(uint32_t number, uint32_t n_stacks, uint32_t n_live)
{
	struct heapspy_tick tick = { 1000, 1 << 20, n_live };
	struct fixture_bytes file;
	struct fixture x;
	uint32_t i;

	fixture_init(&x, number, 1000000);
	fixture_add_module(&x, 1, "/nowhere/api", 0x400000);
	fixture_add_module(&x, 2, "/nowhere/lib\033[1m.so", 0x7f0000000000);
	x.info.label = fixture_add_string(&x, "mark");
	x.info.level = number % 3;
	if (number == 3)
		x.info.interval_bytes = 1;
	for (i = 0; i < n_stacks; i++)
		fixture_add_stack(&x, 3 * i + 1, 0x401000 + 64 * i, i % 9);
	for (i = 0; i < n_live; i++) {
		struct heapspy_sample sample = fixture_sample(0x10000 + 16 * i,
			(uint64_t)1 << i % 24, i, 3 * (i % n_stacks) + 1, i * 2654435769u);

		fixture_add_sample(&x, &sample);
	}
	fixture_add(&x.bodies[HEAPSPY_SECTION_TICKS], &tick, sizeof(tick));
	file = fixture_build(&x, 0);
	fixture_deinit(&x);
	return file;
}

/* Values at the edges of what fields hold. */
static uint64_t edge_value(void)
{
	static const uint64_t edges[] = { 0, 1, 7, 8, 15, 16, 47, 48, 127, 128, 255, 0x7fff, 0x8000,
		0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xffffffffffff,
		0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffff8, UINT64_MAX };

	return edges[below(sizeof(edges) / sizeof(edges[0]))] + (below(4) ? 0 : below(3) - 1);
}

static void overwrite(struct fixture_bytes *m)
{
	uint64_t value = edge_value();
	size_t width = (size_t)1 << below(4);

	if (m->bytes >= width)
		memcpy(m->data + (below(m->bytes - width + 1) & ~(width - 1)), &value, width);
}

/* Replaces a stretch by one of another seed, of another length where grow says so. */
static void splice(struct fixture_bytes *m, bool grow)
{
	const struct fixture_bytes *from = &seeds[below(N_SEEDS)];
	size_t take = below(from->bytes < 200 ? from->bytes : 200);
	size_t source = below(from->bytes - take + 1), at = below(m->bytes + 1);
	size_t drop = grow ? below(m->bytes - at + 1) % 200 : take;

	if (drop > m->bytes - at)
		drop = m->bytes - at;
	m->data = realloc(m->data, m->bytes + take + 1);
	memmove(m->data + at + take, m->data + at + drop, m->bytes - at - drop);
	memcpy(m->data + at, from->data + source, take);
	m->bytes += take - drop;
}

/* A field of the section table, or the body of one section in full. */
static void damage_section(struct fixture_bytes *m)
{
	struct heapspy_section section;
	uint64_t value = edge_value();
	size_t at =
		sizeof(struct heapspy_file_header) + below(HEAPSPY_SECTION_TICKS) * sizeof(section);

	if (at + sizeof(section) > m->bytes)
		return;
	memcpy(&section, m->data + at, sizeof(section));
	switch (below(4)) {
	case 0:
		section.kind = (uint32_t)below(10);
		break;
	case 1:
		section.offset = below(2) ? value : below(m->bytes) & ~7ull;
		break;
	case 2:
		section.bytes = below(2) ? value : below(section.bytes + 1);
		break;
	default:
		if (section.offset < m->bytes && section.bytes <= m->bytes - section.offset)
			memset(m->data + section.offset, (int)below(256), section.bytes);
	}
	memcpy(m->data + at, &section, sizeof(section));
}

/* A byte of the STACKS or LIVE body, where the references are. */
static void damage_body(struct fixture_bytes *m)
{
	struct heapspy_section section;
	size_t kind = below(2) ? HEAPSPY_SECTION_STACKS : HEAPSPY_SECTION_LIVE;
	size_t at = sizeof(struct heapspy_file_header) + (kind - 1) * sizeof(section);

	if (at + sizeof(section) > m->bytes)
		return;
	memcpy(&section, m->data + at, sizeof(section));
	if (section.bytes && section.offset < m->bytes &&
		section.bytes <= m->bytes - section.offset)
		m->data[section.offset + below(section.bytes)] = (uint8_t)below(256);
}

static struct fixture_bytes mutate(void)
{
	const struct fixture_bytes *seed = &seeds[below(N_SEEDS)];
	struct fixture_bytes m = { 0 };
	unsigned i, n = 1 + (unsigned)below(4);

	fixture_add(&m, seed->data, seed->bytes);
	for (i = 0; i < n && m.bytes; i++) {
		switch (below(8)) {
		case 0:
			m.bytes = below(m.bytes + 1);
			break;
		case 1:
			m.data[below(m.bytes)] ^= (uint8_t)(1 << below(8));
			break;
		case 2:
		case 3:
			overwrite(&m);
			break;
		case 4:
			splice(&m, below(2));
			break;
		case 5:
			damage_section(&m);
			break;
		default:
			damage_body(&m);
			break;
		}
	}
	if (m.bytes >= sizeof(struct heapspy_file_header) && below(4)) {
		uint64_t bytes = m.bytes;

		memcpy(m.data, HEAPSPY_MAGIC, HEAPSPY_MAGIC_BYTES);
		memcpy(m.data + offsetof(struct heapspy_file_header, file_bytes), &bytes,
			sizeof(bytes));
		fixture_seal(m.data, m.bytes);
	}
	/* To its own size, so that a sanitizer sees the first byte beyond. */
	m.data = realloc(m.data, m.bytes ? m.bytes : 1);
	return m;
}

static void test_seeds_are_sound(void)
{
	unsigned i;

	for (i = 0; i < N_SEEDS; i++)
		CHECK(exercise_snapshot(seeds[i].data, seeds[i].bytes, seeds[0].data,
			      seeds[0].bytes) == EXERCISE_USED);
}

static void test_mutants(void)
{
	unsigned i, n[3] = { 0 };

	for (i = 0; i < N_MUTANTS; i++) {
		struct fixture_bytes m = mutate();

		n[exercise_snapshot(m.data, m.bytes, seeds[0].data, seeds[0].bytes)]++;
		free(m.data);
	}
	printf("# %u mutants: %u refused, %u used\n", N_MUTANTS, n[EXERCISE_REFUSED],
		n[EXERCISE_USED]);
	CHECK(n[EXERCISE_WRONG] == 0);
	CHECK(n[EXERCISE_REFUSED] > N_MUTANTS / 4);
	CHECK(n[EXERCISE_USED] > N_MUTANTS / 20);
}

int main(int argc, char **argv)
{
	unsigned i;

	sample_rng_seed(&rng, argc > 1 ? strtoull(argv[1], NULL, 10) : 2);
	seeds[0] = make_seed(1, 8, 12);
	seeds[1] = make_seed(2, 40, 100);
	seeds[2] = make_seed(3, 5, 20);
	seeds[3] = make_seed(4, 1, 0);
	TAP_RUN(test_seeds_are_sound);
	TAP_RUN(test_mutants);
	exercise_end();
	for (i = 0; i < N_SEEDS; i++)
		free(seeds[i].data);
	return tap_done();
}
