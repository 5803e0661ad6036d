/*
 * test_names_cache.c - remembered names, as symbols.h gives them: that they are
 * the same, that they are only used while nothing has changed, and whom the
 * directory trusts. Arguments: a program with debug info that prints the truth
 * about itself, the same without debug info, and its debug info alone.
 */
#include "analyzer/symbols/symbols.h"

#include <dirent.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/symbols/cache_dir.h"
#include "sample_math.h"
#include "snapshot_codec.h"
#include "tests/unit/tap.h"

enum { ADDRESSES_MAX = 32, TEXT_MAX = 8192, N_MUTANTS = 1500 };

static const char *with_debug, *without_debug, *debug_alone;
static char scratch[] = "/dev/shm/test_names_cache.XXXXXX", program[128], cache[128];
static uint64_t addresses[ADDRESSES_MAX];
static unsigned n_addresses;

static void copy_file(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
	CHECK(system(command) == 0);
}

static void ask_addresses(void)
{
	FILE *out = popen(with_debug, "r");
	unsigned long vaddr;
	char line[1024];

	while (out && n_addresses < ADDRESSES_MAX && fgets(line, sizeof(line), out)) {
		if (sscanf(line, "%lx", &vaddr) == 1)
			addresses[n_addresses++] = vaddr;
	}
	CHECK(out && pclose(out) == 0 && n_addresses >= 4);
}

/* All that is known of the first n addresses of the program, in words. */
static void describe(const char *cache_path, const char *debug_root, unsigned n, char *text)
{
	struct symbols *symbols = symbols_new();
	struct symbol_module_ref ref = { .path = program };
	struct symbols_report report;
	size_t used = 0;

	CHECK(symbols_set_debug_root(symbols, debug_root ? debug_root : scratch) == 0);
	CHECK(symbols_set_cache(symbols, cache_path, 0) == 0);
	CHECK(symbols_add_module(symbols, &ref) == 0);
	for (unsigned i = 0; i < n; i++)
		CHECK(symbols_request(symbols, 0, addresses[i]) == 0);
	CHECK(symbols_resolve(symbols) == 0);
	for (unsigned i = 0; i < n; i++) {
		unsigned n_frames;
		const struct symbol_frame *frames =
			symbols_lookup(symbols, 0, addresses[i], &n_frames);

		for (unsigned f = 0; f < n_frames; f++)
			used += (size_t)snprintf(text + used, TEXT_MAX - used, "%s %s:%u %d\n",
				frames[f].function, frames[f].file ? frames[f].file : "?",
				frames[f].line, frames[f].inlined);
	}
	symbols_get_report(symbols, 0, &report);
	snprintf(text + used, TEXT_MAX - used, "source %d, %u of %u", report.source,
		report.n_unnamed, report.n_addresses);
	symbols_free(symbols);
}

/* The only file of the cache, from the second on a failure. */
static bool cached_file(char *path, size_t path_bytes)
{
	DIR *directory = opendir(cache);
	struct dirent *entry;
	unsigned n = 0;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, path_bytes, "%s/%s", cache, entry->d_name);
		n++;
	}
	if (directory)
		closedir(directory);
	return n == 1;
}

static void clear_cache(void)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", cache);
	CHECK(system(command) == 0);
}

/*
 * Makes the debug info of the program unreadable so that nothing shows it but
 * a look inside: an answer with lines can only be a remembered one then.
 */
static void blind_program(void)
{
	static const char zeros[512 * 1024];
	struct stat status;
	struct timespec times[2];
	int fd = open(program, O_RDWR | O_CLOEXEC);
	Elf_Scn *section = NULL;
	size_t names;
	Elf *elf;

	elf_version(EV_CURRENT);
	CHECK(fd >= 0 && fstat(fd, &status) == 0);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	CHECK(elf && elf_getshdrstrndx(elf, &names) == 0);
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		CHECK(gelf_getshdr(section, &header) != NULL);
		if (strncmp(elf_strptr(elf, names, header.sh_name), ".debug_", 7) == 0)
			CHECK(header.sh_size < sizeof(zeros) &&
				pwrite(fd, zeros, header.sh_size, (off_t)header.sh_offset) ==
					(ssize_t)header.sh_size);
	}
	elf_end(elf);
	times[0] = status.st_atim;
	times[1] = status.st_mtim;
	CHECK(futimens(fd, times) == 0);
	close(fd);
}

static void test_same_answers(void)
{
	static char plain[TEXT_MAX], first[TEXT_MAX], again[TEXT_MAX], blind[TEXT_MAX];
	char path[512];
	struct stat status;

	copy_file(with_debug, program);
	describe(NULL, NULL, n_addresses, plain);
	CHECK(access(cache, F_OK) != 0);
	describe(cache, NULL, n_addresses, first);
	CHECK(strcmp(plain, first) == 0);
	CHECK(stat(cache, &status) == 0 && (status.st_mode & 07777) == 0700);
	CHECK(cached_file(path, sizeof(path)));
	CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0600);
	blind_program();
	describe(NULL, NULL, n_addresses, blind);
	CHECK(strcmp(plain, blind) != 0);
	describe(cache, NULL, n_addresses, again);
	CHECK(strcmp(plain, again) == 0);
	clear_cache();
}

/* Half of the addresses, then all: the file holds what either asked for. */
static void test_more_addresses(void)
{
	static char plain[TEXT_MAX], half[TEXT_MAX], all[TEXT_MAX], again[TEXT_MAX];
	unsigned n_half = n_addresses / 2;
	uint64_t first = addresses[0];

	copy_file(with_debug, program);
	describe(NULL, NULL, n_addresses, plain);
	describe(cache, NULL, n_half, half);
	describe(cache, NULL, n_addresses, all);
	CHECK(strcmp(plain, all) == 0);
	/* The other half alone, in a different order. */
	addresses[0] = addresses[n_addresses - 1];
	describe(cache, NULL, 1, all);
	addresses[0] = first;
	blind_program();
	describe(cache, NULL, n_addresses, again);
	CHECK(strcmp(plain, again) == 0);
	clear_cache();
}

static void test_changed_file(void)
{
	static char plain[TEXT_MAX], again[TEXT_MAX];
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };

	copy_file(with_debug, program);
	describe(cache, NULL, n_addresses, plain);
	blind_program();
	CHECK(utimensat(AT_FDCWD, program, times, 0) == 0);
	describe(cache, NULL, n_addresses, again);
	CHECK(strcmp(plain, again) != 0);
	clear_cache();
}

/* What is found later is better than what is remembered; and back again when it goes. */
static void test_debug_info_comes_and_goes(void)
{
	static char poor[TEXT_MAX], rich[TEXT_MAX], again[TEXT_MAX];
	char root[200], command[1500], id[64] = "", symtab[24], dwarf[24];
	FILE *notes;

	snprintf(symtab, sizeof(symtab), "source %d,", SYMBOLS_SYMTAB);
	snprintf(dwarf, sizeof(dwarf), "source %d,", SYMBOLS_DWARF);
	copy_file(without_debug, program);
	snprintf(root, sizeof(root), "%s/debug", scratch);
	snprintf(command, sizeof(command), "readelf -n '%s' | sed -n 's/.*Build ID: //p'", program);
	notes = popen(command, "r");
	CHECK(notes && fgets(id, sizeof(id), notes) && pclose(notes) == 0);
	id[strcspn(id, "\n")] = '\0';
	describe(cache, root, n_addresses, poor);
	CHECK(strstr(poor, symtab) != NULL);
	snprintf(command, sizeof(command),
		"mkdir -p '%s/.build-id/%.2s' && cp '%s' '%s/.build-id/%.2s/%s.debug'", root, id,
		debug_alone, root, id, id + 2);
	CHECK(system(command) == 0);
	describe(cache, root, n_addresses, rich);
	CHECK(strstr(rich, dwarf) != NULL);
	snprintf(command, sizeof(command), "rm -r '%s'", root);
	CHECK(system(command) == 0);
	describe(cache, root, n_addresses, again);
	CHECK(strcmp(poor, again) == 0);
	clear_cache();
}

static void seal(uint8_t *bytes, size_t n_bytes)
{
	uint64_t checksum;

	if (n_bytes < 16)
		return;
	checksum = codec_checksum(bytes + 16, n_bytes - 16);
	memcpy(bytes + 8, &checksum, sizeof(checksum));
}

static size_t load(const char *path, uint8_t *bytes, size_t room)
{
	FILE *file = fopen(path, "rb");
	size_t n = file ? fread(bytes, 1, room, file) : 0;

	if (file)
		fclose(file);
	return n;
}

static void save(const char *path, const uint8_t *bytes, size_t n_bytes)
{
	FILE *file = fopen(path, "wb");

	CHECK(file && fwrite(bytes, 1, n_bytes, file) == n_bytes && fclose(file) == 0);
}

/*
 * Damage of all kinds: a broken file is as good as none, and one that was made
 * right again by its checksum gives some text or other.
 */
static void test_damaged_files(void)
{
	static char plain[TEXT_MAX], text[TEXT_MAX];
	static uint8_t good[256 * 1024], bad[256 * 1024];
	unsigned n_used = 0;
	struct sample_rng rng;
	char path[512];
	size_t n_bytes;

	sample_rng_seed(&rng, 11);
	copy_file(with_debug, program);
	describe(cache, NULL, n_addresses, plain);
	CHECK(cached_file(path, sizeof(path)));
	n_bytes = load(path, good, sizeof(good));
	CHECK(n_bytes > 100 && n_bytes < sizeof(good));
	for (int round = 0; round < N_MUTANTS; round++) {
		bool sealed = round % 4 != 0;
		size_t n = n_bytes;

		memcpy(bad, good, n_bytes);
		for (unsigned i = 0; i <= sample_rng_next(&rng) % 3; i++) {
			/* Now and then the header, where the counts are. */
			size_t at = sample_rng_next(&rng) % (round % 3 ? n_bytes - 8 : 40);
			uint32_t value = sample_rng_next(&rng) % 2
						 ? UINT32_MAX
						 : (uint32_t)sample_rng_next(&rng);

			memcpy(bad + at, &value, 1u << sample_rng_next(&rng) % 3);
		}
		if (round % 5 == 0)
			n = sample_rng_next(&rng) % n_bytes;
		if (sealed)
			seal(bad, n);
		save(path, bad, n);
		describe(cache, NULL, n_addresses, text);
		if (!sealed)
			CHECK(strcmp(plain, text) == 0 || memcmp(bad, good, n_bytes) == 0);
		n_used += strcmp(plain, text) != 0;
	}
	printf("# %d damaged files, %u with other names\n", N_MUTANTS, n_used);
	CHECK(n_used > N_MUTANTS / 20);
	clear_cache();
}

/* Whether a file that gives other names than the program would be believed. */
static bool is_believed(const char *path)
{
	static char text[TEXT_MAX];

	(void)path;
	describe(cache, NULL, n_addresses, text);
	return strstr(text, "QQQ") != NULL;
}

/* Writes a sound file with names of its own making, and says where. */
static void forge(char *path, size_t path_bytes)
{
	static uint8_t bytes[256 * 1024];
	static char text[TEXT_MAX];
	size_t n_bytes, n_strings;

	clear_cache();
	describe(cache, NULL, n_addresses, text);
	CHECK(cached_file(path, path_bytes));
	n_bytes = load(path, bytes, sizeof(bytes));
	n_strings = ((uint32_t *)bytes)[9];
	CHECK(n_strings > 10 && n_strings < n_bytes);
	for (size_t i = n_bytes - n_strings; i < n_bytes; i++) {
		if (bytes[i])
			bytes[i] = 'Q';
	}
	seal(bytes, n_bytes);
	save(path, bytes, n_bytes);
}

static void test_whom_it_trusts(void)
{
	char path[512], aside[512];

	copy_file(with_debug, program);
	snprintf(aside, sizeof(aside), "%s/aside", scratch);
	forge(path, sizeof(path));
	CHECK(is_believed(path)); /* otherwise the rest proves nothing */

	forge(path, sizeof(path));
	CHECK(rename(path, aside) == 0 && symlink(aside, path) == 0);
	CHECK(!is_believed(path));
	unlink(aside);

	forge(path, sizeof(path));
	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK(!is_believed(path));

	forge(path, sizeof(path));
	CHECK(chmod(cache, 0770) == 0);
	CHECK(!is_believed(path));
	CHECK(chmod(cache, 0700) == 0);

	forge(path, sizeof(path));
	CHECK(rename(cache, aside) == 0 && symlink(aside, cache) == 0);
	CHECK(!is_believed(path));
	unlink(cache);
	CHECK(rename(aside, cache) == 0);

	if (geteuid() == 0) {
		forge(path, sizeof(path));
		CHECK(chown(path, 12345, 12345) == 0);
		CHECK(!is_believed(path));
		forge(path, sizeof(path));
		CHECK(chown(cache, 12345, 12345) == 0);
		CHECK(!is_believed(path));
	}
	clear_cache();
}

static void test_places_that_cannot_be(void)
{
	static char plain[TEXT_MAX], text[TEXT_MAX];

	copy_file(with_debug, program);
	describe(NULL, NULL, n_addresses, plain);
	describe("/nowhere/at/all", NULL, n_addresses, text);
	CHECK(strcmp(plain, text) == 0);
	describe("/dev/null", NULL, n_addresses, text);
	CHECK(strcmp(plain, text) == 0);
	describe("/proc/heapspy", NULL, n_addresses, text);
	CHECK(strcmp(plain, text) == 0);
	describe("", NULL, n_addresses, text);
	CHECK(strcmp(plain, text) == 0);
}

static void test_trimming(void)
{
	static const char bytes[1000] = "x";
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[512];
	size_t n_bytes = 0;
	uint8_t *read_back;
	int fd = cache_dir_open(cache, true);

	CHECK(fd >= 0);
	CHECK(cache_dir_write(fd, "a", bytes, sizeof(bytes), 2500));
	CHECK(cache_dir_write(fd, "b", bytes, sizeof(bytes), 2500));
	snprintf(path, sizeof(path), "%s/.partial.1", cache);
	save(path, (const uint8_t *)bytes, 10);
	CHECK(utimensat(fd, ".partial.1", times, 0) == 0);
	CHECK(utimensat(fd, "a", times, 0) == 0);
	times[1].tv_sec = 900;
	CHECK(utimensat(fd, "b", times, 0) == 0);
	/* Reading counts as use: b is older, but was needed last. */
	read_back = cache_dir_read(fd, "b", &n_bytes);
	CHECK(read_back && n_bytes == sizeof(bytes));
	free(read_back);
	CHECK(cache_dir_write(fd, "c", bytes, sizeof(bytes), 2500));
	CHECK(faccessat(fd, "a", F_OK, 0) != 0);
	CHECK(faccessat(fd, "b", F_OK, 0) == 0);
	CHECK(faccessat(fd, "c", F_OK, 0) == 0);
	CHECK(faccessat(fd, ".partial.1", F_OK, 0) != 0);
	CHECK(!cache_dir_read(fd, "a", &n_bytes));
	close(fd);
	clear_cache();
}

static void check_default(const char *xdg, const char *home, const char *off, const char *expected)
{
	char *path;

	setenv("XDG_CACHE_HOME", xdg, 1);
	setenv("HOME", home, 1);
	setenv("HEAPSPY_CACHE", off, 1);
	path = cache_dir_default_path();
	CHECK(expected ? path && strcmp(path, expected) == 0 : !path);
	free(path);
}

static void test_default_path(void)
{
	check_default("/x", "/home/me", "", "/x/heapspy");
	check_default("", "/home/me", "", "/home/me/.cache/heapspy");
	check_default("relative", "/home/me", "", "/home/me/.cache/heapspy");
	check_default("", "", "", NULL);
	check_default("", "relative", "", NULL);
	check_default("/x", "/home/me", "off", NULL);
}

int main(int argc, char **argv)
{
	char command[300];

	if (argc != 4 || !mkdtemp(scratch)) {
		printf("Bail out! three programs, and a directory below /dev/shm\n");
		return 1;
	}
	with_debug = argv[1];
	without_debug = argv[2];
	debug_alone = argv[3];
	snprintf(program, sizeof(program), "%s/program", scratch);
	snprintf(cache, sizeof(cache), "%s/cache", scratch);
	ask_addresses();
	TAP_RUN(test_same_answers);
	TAP_RUN(test_more_addresses);
	TAP_RUN(test_changed_file);
	TAP_RUN(test_debug_info_comes_and_goes);
	TAP_RUN(test_damaged_files);
	TAP_RUN(test_whom_it_trusts);
	TAP_RUN(test_places_that_cannot_be);
	TAP_RUN(test_trimming);
	TAP_RUN(test_default_path);
	snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
	return tap_done() | (system(command) != 0);
}
