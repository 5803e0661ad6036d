/*
 * test_program_closure.c - which files a program will consist of, held against what
 * the loader itself says (LD_TRACE_LOADED_OBJECTS): for programs of this machine, and for
 * ones made here whose libraries are found by DT_RPATH, DT_RUNPATH and $ORIGIN; and
 * the loader's cache, made up, damaged and missing.
 */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/target/allocators.h"
#include "analyzer/target/program_closure.h"
#include "sample_math.h"

#define OBJECTS_MAX    400
#define PROGRAMS_SHOWN 40
#define N_MUTANTS      2000

static char dir[64];
static struct sample_rng rng;

static const char *in_dir(const char *name)
{
	static char paths[8][256];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void shell(const char *script)
{
	char *command;

	if (asprintf(&command, "set -e; cd '%s'; %s", dir, script) < 0)
		exit(2);
	if (system(command)) {
		fprintf(stderr, "failed: %s\n", command);
		exit(2);
	}
	free(command);
}

/* The files that the loader names, in its order, itself and the kernel's left out. */
static unsigned ask_the_loader(const char *path, const char *variables, char **out)
{
	char *command, *whole, line[PATH_MAX + 200], file[PATH_MAX];
	unsigned n = 0;
	FILE *stream;

	if (asprintf(&command, "env %s LD_TRACE_LOADED_OBJECTS=1 '%s' 2>&1 </dev/null", variables,
		    path) < 0)
		exit(2);
	stream = popen(command, "r");
	while (stream && n < OBJECTS_MAX && fgets(line, sizeof(line), stream)) {
		const char *arrow = strstr(line, " => ");

		if (strstr(line, "not found"))
			continue;
		if (sscanf(arrow ? arrow + 4 : line, " %4095s", file) != 1 || file[0] != '/' ||
			strstr(file, "/ld-linux"))
			continue;
		whole = realpath(file, NULL);
		if (whole)
			out[n++] = whole;
	}
	if (stream)
		pclose(stream);
	free(command);
	return n;
}

/* Whether we name the same files in the same order. */
static bool agrees(const char *path, const char *preload, const char *library_path)
{
	struct program_environment env = { .preload = preload, .library_path = library_path };
	char *theirs[OBJECTS_MAX], variables[2 * PATH_MAX];
	struct program_closure c;
	struct loader_search search;
	unsigned n, at = 0;
	bool same = true;
	size_t i;

	snprintf(variables, sizeof(variables), "LD_PRELOAD='%s' LD_LIBRARY_PATH='%s'",
		preload ? preload : "", library_path ? library_path : "");
	n = ask_the_loader(path, variables, theirs);
	loader_search_init(&search, library_path);
	program_closure_read(&c, path, &env, &search);
	for (i = 1; i < c.n; i++) {
		char *whole = realpath(c.objects[i]->path, NULL);

		if (whole && !strstr(whole, "/ld-linux")) {
			if (same && (at >= n || strcmp(whole, theirs[at]) != 0)) {
				printf("# %s: %s, the loader has %s\n", path, whole,
					at < n ? theirs[at] : "no more");
				same = false;
			}
			at++;
		}
		free(whole);
	}
	if (same && at != n)
		printf("# %s: %u of %u files, first missing %s\n", path, at, n, theirs[at]);
	same = same && at == n && c.n > 0 && !c.is_cut;
	program_closure_deinit(&c);
	loader_search_deinit(&search);
	for (at = 0; at < n; at++)
		free(theirs[at]);
	return same;
}

/* Dynamically linked, by nothing that is read here: the kernel's own fields. */
static bool is_dynamic(const char *path)
{
	Elf64_Ehdr header;
	Elf64_Phdr part;
	bool dynamic = false;
	unsigned i;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
		!memcmp(header.e_ident, ELFMAG, SELFMAG))
		for (i = 0; i < header.e_phnum; i++)
			dynamic |= pread(fd, &part, sizeof(part),
					   (off_t)(header.e_phoff + i * sizeof(part))) ==
					   (ssize_t)sizeof(part) &&
				   part.p_type == PT_INTERP;
	close(fd);
	return dynamic;
}

static int any(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void test_programs_of_this_machine(void)
{
	struct dirent **entries;
	char path[PATH_MAX];
	unsigned n_asked = 0;
	struct stat st;
	int i, n = scandir("/usr/bin", &entries, any, alphasort);

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/usr/bin/%s", entries[i]->d_name);
		/* Each so many-th, and not what would be asked with raised rights. */
		if ((unsigned)i % ((unsigned)n / PROGRAMS_SHOWN + 1) == 0 && !stat(path, &st) &&
			!(st.st_mode & (S_ISUID | S_ISGID)) && is_dynamic(path)) {
			CHECK(agrees(path, NULL, NULL));
			n_asked++;
		}
		free(entries[i]);
	}
	free(entries);
	printf("# %u programs\n", n_asked);
	CHECK(n_asked >= 5);
}

/* outer needs middle needs inner; what leads to inner differs. */
static void test_made_up_programs(void)
{
	shell("mkdir -p one two three; echo 'int f(void){return 0;}' > i.c; "
	      "echo 'int f(void); int g(void){return f();}' > m.c; "
	      "echo 'int g(void); int main(void){return g();}' > o.c; "
	      "for d in one two three; do gcc -shared -fPIC -o $d/libinner.so i.c "
	      "-Wl,-soname,libinner.so; done; "
	      /* RPATH of the program leads its libraries too, RUNPATH does not. */
	      "gcc -shared -fPIC -o one/libmiddle.so m.c -Lone -linner; "
	      "gcc -o rpath o.c -Wl,--disable-new-dtags,-rpath,'$ORIGIN/one' -Lone -lmiddle "
	      "-Wl,-rpath-link,one; "
	      "gcc -o runpath o.c -Wl,--enable-new-dtags,-rpath,'$ORIGIN/one' -Lone -lmiddle "
	      "-Wl,-rpath-link,one; "
	      /* A library's RUNPATH counts for its own, and turns the program's RPATH off. */
	      "gcc -shared -fPIC -o two/libmiddle2.so m.c -Lone -linner "
	      "-Wl,--enable-new-dtags,-rpath,'${ORIGIN}/../three'; "
	      "gcc -o mixed o.c -Wl,--disable-new-dtags,-rpath,'$ORIGIN/one:$ORIGIN/two' -Ltwo "
	      "-lmiddle2 -Wl,-rpath-link,one; "
	      "gcc -shared -fPIC -o pre.so i.c");
	CHECK(agrees(in_dir("rpath"), NULL, NULL));
	CHECK(agrees(in_dir("runpath"), NULL, NULL));
	CHECK(agrees(in_dir("runpath"), NULL, in_dir("two")));
	CHECK(agrees(in_dir("mixed"), NULL, NULL));
	CHECK(agrees(in_dir("mixed"), NULL, in_dir("two")));
	CHECK(agrees(in_dir("mixed"), NULL, "/nowhere;$ORIGIN/one"));
	CHECK(agrees(in_dir("rpath"), in_dir("pre.so"), NULL));
	CHECK(agrees(in_dir("rpath"), "libm.so.6 libmiddle.so", NULL));
	CHECK(agrees(in_dir("rpath"), "/$LIB/libm.so.6", NULL));
}

struct entry {
	int32_t flags;
	uint32_t name, path, os_version;
	uint64_t hwcap;
};

/* A cache that knows libinner.so as one/, for other machines as nothing, for newer ones as two/. */
static size_t make_cache(uint8_t *out, bool with_old)
{
	struct entry entries[3] = { { 3, 0, 0, 0, 0 }, { 0x0303, 0, 0, 0, 1ull << 62 },
		{ 0x0303, 0, 0, 0, 0 } };
	const char *paths[3] = { "/nowhere/libinner.so", in_dir("two/libinner.so"),
		in_dir("one/libinner.so") };
	size_t start = 0, at, i;
	uint32_t n = 3;

	memset(out, 0, 4096);
	if (with_old) {
		memcpy(out, "ld.so-1.7.0", 11);
		memcpy(out + 12, &(uint32_t){ 1 }, 4);
		start = 32; /* 16 and one entry of 12, rounded up to 8 */
	}
	memcpy(out + start, "glibc-ld.so.cache1.1", 20);
	memcpy(out + start + 20, &n, 4);
	at = 48 + sizeof(entries);
	for (i = 0; i < 3; i++) {
		entries[i].name = (uint32_t)at;
		strcpy((char *)out + start + at, "libinner.so");
		at += 12;
		entries[i].path = (uint32_t)at;
		strcpy((char *)out + start + at, paths[i]);
		at += strlen(paths[i]) + 1;
	}
	memcpy(out + start + 48, entries, sizeof(entries));
	return start + at;
}

static void write_cache(const uint8_t *data, size_t bytes)
{
	int fd = open(in_dir("cache"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
	close(fd);
}

/* What a search for libinner.so finds; "" nothing. */
static const char *found(const char *cache, const char *const *dirs)
{
	static char path[PATH_MAX];
	struct loader_search search;
	int fd;

	loader_search_init(&search, NULL);
	search.cache_file = cache;
	search.dirs = dirs;
	fd = loader_search_open(&search, "libinner.so", NULL, path);
	loader_search_deinit(&search);
	if (fd < 0)
		return "";
	close(fd);
	return path;
}

static void test_cache(void)
{
	const char *const none[] = { NULL };
	uint8_t data[4096];
	size_t bytes, i;
	unsigned round;

	for (round = 0; round < 2; round++) {
		bytes = make_cache(data, round == 1);
		write_cache(data, bytes);
		CHECK(!strcmp(found(in_dir("cache"), none), in_dir("one/libinner.so")));
	}
	/* Only newer processors' is left. */
	bytes = make_cache(data, false);
	data[48 + 2 * sizeof(struct entry) + 1] = 0; /* 0x0003 */
	write_cache(data, bytes);
	CHECK(!strcmp(found(in_dir("cache"), none), in_dir("two/libinner.so")));
	CHECK(!strcmp(found(in_dir("missing"), none), ""));
	CHECK(!strcmp(found(dir, none), ""));
	for (round = 0; round < N_MUTANTS; round++) {
		bytes = make_cache(data, round & 1);
		for (i = 0; i < 4; i++)
			data[sample_rng_next(&rng) % bytes] = (uint8_t)sample_rng_next(&rng);
		write_cache(data, sample_rng_next(&rng) % (bytes + 1));
		found(in_dir("cache"), none); /* ends, and reads nothing beyond */
	}
}

static void test_usual_directories(void)
{
	const char *dirs[] = { in_dir("nowhere"), in_dir("three"), NULL };

	CHECK(!strcmp(found(in_dir("missing"), dirs), in_dir("three/libinner.so")));
}

/* Names of the allocators, and every way not to have one. */
static void test_locate(void)
{
	const char *dirs[] = { in_dir("libs"), NULL };
	struct loader_search search;
	char path[PATH_MAX];
	uint32_t exported;
	struct fail f;

	CHECK(allocators_find("jemalloc") && allocators_find("tcmalloc_minimal"));
	CHECK(!allocators_find("glibc") && !allocators_find(""));
	shell("mkdir libs 'a b'; echo 'void *malloc(unsigned long n){return (void*)n;}' > "
	      "malloc.c");
	loader_search_init(&search, NULL);
	search.cache_file = in_dir("missing");
	search.dirs = dirs;
	CHECK(allocators_locate(allocators_find("mimalloc"), &search, path, &exported, &f) == -1);
	CHECK(!strcmp(f.text, "--allocator=mimalloc: libmimalloc.so.2 is not installed (Debian: "
			      "libmimalloc2.0); a copy elsewhere is found by LD_LIBRARY_PATH"));
	/* Another one is never taken unasked. */
	shell("gcc -shared -fPIC -fno-builtin -o libs/libtcmalloc_minimal.so.4 malloc.c");
	CHECK(allocators_locate(allocators_find("tcmalloc"), &search, path, &exported, &f) == -1);
	CHECK(!strcmp(f.text, "--allocator=tcmalloc: libtcmalloc.so.4 is not installed (Debian: "
			      "libgoogle-perftools4); --allocator=tcmalloc_minimal is"));
	CHECK(allocators_locate(
		      allocators_find("tcmalloc_minimal"), &search, path, &exported, &f) == 0);
	CHECK(!strcmp(path, in_dir("libs/libtcmalloc_minimal.so.4")));
	CHECK(exported == 1u << PROGRAM_SYMBOL_MALLOC);
	/* No library of this machine: a text, then a header of 32 bits. */
	shell("echo text > libs/libmimalloc.so.2");
	CHECK(allocators_locate(allocators_find("mimalloc"), &search, path, &exported, &f) == -1);
	CHECK(strstr(f.text, "/libs/libmimalloc.so.2 cannot be loaded: ") != NULL);
	shell("head -c 4096 libs/libtcmalloc_minimal.so.4 > libs/libmimalloc.so.2; "
	      "printf '\\001' | dd of=libs/libmimalloc.so.2 bs=1 seek=4 conv=notrunc status=none");
	CHECK(allocators_locate(allocators_find("mimalloc"), &search, path, &exported, &f) == -1);
	CHECK(strstr(f.text, "no 64-bit x86-64 library; install libmimalloc2.0") != NULL);
	/* A library that calls its malloc otherwise. */
	shell("gcc -shared -fPIC -o libs/libjemalloc.so.2 i.c");
	CHECK(allocators_locate(allocators_find("jemalloc"), &search, path, &exported, &f) == -1);
	CHECK(strstr(f.text, "/libs/libjemalloc.so.2 defines no malloc (built with a prefix?)"));
	shell("cp libs/libtcmalloc_minimal.so.4 'a b/libjemalloc.so.2'");
	search.library_path = in_dir("a b");
	CHECK(allocators_locate(allocators_find("jemalloc"), &search, path, &exported, &f) == -1);
	CHECK(strstr(f.text, "/a b/libjemalloc.so.2' cannot stand in LD_PRELOAD") != NULL);
	/* A relative directory: children may be elsewhere. */
	shell("cp libs/libtcmalloc_minimal.so.4 one/libjemalloc.so.2");
	CHECK(chdir(dir) == 0);
	search.library_path = "one";
	CHECK(allocators_locate(allocators_find("jemalloc"), &search, path, &exported, &f) == 0);
	CHECK(!strcmp(path, in_dir("one/libjemalloc.so.2")));
	CHECK(chdir("/") == 0);
	loader_search_deinit(&search);
}

int main(void)
{
	char command[128];

	strcpy(dir, "/tmp/heapspy-closure.XXXXXX");
	if (!mkdtemp(dir))
		return 2;
	unsetenv("LD_PRELOAD");
	unsetenv("LD_LIBRARY_PATH");
	sample_rng_seed(&rng, 4);
	TAP_RUN(test_programs_of_this_machine);
	TAP_RUN(test_made_up_programs);
	TAP_RUN(test_cache);
	TAP_RUN(test_usual_directories);
	TAP_RUN(test_locate);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		return 2;
	return tap_done();
}
