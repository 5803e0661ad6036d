/*
 * test_symbols.c - analyzer/symbols on programs that print the truth about
 * themselves (symbols_c.c, symbols_cxx.cc), built in several ways. Arguments
 * are KIND=PATH: what a variant offers (dwarf, symtab, dynsym), a pair for
 * separate debug info (stripped=, debug=), one with a link (linked=), and the
 * programs to damage (damage=), one with names in a dwz file (shared=).
 */
#include "analyzer/symbols/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tap.h"

enum { EXPECTED_MAX = 32, FRAMES_MAX = 8, N_MUTATIONS = 2000 };

struct expected_frame {
	char function[160];
	unsigned line;
};

struct expected {
	uint64_t vaddr;
	char kind[16];
	struct expected_frame frames[FRAMES_MAX];
	unsigned n_frames;
};

static int n_arguments;
static char **arguments;
static char scratch[] = "/tmp/test_symbols.XXXXXX";

/* The i-th argument of a kind; NULL when there are no more. */
static const char *argument(const char *kind, int i)
{
	size_t n = strlen(kind);

	for (int a = 1; a < n_arguments; a++) {
		if (strncmp(arguments[a], kind, n) == 0 && arguments[a][n] == '=' && i-- == 0)
			return arguments[a] + n + 1;
	}
	return NULL;
}

static unsigned parse_frames(char *text, struct expected_frame *frames)
{
	/* C++ names hold spaces, so those lines are separated by tabs. */
	const char *separators = strchr(text, '\t') || strchr(text, '(') ? "\t\n" : " \n";
	unsigned n = 0;
	char *save, *word = strtok_r(text, separators, &save);

	for (; word && n < FRAMES_MAX; word = strtok_r(NULL, separators, &save)) {
		char *colon = strrchr(word, ':');

		if (!colon)
			continue;
		*colon = '\0';
		snprintf(frames[n].function, sizeof(frames[n].function), "%s", word);
		frames[n++].line = (unsigned)atoi(colon + 1);
	}
	return n;
}

/* Runs a program and reads what it says of itself. */
static unsigned ask(const char *program, struct expected *list)
{
	FILE *out = popen(program, "r");
	char line[1024];
	unsigned n = 0;

	CHECK(out != NULL);
	while (out && n < EXPECTED_MAX && fgets(line, sizeof(line), out)) {
		struct expected *expected = &list[n];
		unsigned long vaddr;
		int used = 0;

		if (sscanf(line, "%lx %15s %n", &vaddr, expected->kind, &used) != 2)
			continue;
		expected->vaddr = vaddr;
		expected->n_frames = parse_frames(line + used, expected->frames);
		n++;
	}
	CHECK(out && pclose(out) == 0);
	CHECK(n >= 4);
	return n;
}

static void check_chain(
	const struct expected *expected, const struct symbol_frame *frames, unsigned n_frames)
{
	CHECK(n_frames == expected->n_frames);
	for (unsigned i = 0; i < n_frames && i < expected->n_frames; i++) {
		CHECK(strcmp(frames[i].function, expected->frames[i].function) == 0);
		if (strcmp(frames[i].function, expected->frames[i].function) != 0)
			printf("# got '%s', expected '%s'\n", frames[i].function,
				expected->frames[i].function);
		CHECK(frames[i].line == expected->frames[i].line);
		CHECK(frames[i].file && strstr(frames[i].file, "symbols_c"));
		CHECK(frames[i].inlined == (i + 1 < n_frames));
	}
}

/* Names from a symbol table only: the physical function, no line. */
static void check_outermost(
	const struct expected *expected, const struct symbol_frame *frames, unsigned n_frames)
{
	const char *name = expected->frames[expected->n_frames - 1].function;
	size_t length = strlen(name);

	CHECK(n_frames == 1);
	/* A symbol may know parameters that the debug info does not. */
	CHECK(strncmp(frames->function, name, length) == 0);
	CHECK(frames->function[length] == '\0' || frames->function[length] == '(');
	CHECK(!frames->inlined);
}

static void check_offset(const struct expected *expected, const char *label,
	const struct symbol_frame *frames, unsigned n_frames)
{
	char text[512];

	snprintf(text, sizeof(text), "%s+0x%lx", label, (unsigned long)expected->vaddr);
	CHECK(n_frames == 1);
	CHECK(strcmp(frames->function, text) == 0);
	CHECK(!frames->inlined);
}

static struct symbols *resolve(const struct symbol_module_ref *ref, const char *debug_root,
	const struct expected *list, unsigned n)
{
	struct symbols *symbols = symbols_new();

	if (debug_root)
		CHECK(symbols_set_debug_root(symbols, debug_root) == 0);
	CHECK(symbols_add_module(symbols, ref) == 0);
	/* Backwards and twice: the order of requests does not matter. */
	for (unsigned i = 2 * n; i-- > 0;)
		CHECK(symbols_request(symbols, 0, list[i % n].vaddr) == 0);
	CHECK(symbols_resolve(symbols) == 0);
	return symbols;
}

/* Compares all answers with what a source of this quality must give. */
static void check_answers(struct symbols *symbols, const char *label, const struct expected *list,
	unsigned n, enum symbols_source source)
{
	struct symbols_report report;
	unsigned n_unnamed = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned n_frames;
		const struct symbol_frame *frames =
			symbols_lookup(symbols, 0, list[i].vaddr, &n_frames);

		if (strcmp(list[i].kind, "gap") == 0) {
			check_offset(&list[i], label, frames, n_frames);
			n_unnamed++;
		} else if (strcmp(list[i].kind, "chain") == 0 && source == SYMBOLS_DWARF) {
			check_chain(&list[i], frames, n_frames);
		} else {
			check_outermost(&list[i], frames, n_frames);
		}
	}
	symbols_get_report(symbols, 0, &report);
	CHECK(report.source == source);
	CHECK(report.n_addresses == n);
	CHECK(report.n_unnamed == n_unnamed);
}

static void check_program(const char *path, enum symbols_source source)
{
	static struct expected list[EXPECTED_MAX];
	struct symbol_module_ref ref = { .path = path };
	unsigned n = ask(path, list);
	struct symbols *symbols = resolve(&ref, NULL, list, n);

	check_answers(symbols, strrchr(path, '/') + 1, list, n, source);
	symbols_free(symbols);
}

static void test_dwarf(void)
{
	CHECK(argument("dwarf", 0) != NULL);
	for (int i = 0; argument("dwarf", i); i++) {
		printf("# %s\n", argument("dwarf", i));
		check_program(argument("dwarf", i), SYMBOLS_DWARF);
	}
}

static void test_symtab(void)
{
	CHECK(argument("symtab", 0) != NULL);
	for (int i = 0; argument("symtab", i); i++)
		check_program(argument("symtab", i), SYMBOLS_SYMTAB);
}

static void test_dynsym(void)
{
	CHECK(argument("dynsym", 0) != NULL);
	for (int i = 0; argument("dynsym", i); i++)
		check_program(argument("dynsym", i), SYMBOLS_DYNSYM);
}

/* The build id as the linker wrote it: name "GNU", type 3, length 20. */
static bool read_build_id(const char *path, uint8_t id[20])
{
	static const char note[] = "\4\0\0\0\24\0\0\0\3\0\0\0GNU";
	static char bytes[256 * 1024];
	FILE *file = fopen(path, "rb");
	size_t n = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
	const char *found = n ? memmem(bytes, n, note, sizeof(note)) : NULL;

	if (file)
		fclose(file);
	if (!found || found + sizeof(note) + 20 > bytes + n)
		return false;
	memcpy(id, found + sizeof(note), 20);
	return true;
}

/* A debug root with a link to target in the place of the build id. */
static void make_debug_root(const uint8_t id[20], const char *target)
{
	char path[256], hex[41];

	for (int i = 0; i < 20; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	snprintf(path, sizeof(path), "%s/.build-id", scratch);
	CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/.build-id/%.2s", scratch, hex);
	CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", scratch, hex, hex + 2);
	CHECK(symlink(target, path) == 0);
}

static void remove_debug_root(const uint8_t id[20])
{
	char path[256], hex[41];

	for (int i = 0; i < 20; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", scratch, hex, hex + 2);
	unlink(path);
	snprintf(path, sizeof(path), "%s/.build-id/%.2s", scratch, hex);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/.build-id", scratch);
	rmdir(path);
}

/* Debug info of its own under the build id: with the stripped program, replaced, or gone. */
static void test_separate_by_build_id(void)
{
	static struct expected list[EXPECTED_MAX];
	const char *stripped = argument("stripped", 0), *debug = argument("debug", 0);
	char deleted[512], real[4096];
	uint8_t id[20];
	struct symbol_module_ref ref = { stripped, id, sizeof(id) };
	struct symbols *symbols;
	unsigned n;

	CHECK(stripped && debug && read_build_id(stripped, id) && realpath(debug, real));
	if (!stripped || !debug)
		return;
	n = ask(stripped, list);
	make_debug_root(id, real);

	symbols = resolve(&ref, scratch, list, n);
	check_answers(symbols, strrchr(stripped, '/') + 1, list, n, SYMBOLS_DWARF);
	symbols_free(symbols);

	snprintf(deleted, sizeof(deleted), "%s (deleted)", stripped);
	ref.path = deleted;
	symbols = resolve(&ref, scratch, list, n);
	check_answers(symbols, strrchr(stripped, '/') + 1, list, n, SYMBOLS_DWARF);
	symbols_free(symbols);

	ref.path = "/nowhere/gone";
	symbols = resolve(&ref, scratch, list, n);
	check_answers(symbols, "gone", list, n, SYMBOLS_DWARF);
	symbols_free(symbols);
	remove_debug_root(id);
}

static void test_debuglink(void)
{
	CHECK(argument("linked", 0) != NULL);
	for (int i = 0; argument("linked", i); i++)
		check_program(argument("linked", i), SYMBOLS_DWARF);
}

/*
 * dwz keeps shared names in a third file. Without it inlined functions have no
 * names, and the line in the function around them is that of the call.
 */
static void test_shared_part_lost(void)
{
	static struct expected list[EXPECTED_MAX];
	static uint8_t bytes[256 * 1024];
	const char *program = argument("shared", 0);
	char path[256];
	struct symbol_module_ref ref = { .path = path };
	struct symbols *symbols;
	size_t n_bytes;
	FILE *file;
	unsigned n;

	if (!program)
		return; /* no dwz when this was built */
	n = ask(program, list);
	file = fopen(program, "rb");
	n_bytes = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
	if (file)
		fclose(file);
	snprintf(path, sizeof(path), "%s/shared", scratch);
	file = fopen(path, "wb");
	CHECK(file && fwrite(bytes, 1, n_bytes, file) == n_bytes && fclose(file) == 0);
	symbols = resolve(&ref, NULL, list, n);
	for (unsigned i = 0; i < n; i++) {
		const struct expected_frame *outer = &list[i].frames[list[i].n_frames - 1];
		unsigned n_frames;
		const struct symbol_frame *frames =
			symbols_lookup(symbols, 0, list[i].vaddr, &n_frames);

		if (strcmp(list[i].kind, "chain") != 0)
			continue;
		check_outermost(&list[i], frames, n_frames);
		CHECK(frames->line == outer->line);
	}
	symbols_free(symbols);
	unlink(path);
}

/* Nothing may be named from a file that is not the one that ran. */
static void check_refused(
	const struct symbol_module_ref *ref, const char *label, enum symbols_source source)
{
	struct expected at = { .vaddr = 0x1234 };
	struct symbols *symbols = resolve(ref, scratch, &at, 1);
	struct symbols_report report;
	unsigned n_frames;
	const struct symbol_frame *frames = symbols_lookup(symbols, 0, at.vaddr, &n_frames);

	check_offset(&at, label, frames, n_frames);
	symbols_get_report(symbols, 0, &report);
	CHECK(report.source == source);
	CHECK(report.n_addresses == 1 && report.n_unnamed == 1);
	CHECK(symbols_source_text(report.source) != NULL);
	symbols_free(symbols);
}

static void test_unusable_files(void)
{
	const char *program = argument("dwarf", 0);
	uint8_t other[20] = { 1, 2, 3 };
	struct symbol_module_ref ref = { program, other, sizeof(other) };
	char replaced[512];

	CHECK(program != NULL);
	if (!program)
		return;
	check_refused(&ref, strrchr(program, '/') + 1, SYMBOLS_OTHER_BUILD);
	snprintf(replaced, sizeof(replaced), "%s (deleted)", program);
	ref = (struct symbol_module_ref){ .path = replaced };
	check_refused(&ref, strrchr(program, '/') + 1, SYMBOLS_OTHER_BUILD);
	ref.path = "/nowhere/libgone.so.1";
	check_refused(&ref, "libgone.so.1", SYMBOLS_NO_FILE);
	ref.path = "[vdso]";
	check_refused(&ref, "[vdso]", SYMBOLS_NO_FILE);
	ref.path = "";
	check_refused(&ref, "[unknown]", SYMBOLS_NO_FILE);
	ref.path = "/dev/null";
	check_refused(&ref, "null", SYMBOLS_UNREADABLE);
	ref.path = scratch;
	check_refused(&ref, strrchr(scratch, '/') + 1, SYMBOLS_UNREADABLE);
}

/* One handle a module, more requests after a resolve, and what nobody asked for. */
static void test_store(void)
{
	static struct expected list[EXPECTED_MAX];
	const char *path = argument("dwarf", 0);
	struct symbol_module_ref ref = { .path = path }, second = { .path = "/nowhere/x" };
	struct symbols *symbols = symbols_new();
	const struct symbol_frame *first, *again;
	struct symbols_report report;
	unsigned n = ask(path, list), n_frames;

	CHECK(symbols_add_module(symbols, &ref) == 0);
	CHECK(symbols_add_module(symbols, &second) == 1);
	CHECK(symbols_add_module(symbols, &ref) == 0);
	CHECK(symbols_module_count(symbols) == 2);
	CHECK(symbols_request(symbols, 0, list[0].vaddr) == 0);
	symbols_get_report(symbols, 0, &report);
	CHECK(report.source == SYMBOLS_NOT_RESOLVED && report.n_addresses == 0);
	first = symbols_lookup(symbols, 0, list[0].vaddr, &n_frames);
	check_offset(&list[0], strrchr(path, '/') + 1, first, n_frames);
	CHECK(symbols_resolve(symbols) == 0);
	first = symbols_lookup(symbols, 0, list[0].vaddr, &n_frames);
	check_chain(&list[0], first, n_frames);
	for (unsigned i = 0; i < n; i++)
		CHECK(symbols_request(symbols, 0, list[i].vaddr) == 0);
	CHECK(symbols_resolve(symbols) == 0);
	again = symbols_lookup(symbols, 0, list[0].vaddr, &n_frames);
	CHECK(again == first);
	check_answers(symbols, strrchr(path, '/') + 1, list, n, SYMBOLS_DWARF);
	again = symbols_lookup(symbols, 1, UINT64_MAX, &n_frames);
	check_offset(&(struct expected){ .vaddr = UINT64_MAX }, "x", again, n_frames);
	symbols_free(symbols);
}

static uint64_t random_state = 20240229;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % n);
}

/*
 * Damaged bytes in every part of the file: whatever is answered, there is an
 * answer. Under ASan this also watches the reads.
 */
static void damage(const char *source, int n_rounds)
{
	static struct expected list[EXPECTED_MAX];
	char path[256];
	unsigned n = ask(source, list), n_named = 0;
	FILE *in = fopen(source, "rb");
	static uint8_t bytes[512 * 1024];
	size_t n_bytes = in ? fread(bytes, 1, sizeof(bytes), in) : 0;
	int fd;

	CHECK(n_bytes > 1000 && n_bytes < sizeof(bytes));
	if (in)
		fclose(in);
	snprintf(path, sizeof(path), "%s/damaged", scratch);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, bytes, n_bytes) == (ssize_t)n_bytes);
	for (int round = 0; round < n_rounds; round++) {
		struct symbol_module_ref ref = { .path = path };
		struct symbols *symbols;
		uint32_t at[8], n_flips = 1 + random_below(8);

		for (uint32_t i = 0; i < n_flips; i++) {
			uint8_t byte = (uint8_t)random_below(256);

			/* Now and then the ELF header, and the section headers at the end. */
			at[i] = round % 8 == 0   ? random_below(64)
				: round % 8 == 1 ? (uint32_t)n_bytes - 1 - random_below(2048)
						 : random_below((uint32_t)n_bytes);
			if (random_below(4) == 0)
				byte = random_below(2) ? 0xff : 0;
			CHECK(pwrite(fd, &byte, 1, at[i]) == 1);
		}
		symbols = resolve(&ref, scratch, list, n);
		for (unsigned i = 0; i < n; i++) {
			unsigned n_frames = 0;
			const struct symbol_frame *frames =
				symbols_lookup(symbols, 0, list[i].vaddr, &n_frames);

			CHECK(n_frames >= 1);
			for (unsigned f = 0; f < n_frames; f++)
				CHECK(frames[f].function && frames[f].function[0]);
			n_named += n_frames == list[i].n_frames &&
				   strcmp(frames->function, list[i].frames[0].function) == 0;
		}
		symbols_free(symbols);
		for (uint32_t i = 0; i < n_flips; i++)
			CHECK(pwrite(fd, &bytes[at[i]], 1, at[i]) == 1);
	}
	/* Most of a file is not what these few answers need. */
	CHECK(n_named > (unsigned)n_rounds);
	printf("# %d damaged files, %u of %u answers as before\n", n_rounds, n_named,
		(unsigned)n_rounds * n);
	for (size_t length = 0; length < n_bytes; length += 1 + n_bytes / 200) {
		struct symbol_module_ref ref = { .path = path };

		CHECK(ftruncate(fd, (off_t)length) == 0);
		symbols_free(resolve(&ref, scratch, list, n));
		CHECK(pwrite(fd, bytes, n_bytes, 0) == (ssize_t)n_bytes);
	}
	close(fd);
	unlink(path);
}

static void test_damage(void)
{
	CHECK(argument("damage", 0) != NULL);
	for (int i = 0; argument("damage", i); i++)
		damage(argument("damage", i), N_MUTATIONS / (i + 1));
}

int main(int argc, char **argv)
{
	n_arguments = argc;
	arguments = argv;
	if (!mkdtemp(scratch)) {
		printf("Bail out! no directory below /tmp\n");
		return 1;
	}
	TAP_RUN(test_dwarf);
	TAP_RUN(test_symtab);
	TAP_RUN(test_dynsym);
	TAP_RUN(test_separate_by_build_id);
	TAP_RUN(test_debuglink);
	TAP_RUN(test_shared_part_lost);
	TAP_RUN(test_unusable_files);
	TAP_RUN(test_store);
	TAP_RUN(test_damage);
	rmdir(scratch);
	return tap_done();
}
