/* settings.h: what values mean, and that one which means nothing leaves the default. */
#include <string.h>
#include "preload/state/settings.h"
#include "tests/unit/tap.h"

static struct settings read_one(const char *entry)
{
	char path[] = "PATH=/bin";
	char *environment[] = { path, (char *)entry, NULL };
	struct settings_names names = { "a/b", "host", 42 };
	struct settings settings;

	settings_read(&settings, environment, names, NULL, NULL);
	return settings;
}

static void test_defaults(void)
{
	struct settings o = read_one(NULL);

	CHECK(o.sample_bytes == 512 << 10);
	CHECK(o.interval_ns == 60000000000ull);
	CHECK(o.state_max_bytes == 32 << 20);
	CHECK(o.depth == 128);
	CHECK(o.cpu_max_ppm == 10000);
	CHECK(o.keep_bytes == 256 << 20);
	CHECK(o.writer == WRITER_AUTO && o.children == CHILDREN_ALL);
	CHECK(o.unwind == SETTINGS_CFI && !o.start_off && !o.state_anon && !o.verbose);
	CHECK(!strcmp(o.state_dir, "/dev/shm") && !o.dir[0]);
}

static void test_values(void)
{
	CHECK(read_one("HEAPSPY_SAMPLE=1").sample_bytes == 1);
	CHECK(read_one("HEAPSPY_SAMPLE=64KiB").sample_bytes == 64 << 10);
	CHECK(read_one("HEAPSPY_SAMPLE=4096").sample_bytes == 4096);
	CHECK(read_one("HEAPSPY_INTERVAL=250ms").interval_ns == 250000000);
	CHECK(read_one("HEAPSPY_INTERVAL=5").interval_ns == 5000000000ull);
	CHECK(read_one("HEAPSPY_INTERVAL=0").interval_ns == 0);
	CHECK(read_one("HEAPSPY_INTERVAL=2m").interval_ns == 120000000000ull);
	CHECK(read_one("HEAPSPY_WRITER=thread").writer == WRITER_THREAD);
	CHECK(read_one("HEAPSPY_UNWIND=fp").unwind == SETTINGS_FP);
	CHECK(read_one("HEAPSPY_DEPTH=256").depth == 256);
	CHECK(read_one("HEAPSPY_CHILDREN=none").children == CHILDREN_NONE);
	CHECK(read_one("HEAPSPY_START=off").start_off);
	CHECK(read_one("HEAPSPY_STATE=anon").state_anon);
	CHECK(!strcmp(read_one("HEAPSPY_STATE=/run/x").state_dir, "/run/x"));
	CHECK(read_one("HEAPSPY_STATE_MAX=1MiB").state_max_bytes == 1 << 20);
	CHECK(read_one("HEAPSPY_KEEP=64KiB").keep_bytes == 64 << 10);
	CHECK(read_one("HEAPSPY_KEEP=2GiB").keep_bytes == 2ull << 30);
	CHECK(read_one("HEAPSPY_KEEP=0").keep_bytes == 0);
	CHECK(read_one("HEAPSPY_KEEP=off").keep_bytes == 0);
}

static void test_a_budget_is_a_share_of_a_core(void)
{
	CHECK(read_one("HEAPSPY_CPU_MAX=1%").cpu_max_ppm == 10000);
	CHECK(read_one("HEAPSPY_CPU_MAX=0.5%").cpu_max_ppm == 5000);
	CHECK(read_one("HEAPSPY_CPU_MAX=0.0001%").cpu_max_ppm == 1);
	CHECK(read_one("HEAPSPY_CPU_MAX=2.25%").cpu_max_ppm == 22500);
	CHECK(read_one("HEAPSPY_CPU_MAX=250%").cpu_max_ppm == 2500000);
	CHECK(read_one("HEAPSPY_CPU_MAX=10000%").cpu_max_ppm == 100000000);
	CHECK(read_one("HEAPSPY_CPU_MAX=0").cpu_max_ppm == 0);
	CHECK(read_one("HEAPSPY_CPU_MAX=0%").cpu_max_ppm == 0);
	CHECK(read_one("HEAPSPY_CPU_MAX=off").cpu_max_ppm == 0);
	CHECK(read_one(NULL).near_limit_ppm == 900000);
	CHECK(read_one("HEAPSPY_NEAR_LIMIT=0.5%").near_limit_ppm == 5000);
	CHECK(read_one("HEAPSPY_NEAR_LIMIT=99.9999%").near_limit_ppm == 999999);
	CHECK(read_one("HEAPSPY_NEAR_LIMIT=off").near_limit_ppm == 0);
	CHECK(read_one("HEAPSPY_NEAR_LIMIT=0").near_limit_ppm == 0);
}

static void test_every_block_means_no_budget_unless_one_is_set(void)
{
	char every[] = "HEAPSPY_SAMPLE=1", set[] = "HEAPSPY_CPU_MAX=1%",
	     bad[] = "HEAPSPY_CPU_MAX=1";
	char *both[] = { every, set, NULL }, *with_bad[] = { every, bad, NULL };
	struct settings_names names = { "a", "host", 42 };
	struct settings o;

	CHECK(read_one("HEAPSPY_SAMPLE=1").cpu_max_ppm == 0);
	CHECK(read_one("HEAPSPY_SAMPLE=2").cpu_max_ppm == 10000);
	settings_read(&o, both, names, NULL, NULL);
	CHECK(o.cpu_max_ppm == 10000);
	settings_read(&o, with_bad, names, NULL, NULL);
	CHECK(o.cpu_max_ppm == 0);
}

static void test_directory_sequences(void)
{
	CHECK(!strcmp(read_one("HEAPSPY_DIR=/v/%h-%c-%p%%").dir, "/v/host-a_b-42%"));
	CHECK(!strcmp(read_one("HEAPSPY_DIR=rel/ative").dir, "rel/ative"));
	CHECK(!read_one("HEAPSPY_DIR=/v/%q").dir[0]);
	CHECK(!read_one("HEAPSPY_DIR=").dir[0]);
}

static void test_nonsense_leaves_the_default(void)
{
	static const char *const bad[] = { "HEAPSPY_SAMPLE=0", "HEAPSPY_SAMPLE=-1",
		"HEAPSPY_SAMPLE=12 apples", "HEAPSPY_SAMPLE=99999999999999999999",
		"HEAPSPY_SAMPLE=", "HEAPSPY_INTERVAL=1ns", "HEAPSPY_INTERVAL=1ms",
		"HEAPSPY_INTERVAL=s", "HEAPSPY_WRITER=me", "HEAPSPY_UNWIND=magic",
		"HEAPSPY_DEPTH=0", "HEAPSPY_DEPTH=257", "HEAPSPY_STATE=relative",
		"HEAPSPY_STATE_MAX=1", "HEAPSPY_CHILDREN=some", "HEAPSPY_START=maybe",
		"HEAPSPY_VERBOSE=2", "HEAPSPY_CPU_MAX=1", "HEAPSPY_CPU_MAX=%",
		"HEAPSPY_CPU_MAX=", "HEAPSPY_CPU_MAX=-1%", "HEAPSPY_CPU_MAX=.5%",
		"HEAPSPY_CPU_MAX=1.%", "HEAPSPY_CPU_MAX=1,5%", "HEAPSPY_CPU_MAX=1.23456%",
		"HEAPSPY_CPU_MAX=10001%", "HEAPSPY_CPU_MAX=1% ", "HEAPSPY_CPU_MAX=none",
		"HEAPSPY_CPU_MAX=99999999999999999999%", "HEAPSPY_KEEP=1KiB", "HEAPSPY_KEEP=on",
		"HEAPSPY_KEEP=", "HEAPSPY_NEAR_LIMIT=90", "HEAPSPY_NEAR_LIMIT=100%",
		"HEAPSPY_NEAR_LIMIT=%", "HEAPSPY_NEAR_LIMIT=" };
	struct settings standard = read_one(NULL);
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct settings o = read_one(bad[i]);

		CHECK(o.sample_bytes == standard.sample_bytes);
		CHECK(o.interval_ns == standard.interval_ns);
		CHECK(o.writer == standard.writer && o.children == standard.children);
		CHECK(o.cpu_max_ppm == standard.cpu_max_ppm);
		CHECK(o.near_limit_ppm == standard.near_limit_ppm);
		CHECK(o.keep_bytes == standard.keep_bytes);
		CHECK(o.depth == standard.depth && o.state_max_bytes == standard.state_max_bytes);
		CHECK(o.unwind == SETTINGS_CFI && !o.start_off && !o.verbose && !o.state_anon);
		CHECK(!strcmp(o.state_dir, standard.state_dir));
	}
}

int main(void)
{
	TAP_RUN(test_defaults);
	TAP_RUN(test_values);
	TAP_RUN(test_a_budget_is_a_share_of_a_core);
	TAP_RUN(test_every_block_means_no_budget_unless_one_is_set);
	TAP_RUN(test_directory_sequences);
	TAP_RUN(test_nonsense_leaves_the_default);
	return tap_done();
}
