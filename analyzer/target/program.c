/*
 * program.c - owns the verdict on a program: what its file, its rights and its
 * LD_PRELOAD mean for heapspy, and the line that says so. Finding the file is
 * program_path.c's, reading it program_elf.c's, its rights program_rights.c's,
 * other objects in LD_PRELOAD program_preload.c's.
 */
#include "analyzer/target/program.h"

#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/target/program_preload.h"
#include "analyzer/target/program_rights.h"

const struct program_finding *program_finding(
	const struct program_facts *facts, enum program_kind kind)
{
	unsigned i;

	for (i = 0; i < facts->n_findings; i++)
		if (facts->findings[i].kind == kind)
			return &facts->findings[i];
	return NULL;
}

const char *program_kind_name(enum program_kind kind)
{
	static const char *const names[] = {
		[PROGRAM_IS_STATIC] = "static",
		[PROGRAM_IS_GO_STATIC] = "go-static",
		[PROGRAM_IS_FOREIGN] = "other-machine",
		[PROGRAM_IS_OTHER_LIBC] = "other-libc",
		[PROGRAM_IS_PRIVILEGED] = "privileged",
		[PROGRAM_HAS_SANITIZER] = "sanitizer",
		[PROGRAM_HAS_MALLOC] = "own-malloc",
		[PROGRAM_PRELOADS_BEFORE] = "preload-before",
		[PROGRAM_IS_DAMAGED] = "damaged",
		[PROGRAM_LACKS_LOADER] = "no-loader",
		[PROGRAM_HAS_WRAPPER] = "malloc-wrapper",
		[PROGRAM_HIDES_MALLOC] = "hidden-malloc",
		[PROGRAM_HAS_ALLOCATOR] = "own-allocator",
		[PROGRAM_IS_GO] = "go",
		[PROGRAM_IS_LOADER] = "loader",
		[PROGRAM_IS_UNKNOWN_LOADER] = "unknown-loader",
		[PROGRAM_IS_UNREADABLE] = "unreadable",
		[PROGRAM_RESETS] = "resets-environment",
		[PROGRAM_IS_SCRIPT] = "script",
		[PROGRAM_LACKS_PRELOAD] = "preload-missing",
	};

	return names[kind];
}

/* A finding; the kind tells the verdict. exit_code: with PROGRAM_CANNOT. */
static void __attribute__((format(printf, 4, 5)))
add(struct program_facts *facts, enum program_kind kind, int exit_code, const char *format, ...)
{
	struct program_finding *finding = &facts->findings[facts->n_findings];
	va_list ap;

	if (facts->n_findings == PROGRAM_FINDINGS_MAX)
		return;
	facts->n_findings++;
	finding->kind = kind;
	finding->verdict = exit_code ? PROGRAM_CANNOT : PROGRAM_REMARK;
	finding->exit_code = exit_code;
	va_start(ap, format);
	vsnprintf(finding->text, sizeof(finding->text), format, ap);
	va_end(ap);
	if (facts->verdict < finding->verdict)
		facts->verdict = finding->verdict;
}

static const char *machine_name(const struct program_elf *elf, char buffer[32])
{
	static const struct {
		uint16_t machine;
		const char *name;
	} known[] = { { EM_386, "x86" }, { EM_X86_64, "x86-64" }, { EM_AARCH64, "aarch64" },
		{ EM_ARM, "arm" }, { EM_RISCV, "riscv" }, { EM_PPC64, "ppc64" },
		{ EM_S390, "s390" }, { EM_MIPS, "mips" }, { EM_SPARCV9, "sparc64" } };
	unsigned i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].machine == elf->machine)
			return known[i].name;
	snprintf(buffer, 32, "machine %u", elf->machine);
	return buffer;
}

static void judge_foreign(const char *shown, struct program_facts *facts)
{
	const struct program_elf *elf = &facts->elf;
	char buffer[32];

	if (elf->bits == 32)
		add(facts, PROGRAM_IS_FOREIGN, PROGRAM_EXIT_CANNOT,
			"%s is a 32-bit program (%s): heapspy profiles 64-bit x86-64 programs "
			"only; build it for x86-64",
			shown, machine_name(elf, buffer));
	else
		add(facts, PROGRAM_IS_FOREIGN, PROGRAM_EXIT_CANNOT,
			"%s is built for %s%s: heapspy profiles x86-64 programs only; build it for "
			"x86-64",
			shown, machine_name(elf, buffer), elf->big_endian ? " (big-endian)" : "");
}

/* No loader: nobody is there who would look at LD_PRELOAD. */
static void judge_static(const char *shown, struct program_facts *facts)
{
	/* The loader itself has none either, and preloads for the program it is given. */
	if (!strncmp(facts->elf.soname, "ld-linux", 8))
		add(facts, PROGRAM_IS_LOADER, 0,
			"%s is the dynamic loader: what it is told to start is profiled, and was "
			"not looked at",
			shown);
	else if (facts->elf.is_go)
		add(facts, PROGRAM_IS_GO_STATIC, PROGRAM_EXIT_CANNOT,
			"%s is a Go program, statically linked: preloading cannot work. See "
			"heapspy help static",
			shown);
	else
		add(facts, PROGRAM_IS_STATIC, PROGRAM_EXIT_CANNOT,
			"%s is statically linked: preloading cannot work. See heapspy help static",
			shown);
}

static void judge_loader(const char *shown, struct program_facts *facts)
{
	const char *loader = facts->elf.loader, *name = program_path_base(loader);

	if (!strncmp(name, "ld-musl-", 8) ||
		program_elf_has(facts->elf.libraries, PROGRAM_LIBRARY_MUSL))
		add(facts, PROGRAM_IS_OTHER_LIBC, PROGRAM_EXIT_CANNOT,
			"%s is linked with musl (%s): heapspy is made for glibc and does nothing "
			"there; build the program against glibc",
			shown, loader);
	else if (!strncmp(name, "ld64-uClibc", 11) || !strncmp(name, "ld-uClibc", 9) ||
		 !strncmp(name, "linker", 6))
		add(facts, PROGRAM_IS_OTHER_LIBC, PROGRAM_EXIT_CANNOT,
			"%s uses another C library's loader (%s): this heapspy is made for glibc "
			"and cannot be loaded there; build it against glibc",
			shown, loader);
	else if (strncmp(name, "ld-linux", 8) && strncmp(name, "ld-2.", 5))
		add(facts, PROGRAM_IS_UNKNOWN_LOADER, 0,
			"%s uses a loader that heapspy does not know (%s): with glibc's it would "
			"work",
			shown, loader);
}

static const char *sanitizer_of(const struct program_elf *elf)
{
	static const struct {
		enum program_symbol symbol;
		enum program_library library;
		const char *name;
	} known[] = {
		/* Others bring __lsan_init along: it is asked last. */
		{ PROGRAM_SYMBOL_HWASAN, PROGRAM_LIBRARY_HWASAN, "HWAddressSanitizer" },
		{ PROGRAM_SYMBOL_ASAN, PROGRAM_LIBRARY_ASAN, "AddressSanitizer" },
		{ PROGRAM_SYMBOL_TSAN, PROGRAM_LIBRARY_TSAN, "ThreadSanitizer" },
		{ PROGRAM_SYMBOL_MSAN, PROGRAM_N_LIBRARIES, "MemorySanitizer" },
		{ PROGRAM_SYMBOL_LSAN, PROGRAM_LIBRARY_LSAN, "LeakSanitizer" },
	};
	uint32_t all = elf->exported | elf->internal | elf->imported;
	unsigned i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (program_elf_has(all, known[i].symbol) ||
			(known[i].library < PROGRAM_N_LIBRARIES &&
				program_elf_has(elf->libraries, known[i].library)))
			return known[i].name;
	return NULL;
}

/* A symbol of mask that gives an allocator away; PROGRAM_N_SYMBOLS if there is none. */
static unsigned allocator_in(uint32_t mask)
{
	unsigned i;

	for (i = 0; i < PROGRAM_N_SYMBOLS; i++)
		if (program_elf_has(mask, i) && program_symbols_allocator((enum program_symbol)i))
			break;
	return i;
}

/*
 * An exported malloc stands before every preloaded one. It may be a mere wrapper
 * that hands on to the next malloc: that takes a dlsym, and no known allocator
 * around it. Which of the two it is only the run can tell.
 */
static void judge_exported_malloc(const char *shown, struct program_facts *facts)
{
	const struct program_elf *elf = &facts->elf;
	unsigned known = allocator_in(elf->exported | elf->internal);
	const char *allocator = known < PROGRAM_N_SYMBOLS
					? program_symbols_allocator((enum program_symbol)known)
					: NULL;

	if (!allocator && program_elf_has(elf->imported, PROGRAM_SYMBOL_DLSYM))
		add(facts, PROGRAM_HAS_WRAPPER, 0,
			"%s defines malloc itself, before heapspy's: only what it hands on to the "
			"next malloc is seen. See heapspy help allocators",
			shown);
	else
		add(facts, PROGRAM_HAS_MALLOC, PROGRAM_EXIT_CANNOT,
			"%s brings a malloc of its own%s%s%s, which comes before any preloaded "
			"one: nothing would be seen. See heapspy help allocators",
			shown, allocator ? " (" : "", allocator ? allocator : "",
			allocator ? ")" : "");
}

static void judge_allocators(const char *shown, struct program_facts *facts)
{
	const struct program_elf *elf = &facts->elf;
	unsigned known = allocator_in(elf->exported | elf->internal);

	if (program_elf_has(elf->exported, PROGRAM_SYMBOL_MALLOC))
		judge_exported_malloc(shown, facts);
	else if (program_elf_has(elf->internal, PROGRAM_SYMBOL_MALLOC))
		add(facts, PROGRAM_HIDES_MALLOC, 0,
			"%s has a malloc of its own, bound when it was linked: only what its "
			"shared libraries allocate is seen. See heapspy help allocators",
			shown);
	else if (known < PROGRAM_N_SYMBOLS)
		add(facts, PROGRAM_HAS_ALLOCATOR, 0,
			"%s contains %s under a name of its own (%s): what comes from there is not "
			"seen. See heapspy help allocators",
			shown, program_symbols_allocator((enum program_symbol)known),
			program_symbols_name((enum program_symbol)known));
}

void program_judge_file(int fd, const char *shown, struct program_facts *facts)
{
	struct program_elf *elf = &facts->elf;
	const char *sanitizer;

	program_elf_read(fd, elf);
	switch (elf->kind) {
	case PROGRAM_ELF_NONE:
		return;
	case PROGRAM_ELF_DAMAGED:
		add(facts, PROGRAM_IS_DAMAGED, PROGRAM_EXIT_NOT_EXECUTABLE,
			"%s cannot be started: an ELF file, but no whole program (%s)", shown,
			elf->damage);
		return;
	case PROGRAM_ELF_FOREIGN:
		judge_foreign(shown, facts);
		return;
	case PROGRAM_ELF_PROGRAM:
		break;
	}
	if (!elf->has_loader) {
		judge_static(shown, facts);
		return;
	}
	judge_loader(shown, facts);
	sanitizer = sanitizer_of(elf);
	if (sanitizer) {
		add(facts, PROGRAM_HAS_SANITIZER, PROGRAM_EXIT_CANNOT,
			"%s is built with %s, which replaces malloc and wants to be first: profile "
			"a build without it",
			shown, sanitizer);
		return;
	}
	judge_allocators(shown, facts);
	if (elf->is_go)
		add(facts, PROGRAM_IS_GO, 0,
			"%s is a Go program: Go's own heap is not seen, only what its C code "
			"allocates",
			shown);
}

/* Programs that start others with an environment of their own making. */
static bool resets_environment(const char *name)
{
	static const char *const names[] = { "sudo", "su", "doas", "pkexec", "runuser",
		"systemd-run" };
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static void judge_rights(
	const char *shown, const struct program_environment *env, struct program_facts *facts)
{
	const char *name = program_path_base(facts->path.program);
	char why[200];
	bool resets = resets_environment(name);

	if (program_rights_grow(facts->path.program, env, why, sizeof(why)))
		add(facts, PROGRAM_IS_PRIVILEGED, PROGRAM_EXIT_CANNOT,
			"%s runs with raised rights (%s), and the loader ignores LD_PRELOAD then: "
			"%s",
			shown, why,
			resets ? "put heapspy behind it, as in sudo heapspy run -- CMD"
			       : "see heapspy help privileges");
	else if (resets)
		add(facts, PROGRAM_RESETS, 0,
			"%s gives what it starts another environment, without LD_PRELOAD: put "
			"heapspy behind it, as in sudo heapspy run -- CMD",
			shown);
}

static void judge_preload(const struct program_environment *env, struct program_facts *facts)
{
	char object[PROGRAM_PRELOAD_NAME_BYTES];

	switch (program_preload_check(env, object)) {
	case PROGRAM_PRELOAD_FINE:
		break;
	case PROGRAM_PRELOAD_MALLOC_BEFORE:
		add(facts, PROGRAM_PRELOADS_BEFORE, PROGRAM_EXIT_CANNOT,
			"%s stands before heapspy in LD_PRELOAD and brings a malloc: nothing would "
			"be seen; name libheapspy.so first",
			object);
		break;
	case PROGRAM_PRELOAD_MISSING:
		add(facts, PROGRAM_LACKS_PRELOAD, 0,
			"%s in LD_PRELOAD is not there, or no library of this machine: the loader "
			"goes on without it",
			object);
		break;
	}
}

/* What runs, as the subject of a sentence. */
static void name_program(const struct program_path *path, char *out, size_t bytes)
{
	if (path->n_scripts)
		snprintf(out, bytes, "%.300s, which runs %.300s,", path->program,
			program_path_base(path->file));
	else
		snprintf(out, bytes, "%.300s", program_path_base(path->file));
}

static void judge_script(struct program_facts *facts)
{
	if (facts->path.by_shell)
		add(facts, PROGRAM_IS_SCRIPT, 0,
			"%s has no #! line and no format that is known: %s runs it, and is "
			"profiled with what it starts",
			program_path_base(facts->path.file), facts->path.program);
	else if (facts->path.n_scripts)
		add(facts, PROGRAM_IS_SCRIPT, 0,
			"%s is a script: %s runs it, and is profiled with what it starts",
			program_path_base(facts->path.file), facts->path.program);
}

int program_check(const char *name, const struct program_environment *env,
	struct program_facts *facts, struct fail *f)
{
	char shown[640];
	unsigned i;
	int fd;

	memset(facts, 0, sizeof(*facts));
	if (program_path_resolve(name, env->search_path, &facts->path, f) < 0)
		return -1;
	name_program(&facts->path, shown, sizeof(shown));
	fd = open(facts->path.program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		add(facts, PROGRAM_IS_UNREADABLE, 0,
			"%s cannot be read by this user: whether it can be profiled is not known",
			shown);
	} else {
		program_judge_file(fd, shown, facts);
		close(fd);
	}
	if (facts->elf.has_loader && access(facts->elf.loader, X_OK) < 0 &&
		facts->verdict != PROGRAM_CANNOT)
		add(facts, PROGRAM_LACKS_LOADER, PROGRAM_EXIT_NOT_FOUND,
			"%s cannot be started: its loader '%s' is not there; install the C library "
			"it was built for",
			shown, facts->elf.loader);
	if (facts->verdict != PROGRAM_CANNOT) {
		judge_rights(shown, env, facts);
		judge_preload(env, facts);
		judge_script(facts);
	}
	for (i = 0; i < facts->n_findings; i++)
		if (facts->findings[i].verdict == PROGRAM_CANNOT)
			return fail_set(
				f, facts->findings[i].exit_code, "%s", facts->findings[i].text);
	return 0;
}
