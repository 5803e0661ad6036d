/*
 * make_run.c - writes a made-up run: so many snapshots of a large program without symbols, whose
 * blocks turn over between them. One stack in a thousand never frees any.
 *
 *	make_run DIR SNAPSHOTS LIVE STACKS
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "sample_math.h"
#include "tests/unit/snapshot_fixture.h"

#define N_MODULES    6
#define N_SITES      12000 /* places of calls, which stacks share */
#define MODULE_BYTES (UINT64_C(1) << 24)
#define STEP_NS      (30 * UINT64_C(1000000000))
#define LEAK_ONE_IN  1000

struct run {
	struct sample_rng rng;
	uint64_t sites[N_SITES];
	uint32_t site_module[N_SITES];
	struct fixture_bytes stacks; /* records without their counters, one after the other */
	size_t *record_end;
	uint64_t *n_allocated; /* by stack */
	struct heapspy_sample *live;
	uint64_t *dies_ns;
	uint64_t next_address;
};

static uint64_t below(struct run *run, uint64_t n)
{
	return sample_rng_next(&run->rng) % n;
}

/* Mostly small numbers: few places and few stacks see most of the traffic. */
static uint64_t below_skewed(struct run *run, uint64_t n)
{
	uint64_t a = below(run, n), b = below(run, n);

	return a < b ? a : b;
}

static void make_stacks(struct run *run, uint32_t n)
{
	uint32_t i, k, tag;

	for (i = 0; i < N_SITES; i++) {
		run->site_module[i] = (uint32_t)below_skewed(run, N_MODULES) + 1;
		run->sites[i] = 0x400000 + run->site_module[i] * MODULE_BYTES + 5 +
				16 * below(run, MODULE_BYTES / 16 - 1);
	}
	for (i = 0; i < n; i++) {
		uint32_t n_frames = 8 + (uint32_t)below(run, 32);
		uint64_t pc = 0;

		fixture_add_varint(&run->stacks, i + 1);
		fixture_add_varint(&run->stacks, 0);
		fixture_add_varint(&run->stacks, 0);
		fixture_add_varint(&run->stacks, n_frames);
		for (k = 0, tag = 0; k < n_frames; k++) {
			size_t site = k ? below_skewed(run, N_SITES) : i % N_SITES;
			bool other = run->site_module[site] != tag;

			fixture_add_varint(&run->stacks,
				codec_zigzag((int64_t)(run->sites[site] - pc)) << 1 | other);
			tag = run->site_module[site];
			if (other)
				fixture_add_varint(&run->stacks, tag << 1);
			pc = run->sites[site];
		}
		run->record_end[i] = run->stacks.bytes;
	}
}

static void make_sample(struct run *run, size_t slot, uint32_t n_stacks, uint64_t from_ns)
{
	uint64_t size = UINT64_C(16) << below(run, 14);
	uint64_t life_ns = STEP_NS / 8 << below(run, 10);
	uint32_t stack = (uint32_t)below_skewed(run, n_stacks);

	run->live[slot] = fixture_sample(run->next_address += 16, size + below(run, size),
		from_ns + below(run, STEP_NS), stack + 1, (uint32_t)sample_rng_next(&run->rng));
	run->dies_ns[slot] = stack % LEAK_ONE_IN ? from_ns + STEP_NS + life_ns : UINT64_MAX;
	run->n_allocated[stack]++;
}

static void write_file(const char *directory, uint32_t number, const struct fixture_bytes *file)
{
	char path[4096];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%06u.hspy", directory, number);
	out = fopen(path, "wb");
	if (!out || fwrite(file->data, 1, file->bytes, out) != file->bytes || fclose(out)) {
		perror(path);
		exit(1);
	}
}

static void write_snapshot(
	struct run *run, const char *directory, uint32_t number, size_t n_live, uint32_t n_stacks)
{
	struct fixture x;
	struct fixture_bytes file, *b = &x.bodies[HEAPSPY_SECTION_STACKS];
	uint32_t i, k;

	fixture_init(&x, number, number * STEP_NS);
	for (i = 1; i <= N_MODULES; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/nowhere/lib%u.so", i);
		fixture_add_module(&x, i, path, 0x400000 + i * MODULE_BYTES);
	}
	for (i = 0; i < n_stacks; i++) {
		size_t start = i ? run->record_end[i - 1] : 0;
		uint64_t n = run->n_allocated[i];

		fixture_add(b, run->stacks.data + start, run->record_end[i] - start);
		fixture_add_varint(b, n);
		fixture_add_varint(b, n * 4096);
		fixture_add_varint(b, n * 526339);
		fixture_add_varint(b, n * 4194283);
		fixture_add_varint(b, n * 131585);
		fixture_add_varint(b, 0);
		fixture_add_varint(b, 0);
		x.info.bytes_seen += n * 526339;
		x.info.samples += n;
	}
	x.info.bytes_seen_end = x.info.bytes_seen;
	for (k = 0; k < n_live; k++)
		fixture_add_sample(&x, &run->live[k]);
	file = fixture_build(&x, 0);
	write_file(directory, number, &file);
	free(file.data);
	fixture_deinit(&x);
}

int main(int argc, char **argv)
{
	struct run run = { .next_address = 0x7f0000000000 };
	uint32_t n_snapshots, n_stacks, number;
	size_t n_live, i;

	if (argc != 5) {
		fprintf(stderr, "usage: make_run DIR SNAPSHOTS LIVE STACKS\n");
		return 2;
	}
	n_snapshots = (uint32_t)strtoul(argv[2], NULL, 10);
	n_live = strtoul(argv[3], NULL, 10);
	n_stacks = (uint32_t)strtoul(argv[4], NULL, 10);
	if (mkdir(argv[1], 0777) && errno != EEXIST) {
		perror(argv[1]);
		return 1;
	}
	sample_rng_seed(&run.rng, 7);
	run.record_end = calloc(n_stacks, sizeof(*run.record_end));
	run.n_allocated = calloc(n_stacks, sizeof(*run.n_allocated));
	run.live = calloc(n_live, sizeof(*run.live));
	run.dies_ns = calloc(n_live, sizeof(*run.dies_ns));
	make_stacks(&run, n_stacks);
	for (number = 1; number <= n_snapshots; number++) {
		for (i = 0; i < n_live; i++)
			if (run.dies_ns[i] <= number * STEP_NS)
				make_sample(&run, i, n_stacks, (number - 1) * STEP_NS);
		write_snapshot(&run, argv[1], number, n_live, n_stacks);
	}
	return 0;
}
