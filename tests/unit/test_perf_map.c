/*
 * test_perf_map.c - analyzer/symbols/perf_map.c: what lines mean, which files
 * count, and ten thousand damaged maps against a reading of the plainest kind.
 */
#include "analyzer/symbols/perf_map.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sample_math.h"
#include "tests/unit/tap.h"

enum { N_MUTANTS = 10000 };

static char scratch[] = "/tmp/test_perf_map.XXXXXX";

static void check_name(const struct perf_map *map, uint64_t pc, const char *expected)
{
	const char *name = map ? perf_map_find(map, pc) : NULL;

	CHECK(expected ? name && strcmp(name, expected) == 0 : !name);
	if ((name && !expected) || (name && strcmp(name, expected) != 0))
		printf("# at %llx: '%s'\n", (unsigned long long)pc, name);
}

static struct perf_map *parse(const char *text)
{
	struct perf_map *map = perf_map_parse(text, strlen(text));

	CHECK(map != NULL);
	return map;
}

static void test_lines(void)
{
	struct perf_map *map = parse("1000 10 LazyCompile:*grow server.js:12:3\n"
				     "0x2000 0x20 prefixed\n"
				     "ABCDEF00 8 upper\n"
				     "3000 40 void Cart::add(int)\n");

	check_name(map, 0xfff, NULL);
	check_name(map, 0x1000, "LazyCompile:*grow server.js:12:3");
	check_name(map, 0x100f, "LazyCompile:*grow server.js:12:3");
	check_name(map, 0x1010, NULL);
	check_name(map, 0x201f, "prefixed");
	check_name(map, 0x2020, NULL);
	check_name(map, 0xabcdef07, "upper");
	check_name(map, 0x3000, "void Cart::add(int)");
	check_name(map, 0, NULL);
	check_name(map, UINT64_MAX, NULL);
	perf_map_free(map);
}

/* Code is replaced and moved: the last line counts, for each address by itself. */
static void test_last_line_wins(void)
{
	struct perf_map *map = parse("1000 100 old\n"
				     "1040 20 inside\n"
				     "10f0 100 across\n"
				     "2000 10 first\n"
				     "2000 10 again\n"
				     "3000 10 buried\n"
				     "2ff0 40 over\n");

	check_name(map, 0x1000, "old");
	check_name(map, 0x103f, "old");
	check_name(map, 0x1040, "inside");
	check_name(map, 0x1060, "old");
	check_name(map, 0x10ef, "old");
	check_name(map, 0x10f0, "across");
	check_name(map, 0x11ef, "across");
	check_name(map, 0x11f0, NULL);
	check_name(map, 0x2008, "again");
	check_name(map, 0x3008, "over");
	perf_map_free(map);
}

static void test_senseless_lines(void)
{
	struct perf_map *map = parse("\n \n1000\n1000 \n1000 10\n1000 10 \n 1000 10 x\n"
				     "zz 10 x\n1000 zz x\n1000 0 empty\n-1 10 minus\n"
				     "10000000000000000 1 too_long\n"
				     "ffffffffffffffff 2 beyond\n"
				     "0x 1 x\n"
				     "fffffffffffffff0 f top\n"
				     "5000 1 good\n"
				     "6000 1 being_writ");

	check_name(map, 0x1000, NULL);
	check_name(map, UINT64_MAX, NULL);
	check_name(map, UINT64_MAX - 1, "top");
	check_name(map, 0x5000, "good");
	check_name(map, 0x6000, NULL);
	perf_map_free(map);
	map = parse("");
	check_name(map, 0, NULL);
	perf_map_free(map);
}

/* The last line that covers pc, line by line, with libc's parsing. */
static bool plain_find(const char *text, uint64_t pc, char *name, size_t name_bytes)
{
	bool found = false;

	for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned long long start, size;
		char numbers[40] = "";
		int at = 0;
		size_t n = strcspn(line, " ");

		n = line[n] == ' ' ? n + 1 + strcspn(line + n + 1, " \n") : sizeof(numbers);
		if (n >= sizeof(numbers) || line + n + 1 >= end || line[n] != ' ')
			continue;
		memcpy(numbers, line, n);
		if (strspn(numbers, "0123456789abcdef ") != n || numbers[0] == ' ' ||
			sscanf(numbers, "%16llx %16llx%n", &start, &size, &at) != 2 ||
			at != (int)n || size == 0 || start + size < start)
			continue;
		if (pc >= start && pc - start < size) {
			snprintf(name, name_bytes, "%.*s", (int)(end - line - (long)n - 1),
				line + n + 1);
			found = true;
		}
	}
	return found;
}

static void test_mutants(void)
{
	static const char letters[] = "0123456789abcdef  \n\ng";
	unsigned n_named = 0;
	struct sample_rng rng;

	sample_rng_seed(&rng, 7);
	for (int round = 0; round < N_MUTANTS; round++) {
		char text[400] = "", name[400];
		size_t n = 0;
		struct perf_map *map;

		for (int line = 0; line < 8; line++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%x %x f%d\n",
				(unsigned)(sample_rng_next(&rng) % 256),
				(unsigned)(sample_rng_next(&rng) % 64), line);
		for (unsigned i = (unsigned)(sample_rng_next(&rng) % 6); i > 0; i--)
			text[sample_rng_next(&rng) % n] =
				letters[sample_rng_next(&rng) % (sizeof(letters) - 1)];
		map = perf_map_parse(text, n);
		for (uint64_t pc = 0; pc < 400; pc += 11) {
			bool found = plain_find(text, pc, name, sizeof(name));

			check_name(map, pc, found ? name : NULL);
			n_named += found;
		}
		perf_map_free(map);
	}
	printf("# %d maps, %u addresses named\n", N_MUTANTS, n_named);
	CHECK(n_named > N_MUTANTS);
	/* Bytes of any kind: only for the sanitizers. */
	for (int round = 0; round < 2000; round++) {
		char *bytes = malloc(64);

		for (int i = 0; i < 64; i++)
			bytes[i] = sample_rng_next(&rng) % 4 ? letters[i % 21]
							     : (char)sample_rng_next(&rng);
		perf_map_free(perf_map_parse(bytes, 64));
		free(bytes);
	}
}

static void write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool reads(const char *path, uid_t owner, int64_t not_before_ns)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct perf_map *map = fd >= 0 ? perf_map_read(fd, owner, not_before_ns) : NULL;
	bool ok = map && perf_map_find(map, 0x1000);

	perf_map_free(map);
	if (fd >= 0)
		close(fd);
	return ok;
}

static void test_which_files_count(void)
{
	struct timespec now;
	int64_t now_ns;
	char path[64];

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	snprintf(path, sizeof(path), "%s/map", scratch);
	write_map(path, "1000 10 f\n");
	CHECK(reads(path, geteuid(), now_ns - 10 * 1000000000ll));
	CHECK(!reads(path, geteuid() + 1, now_ns - 10 * 1000000000ll));
	CHECK(!reads(path, geteuid(), now_ns + 3600 * 1000000000ll));
	unlink(path);
	CHECK(mkfifo(path, 0644) == 0);
	CHECK(!reads(path, geteuid(), 0));
	unlink(path);
	CHECK(!reads(scratch, geteuid(), 0));
}

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What the library writes into a snapshot of process pid. */
static struct process_id identify(pid_t pid)
{
	struct process_id id = { .pid = (uint32_t)pid };
	char path[64], text[1024] = "", *p;
	unsigned digit = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	CHECK(file && fgets(text, sizeof(text), file));
	if (file)
		fclose(file);
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	id.start_ticks = p ? strtoull(p, NULL, 10) : 0;
	file = fopen("/proc/sys/kernel/random/boot_id", "r");
	CHECK(file && fgets(text, sizeof(text), file));
	if (file)
		fclose(file);
	for (p = text; *p && digit < 32; p++) {
		char one[2] = { *p, '\0' };

		if (*p == '-')
			continue;
		id.boot_id[digit / 2] =
			(uint8_t)(id.boot_id[digit / 2] << 4 | strtoul(one, NULL, 16));
		digit++;
	}
	return id;
}

static bool opens(const struct process_id *id, uint64_t started_ns, uid_t dead_uid)
{
	struct perf_map *map = perf_map_open(id, started_ns, dead_uid);
	bool ok = map && perf_map_find(map, 0x1000);

	perf_map_free(map);
	return ok;
}

static void test_by_process(void)
{
	uint64_t started_ns = wall_ns();
	pid_t child = fork();
	struct process_id id, other;
	char path[64], aside[64];

	if (child == 0) {
		pause();
		_exit(0);
	}
	id = other = identify(child);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)child);
	snprintf(aside, sizeof(aside), "%s/aside", scratch);
	write_map(path, "1000 10 f\n");
	CHECK(opens(&id, started_ns, geteuid()));
	CHECK(opens(&id, started_ns, geteuid() + 1)); /* it lives: its own user counts */
	CHECK(!opens(&id, started_ns + 3600 * 1000000000ull, geteuid()));
	/* The number is used again, by what is no process of that start. */
	other.start_ticks++;
	CHECK(!opens(&other, started_ns, geteuid()));
	other = id;
	other.boot_id[3] ^= 1;
	CHECK(!opens(&other, started_ns, geteuid()));
	/* Not through a link, whoever owns what it leads to. */
	CHECK(rename(path, aside) == 0 && symlink(aside, path) == 0);
	CHECK(!opens(&id, started_ns, geteuid()));
	CHECK(rename(aside, path) == 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	CHECK(opens(&id, started_ns, geteuid()));
	CHECK(!opens(&id, started_ns, geteuid() + 1));
	memset(other.boot_id, 0, sizeof(other.boot_id));
	CHECK(!opens(&other, started_ns, geteuid()));
	unlink(path);
	CHECK(!opens(&id, started_ns, geteuid()));
}

int main(void)
{
	if (!mkdtemp(scratch)) {
		printf("Bail out! no directory below /tmp\n");
		return 1;
	}
	TAP_RUN(test_lines);
	TAP_RUN(test_last_line_wins);
	TAP_RUN(test_senseless_lines);
	TAP_RUN(test_mutants);
	TAP_RUN(test_which_files_count);
	TAP_RUN(test_by_process);
	rmdir(scratch);
	return tap_done();
}
