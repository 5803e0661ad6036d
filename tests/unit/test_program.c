/*
 * test_program.c - what is said of programs before they start, held against the
 * kernel where it can be asked: execvp() for files and scripts, AT_SECURE for
 * rights. Programs come as arguments, NAME=PATH.
 */
#undef NDEBUG
#include "tests/unit/tap.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "analyzer/target/program.h"
#include "analyzer/target/topics.h"
#include "sample_math.h"

#define N_MUTANTS 2000
#define NOBODY    65534u

static char dir[64];
static char **arguments;
static struct program_environment env;
static struct program_facts facts;
static struct fail f;

static const char *program(const char *name)
{
	size_t n = strlen(name);
	char **a;

	for (a = arguments; *a; a++)
		if (!strncmp(*a, name, n) && (*a)[n] == '=')
			return *a + n + 1;
	fprintf(stderr, "no argument %s=PATH\n", name);
	exit(2);
}

static const char *in_dir(const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static uint8_t *read_all(const char *path, size_t *bytesp)
{
	FILE *stream = fopen(path, "re");
	uint8_t *data = NULL;

	*bytesp = 0;
	if (stream && fseek(stream, 0, SEEK_END) == 0) {
		*bytesp = (size_t)ftell(stream);
		rewind(stream);
		data = malloc(*bytesp + 1);
		*bytesp = fread(data, 1, *bytesp, stream);
	}
	if (stream)
		fclose(stream);
	return data;
}

static const char *make_file(const char *name, const void *data, size_t bytes, mode_t mode)
{
	const char *path = in_dir(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
	CHECK(fchmod(fd, mode) == 0);
	close(fd);
	return path;
}

static const char *make_script(const char *name, const char *text)
{
	return make_file(name, text, strlen(text), 0755);
}

/* A copy of a program with some bytes of its header changed. */
static const char *make_copy(
	const char *name, const char *of, size_t at, const void *patch, size_t patch_bytes)
{
	size_t bytes;
	uint8_t *data = read_all(program(of), &bytes);
	const char *path;

	memcpy(data + at, patch, patch_bytes);
	path = make_file(name, data, bytes, 0755);
	free(data);
	return path;
}

/* Checks one name; -1: it was refused, and f.text says why. */
static int check(const char *name)
{
	memset(&f, 0, sizeof(f));
	return program_check(name, &env, &facts, &f);
}

static bool finds(enum program_kind kind)
{
	return program_finding(&facts, kind) != NULL;
}

#define CHECK_TEXT(expected)                                                                       \
	do {                                                                                       \
		CHECK(!strcmp(f.text, expected));                                                  \
		if (strcmp(f.text, expected))                                                      \
			printf("# it says: %s\n", f.text);                                         \
	} while (0)

/* How execvp() takes it: 0, 126 or 127. What it starts is told to end at once. */
static int kernel_code(const char *name)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		char *argv[] = { (char *)name, NULL };

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		if (env.search_path)
			setenv("PATH", env.search_path, 1);
		execvp(name, argv);
		_exit(errno == ENOENT || errno == ENOTDIR ? 127 : 126);
	}
	waitpid(pid, &status, 0);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	return status == 126 || status == 127 ? status : 0;
}

static void test_fine(void)
{
	CHECK(check(program("plain")) == 0);
	CHECK(facts.verdict == PROGRAM_FINE && facts.n_findings == 0);
	CHECK(facts.elf.kind == PROGRAM_ELF_PROGRAM && facts.elf.has_loader);
	CHECK(!strcmp(facts.path.file, program("plain")) && facts.path.n_scripts == 0);
}

static void test_static(void)
{
	CHECK(check(program("static")) == -1 && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK(finds(PROGRAM_IS_STATIC) && facts.verdict == PROGRAM_CANNOT);
	CHECK_TEXT("program_static is statically linked: preloading cannot work. See heapspy help "
		   "static");
	CHECK(topics_find("static") && topics_find("privileges") && topics_find("allocators"));
	CHECK(!topics_find("statics"));
	CHECK(check(program("static_pie")) == -1 && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK(finds(PROGRAM_IS_STATIC));
}

static void test_loader_itself(void)
{
	CHECK(check("/lib64/ld-linux-x86-64.so.2") == 0 && finds(PROGRAM_IS_LOADER));
}

static void test_allocators(void)
{
	CHECK(check(program("own_malloc")) == -1 && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK(finds(PROGRAM_HAS_MALLOC));
	CHECK_TEXT(
		"program_own_malloc brings a malloc of its own, which comes before any preloaded "
		"one: nothing would be seen. See heapspy help allocators");
	CHECK(check(program("jemalloc")) == -1 && finds(PROGRAM_HAS_MALLOC));
	CHECK(strstr(f.text, "its own (jemalloc)") != NULL);
	/* It may hand on to the next malloc: the run will tell. */
	CHECK(check(program("wrapper")) == 0 && finds(PROGRAM_HAS_WRAPPER));
	CHECK(facts.verdict == PROGRAM_REMARK);
	CHECK(check(program("hidden_malloc")) == 0 && finds(PROGRAM_HIDES_MALLOC));
	CHECK(check(program("je_malloc")) == 0 && finds(PROGRAM_HAS_ALLOCATOR));
	CHECK(strstr(facts.findings[0].text, "je_malloc") != NULL);
	CHECK(check(program("linked")) == 0 && facts.verdict == PROGRAM_FINE);
	CHECK(check(program("mallocx")) == 0 && facts.verdict == PROGRAM_FINE);
}

/* Without section headers .dynsym ends where the hash tables say. */
static void test_without_section_headers(void)
{
	uint8_t none[8] = { 0 };

	CHECK(check(make_copy("no_sections", "own_malloc", offsetof(Elf64_Ehdr, e_shoff), none,
		      sizeof(none))) == -1);
	CHECK(finds(PROGRAM_HAS_MALLOC));
	CHECK(check(make_copy("no_sections", "own_malloc_sysv", offsetof(Elf64_Ehdr, e_shoff), none,
		      sizeof(none))) == -1);
	CHECK(finds(PROGRAM_HAS_MALLOC));
	CHECK(check(make_copy("no_sections", "plain", offsetof(Elf64_Ehdr, e_shoff), none,
		      sizeof(none))) == 0);
	CHECK(facts.verdict == PROGRAM_FINE);
}

static void test_sanitizer(void)
{
	CHECK(check(program("asan")) == -1 && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK(finds(PROGRAM_HAS_SANITIZER));
	CHECK_TEXT(
		"program_asan is built with AddressSanitizer, which replaces malloc and wants to "
		"be first: profile a build without it");
}

static void test_other_machines(void)
{
	uint8_t class_32 = ELFCLASS32, big = ELFDATA2MSB;
	uint16_t machine = EM_AARCH64;

	CHECK(check(make_copy("m32", "plain", EI_CLASS, &class_32, 1)) == -1);
	CHECK(finds(PROGRAM_IS_FOREIGN) && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK_TEXT(
		"m32 is a 32-bit program (x86-64): heapspy profiles 64-bit x86-64 programs only; "
		"build it for x86-64");
	CHECK(check(make_copy("arm", "plain", offsetof(Elf64_Ehdr, e_machine), &machine, 2)) == -1);
	CHECK_TEXT("arm is built for aarch64: heapspy profiles x86-64 programs only; build it for "
		   "x86-64");
	CHECK(check(make_copy("big", "plain", EI_DATA, &big, 1)) == -1);
	CHECK(finds(PROGRAM_IS_FOREIGN) && strstr(f.text, "(big-endian)"));
}

static void test_other_loaders(void)
{
	CHECK(check(program("musl")) == -1 && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK(finds(PROGRAM_IS_OTHER_LIBC) && strstr(f.text, "musl"));
	CHECK(check(program("no_loader")) == -1 && f.exit_code == PROGRAM_EXIT_NOT_FOUND);
	CHECK(finds(PROGRAM_LACKS_LOADER) && kernel_code(program("no_loader")) == 127);
}

/* A name, what execvp() makes of it, and a part of what is said. */
static void check_start(const char *name, int code, const char *part)
{
	int ret = check(name);

	CHECK((ret == 0) == (code == 0) && f.exit_code == code);
	CHECK(kernel_code(name) == code);
	CHECK(!part || strstr(f.text, part));
	if (f.exit_code != code || kernel_code(name) != code || (part && !strstr(f.text, part)))
		printf("# %s: %d, execvp %d, %s\n", name, f.exit_code, kernel_code(name), f.text);
}

static void test_files(void)
{
	check_start(in_dir("nothing"), 127, "there is no such file");
	check_start(in_dir("nothing/at/all"), 127, "there is no such file");
	check_start("heapspy-is-not-called-so", 127, "not found in PATH");
	check_start("", 127, "an empty name");
	check_start(dir, 126, "it is a directory");
	check_start("/dev/null", 126, "no regular file");
	check_start(make_file("plain.txt", "text\n", 5, 0644), 126, "not executable for this user");
	check_start(make_file("file", "exit 0\n", 7, 0755), 0, NULL);
	CHECK(facts.path.by_shell);
	CHECK(symlink("ring", in_dir("ring")) == 0);
	check_start(in_dir("ring"), 126, "lead to each other");
	check_start(make_file("empty", "", 0, 0755), 0, NULL);
	CHECK(check(in_dir("file/below")) == -1 && f.exit_code == PROGRAM_EXIT_NOT_FOUND);
	CHECK(strstr(f.text, "is no directory") != NULL);
}

static void test_search_path(void)
{
	char path[400], first[128], second[128];
	const char *kept = env.search_path;

	snprintf(first, sizeof(first), "%s/first", dir);
	snprintf(second, sizeof(second), "%s/second", dir);
	CHECK(mkdir(first, 0755) == 0 && mkdir(second, 0755) == 0);
	make_script("first/tool", "#!/nowhere/interpreter\n");
	make_script("second/tool", "#!/bin/sh\nexit 0\n");
	make_file("first/closed", "#!/bin/sh\n", 10, 0644);
	make_script("here", "#!/bin/sh\nexit 0\n");
	CHECK(chdir(dir) == 0);

	snprintf(path, sizeof(path), "/nowhere:%s:%s", first, second);
	env.search_path = path;
	/* A script without interpreter is passed over as a missing file is. */
	check_start("tool", 0, NULL);
	CHECK(strstr(facts.path.file, "/second/tool") != NULL);
	check_start("closed", 126, "not executable");
	check_start("here", 127, "; the one in this directory is ./here");
	env.search_path = first;
	check_start("tool", 127, "its interpreter '/nowhere/interpreter' is not there");
	/* Empty entries are the working directory, at the end, the beginning and between. */
	snprintf(path, sizeof(path), "%s:", first);
	env.search_path = path;
	check_start("here", 0, NULL);
	snprintf(path, sizeof(path), ":%s", first);
	check_start("here", 0, NULL);
	snprintf(path, sizeof(path), "/nowhere::%s", first);
	check_start("here", 0, NULL);
	CHECK(!strcmp(facts.path.file, "here"));
	env.search_path = "";
	check_start("here", 0, NULL);
	env.search_path = NULL;
	CHECK(check("sh") == 0 && check("here") == -1);
	/* Nothing is closed to root. */
	if (geteuid()) {
		CHECK(chmod(second, 0) == 0);
		snprintf(path, sizeof(path), "%s:/bin", second);
		env.search_path = path;
		check_start("tool", 126, "not found in PATH, where /tmp/");
		check_start("sh", 0, NULL);
		CHECK(chmod(second, 0755) == 0);
	}
	env.search_path = kept;
	CHECK(chdir("/") == 0);
}

static void test_scripts(void)
{
	char text[600];
	unsigned i;

	check_start(make_script("good", "#!/bin/sh\nexit 0\n"), 0, NULL);
	CHECK(finds(PROGRAM_IS_SCRIPT) && facts.path.n_scripts == 1);
	CHECK(!strcmp(facts.path.program, "/bin/sh"));
	check_start(make_script("blanks", "#! \t /bin/sh \t -e \t\nexit 0\n"), 0, NULL);
	CHECK(!strcmp(facts.path.program, "/bin/sh"));
	check_start(make_script("no_newline", "#!/bin/sh"), 0, NULL);
	check_start(make_script("lost", "#!/nowhere/python3\n"), 127,
		"'/nowhere/python3' is not there");
	check_start(make_script("windows", "#!/bin/sh\r\nexit 0\n"), 127, "ends in CR LF");
	check_start(make_script("to_dir", "#!/tmp\n"), 126, "cannot be executed");
	/* Nothing behind it: no script for the kernel, and one for the shell. */
	check_start(make_script("bare", "#!\nexit 0\n"), 0, NULL);
	CHECK(facts.path.by_shell);
	/* A name that goes on beyond what the kernel reads. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "#!/", 3);
	strcpy(text + 400, "\n");
	check_start(make_script("long", text), 0, NULL);
	CHECK(facts.path.by_shell);

	snprintf(text, sizeof(text), "#!%s/loop_b\n", dir);
	make_script("loop_a", text);
	snprintf(text, sizeof(text), "#!%s/loop_a\n", dir);
	make_script("loop_b", text);
	check_start(in_dir("loop_a"), 126, "each other's interpreter");
	for (i = 1; i <= 6; i++) {
		char name[16];

		snprintf(name, sizeof(name), "chain%u", i);
		if (i == 1)
			snprintf(text, sizeof(text), "#!%s\n", program("plain"));
		else
			snprintf(text, sizeof(text), "#!%s/chain%u\n", dir, i - 1);
		check_start(make_script(name, text), i <= 5 ? 0 : 126, NULL);
	}

	snprintf(text, sizeof(text), "#!%s\n", program("static"));
	CHECK(check(make_script("of_static", text)) == -1 && f.exit_code == PROGRAM_EXIT_CANNOT);
	CHECK(finds(PROGRAM_IS_STATIC) &&
		strstr(f.text, ", which runs of_static, is statically linked"));
}

static void test_scripts_by_env(void)
{
	check_start(make_script("by_env", "#!/usr/bin/env sh\nexit 0\n"), 0, NULL);
	CHECK(!strcmp(program_path_base(facts.path.program), "sh"));
	CHECK(check(make_script("by_env_s", "#!/usr/bin/env -S sh -e\nexit 0\n")) == 0);
	CHECK(!strcmp(program_path_base(facts.path.program), "sh"));
	check_start(make_script("by_env_lost", "#!/usr/bin/env heapspy-no-such\n"), 127,
		"asks for 'heapspy-no-such', which is not found in PATH");
	CHECK(check(make_script("by_env_set", "#!/usr/bin/env A=b\n")) == 0);
	CHECK(!strcmp(facts.path.program, "/usr/bin/env"));
}

static void test_damaged(void)
{
	size_t bytes, i;
	uint8_t *data = read_all(program("plain"), &bytes);
	static const size_t cuts[] = { 5, 16, 40, 63, 64, 200 };
	uint16_t type = ET_REL, none = 0;

	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		CHECK(check(make_file("cut", data, cuts[i], 0755)) == -1);
		CHECK(finds(PROGRAM_IS_DAMAGED) && f.exit_code == PROGRAM_EXIT_NOT_EXECUTABLE);
	}
	CHECK(strstr(f.text, "cut cannot be started: an ELF file, but no whole program") != NULL);
	CHECK(check(make_copy("object", "plain", offsetof(Elf64_Ehdr, e_type), &type, 2)) == -1);
	CHECK(strstr(f.text, "object or core file") != NULL);
	CHECK(check(make_copy("headless", "plain", offsetof(Elf64_Ehdr, e_phnum), &none, 2)) == -1);
	CHECK(finds(PROGRAM_IS_DAMAGED));
	free(data);
}

/* Starts path as user and group with a bit of preparation; what it prints, or -1. */
static int kernel_secure(const char *path, const struct program_environment *as)
{
	int pipe_fds[2], status;
	char answer[16] = "";
	pid_t pid;

	if (pipe(pipe_fds) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fds[1], 1);
		if (as->no_new_privs)
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (setresgid(as->gid, as->egid, as->egid) < 0 ||
			setresuid(as->uid, as->euid, as->euid) < 0)
			_exit(1);
		execl(path, path, NULL);
		_exit(1);
	}
	close(pipe_fds[1]);
	if (read(pipe_fds[0], answer, sizeof(answer) - 1) < 0)
		answer[0] = '\0';
	close(pipe_fds[0]);
	waitpid(pid, &status, 0);
	return answer[0] ? atoi(answer) : -1;
}

static void check_rights(const char *path, const struct program_environment *as)
{
	const struct program_environment kept = env;
	int wanted = kernel_secure(path, as), got;

	env = *as;
	env.search_path = kept.search_path;
	check(path);
	got = finds(PROGRAM_IS_PRIVILEGED);
	CHECK(wanted >= 0 && got == wanted);
	if (got != wanted) {
		struct stat st = { 0 };

		stat(path, &st);
		printf("# %s: mode %o owner %u:%u as %u/%u:%u/%u nnp %d: %d, the kernel %d\n", path,
			st.st_mode, st.st_uid, st.st_gid, as->uid, as->euid, as->gid, as->egid,
			as->no_new_privs, got, wanted);
	}
	if (got)
		CHECK(f.exit_code == PROGRAM_EXIT_CANNOT && strstr(f.text, "raised rights"));
	env = kept;
}

/*
 * Leaves out what the file's group may not execute, and callers in two minds whose
 * effective id the file would set back to the real one: older kernels see nothing in it.
 */
static bool is_told_alike(mode_t mode, uint32_t owner, const uint32_t caller[4])
{
	if (!(mode & S_IXGRP) && caller[3] == owner && caller[1] != 0 && caller[1] != owner)
		return false;
	return (caller[0] == caller[1] && caller[2] == caller[3]) || !(mode & (S_ISUID | S_ISGID));
}

/* Every combination that the rule speaks of, against the kernel's own AT_SECURE. */
static void test_rights(void)
{
	static const mode_t modes[] = { 0755, 04755, 02755, 02745, 06755, 04711 };
	static const uint32_t owners[] = { 0, NOBODY, 1000 };
	static const uint32_t callers[][4] = { { 0, 0, 0, 0 }, { NOBODY, NOBODY, NOBODY, NOBODY },
		{ 0, NOBODY, 0, 0 }, { 0, 0, 0, NOBODY }, { NOBODY, 0, NOBODY, NOBODY } };
	const char *path;
	size_t bytes;
	uint8_t *data = read_all(program("plain"), &bytes);
	unsigned m, o, c, nnp;

	CHECK(chmod(dir, 0755) == 0);
	path = make_file("rights", data, bytes, 0755);
	free(data);
	for (m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
		for (o = 0; o < sizeof(owners) / sizeof(owners[0]); o++)
			for (c = 0; c < sizeof(callers) / sizeof(callers[0]); c++)
				for (nnp = 0; nnp < 2; nnp++) {
					struct program_environment as = env;

					if (!is_told_alike(modes[m], owners[o], callers[c]))
						continue;
					CHECK(chown(path, owners[o], owners[o]) == 0 &&
						chmod(path, modes[m]) == 0);
					as.uid = callers[c][0];
					as.euid = callers[c][1];
					as.gid = callers[c][2];
					as.egid = callers[c][3];
					as.no_new_privs = nnp;
					check_rights(path, &as);
				}
	CHECK(chown(path, NOBODY, 0) == 0 && chmod(path, 04755) == 0);
	CHECK(check(path) == -1);
	CHECK_TEXT("rights runs with raised rights (set-user-id nobody), and the loader ignores "
		   "LD_PRELOAD then: see heapspy help privileges");
	CHECK(chown(path, 0, 0) == 0 && chmod(path, 04755) == 0);
	CHECK(check(path) == 0 && facts.verdict == PROGRAM_FINE);
}

static void test_capabilities(void)
{
	struct vfs_cap_data caps = { .magic_etc = VFS_CAP_REVISION_2 };
	struct program_environment as = env;
	const char *path;
	size_t bytes;
	uint8_t *data = read_all(program("plain"), &bytes);
	unsigned i;

	path = make_file("capable", data, bytes, 0755);
	free(data);
	/* net_bind_service: permitted, permitted and effective, inheritable alone, none. */
	for (i = 0; i < 4; i++) {
		caps.magic_etc = VFS_CAP_REVISION_2 | (i == 1 ? VFS_CAP_FLAGS_EFFECTIVE : 0);
		caps.data[0].permitted = i < 2 ? 1u << CAP_NET_BIND_SERVICE : 0;
		caps.data[0].inheritable = i == 2 ? 1u << CAP_NET_BIND_SERVICE : 0;
		if (setxattr(path, "security.capability", &caps, sizeof(caps), 0) < 0) {
			printf("# not checked, no file capabilities here: %s\n", strerror(errno));
			return;
		}
		as.uid = as.euid = as.gid = as.egid = 0;
		check_rights(path, &as);
		as.uid = as.euid = as.gid = as.egid = NOBODY;
		check_rights(path, &as);
	}
}

static void test_environment_resetters(void)
{
	size_t bytes;
	uint8_t *data = read_all(program("plain"), &bytes);

	CHECK(check(make_file("sudo", data, bytes, 0755)) == 0 && finds(PROGRAM_RESETS));
	CHECK(strstr(facts.findings[0].text, "put heapspy behind it") != NULL);
	free(data);
}

static void test_preload(void)
{
	char list[1200];

	snprintf(list, sizeof(list), "%s:/nowhere/libheapspy.so", program("lib_malloc"));
	env.preload = list;
	CHECK(check(program("plain")) == -1 && finds(PROGRAM_PRELOADS_BEFORE));
	CHECK_TEXT(
		"libprogram_lib_malloc.so stands before heapspy in LD_PRELOAD and brings a malloc: "
		"nothing would be seen; name libheapspy.so first");
	CHECK(f.exit_code == PROGRAM_EXIT_CANNOT);
	snprintf(list, sizeof(list), "/nowhere/libheapspy.so %s", program("lib_malloc"));
	CHECK(check(program("plain")) == 0 && facts.verdict == PROGRAM_FINE);
	snprintf(list, sizeof(list), "libheapspy.so:/nowhere/libother.so");
	CHECK(check(program("plain")) == 0 && finds(PROGRAM_LACKS_PRELOAD));
	snprintf(list, sizeof(list), "libheapspy.so:%s", make_script("no_library", "text\n"));
	CHECK(check(program("plain")) == 0 && finds(PROGRAM_LACKS_PRELOAD));
	snprintf(list, sizeof(list), ":: %s ::", program("lib_malloc"));
	CHECK(check(program("plain")) == 0 && facts.verdict == PROGRAM_FINE);
	env.preload = NULL;
}

static struct sample_rng rng;

static uint64_t below(uint64_t n)
{
	return n ? sample_rng_next(&rng) % n : 0;
}

/* Damages what is read: the header, program and section headers, .dynamic, the hash tables. */
static void mutate(uint8_t *data, size_t *bytesp)
{
	static const uint64_t edges[] = { 0, 1, 7, 24, 64, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff,
		0x100000000, 0x7fffffffffffffff, 0xffffffffffffffe8, UINT64_MAX };
	const size_t header_end = sizeof(Elf64_Ehdr) + 14 * sizeof(Elf64_Phdr);
	Elf64_Ehdr header;
	unsigned n;

	memcpy(&header, data, sizeof(header));
	for (n = 1 + (unsigned)below(4); n; n--) {
		uint64_t value = edges[below(sizeof(edges) / sizeof(edges[0]))] + below(3) - 1;
		size_t width = (size_t)1 << below(4), at;

		switch (below(4)) {
		case 0:
			at = below(header_end);
			break;
		case 1:
			at = header.e_shoff + below((uint64_t)header.e_shnum * header.e_shentsize);
			break;
		case 2:
			at = below(4096);
			break;
		default:
			at = below(*bytesp);
		}
		at &= ~(width - 1);
		/* The magic stays, or nothing more would be reached. */
		if (at >= SELFMAG && at + width <= *bytesp)
			memcpy(data + at, &value, width);
	}
	if (below(8) == 0)
		*bytesp = below(*bytesp) + 1;
}

static void test_mutants(void)
{
	static const char *const names[] = { "plain", "own_malloc", "own_malloc_sysv", "static",
		"je_malloc" };
	unsigned i, n_programs = 0, n_damaged = 0;

	sample_rng_seed(&rng, 20261120);
	for (i = 0; i < N_MUTANTS; i++) {
		size_t bytes;
		uint8_t *data = read_all(program(names[i % 5]), &bytes);
		char path[] = "/tmp/heapspy-mutant.XXXXXX";
		int fd = mkstemp(path);
		struct program_facts mutant = { 0 };

		unlink(path);
		mutate(data, &bytes);
		CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
		program_judge_file(fd, "mutant", &mutant);
		n_programs += mutant.elf.kind == PROGRAM_ELF_PROGRAM;
		n_damaged += mutant.elf.kind == PROGRAM_ELF_DAMAGED || mutant.elf.is_cut;
		CHECK(memchr(mutant.elf.loader, '\0', sizeof(mutant.elf.loader)) != NULL);
		close(fd);
		free(data);
	}
	printf("# %u of %u still programs, %u seen as damaged\n", n_programs, N_MUTANTS, n_damaged);
	/* Both ways through the code are used. */
	CHECK(n_programs > N_MUTANTS / 4 && n_damaged > N_MUTANTS / 20);
}

static void run_as_root(void (*test)(void), const char *name)
{
	if (geteuid() == 0) {
		tap_bad = 0;
		test();
		tap_failed += tap_bad != 0;
	}
	printf("%sok %d - %s%s\n", geteuid() == 0 && tap_bad ? "not " : "", ++tap_count, name,
		geteuid() == 0 ? "" : " # SKIP needs root, to change owners");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char command[128];

	arguments = argv + 1;
	strcpy(dir, "/tmp/heapspy-program.XXXXXX");
	if (!mkdtemp(dir))
		return 2;
	program_environment_init(&env);
	env.preload = NULL;
	env.search_path = "/usr/local/bin:/usr/bin:/bin";
	TAP_RUN(test_fine);
	TAP_RUN(test_static);
	TAP_RUN(test_loader_itself);
	TAP_RUN(test_allocators);
	TAP_RUN(test_without_section_headers);
	TAP_RUN(test_sanitizer);
	TAP_RUN(test_other_machines);
	TAP_RUN(test_other_loaders);
	TAP_RUN(test_files);
	TAP_RUN(test_search_path);
	TAP_RUN(test_scripts);
	TAP_RUN(test_scripts_by_env);
	TAP_RUN(test_damaged);
	run_as_root(test_rights, "test_rights");
	run_as_root(test_capabilities, "test_capabilities");
	TAP_RUN(test_environment_resetters);
	TAP_RUN(test_preload);
	TAP_RUN(test_mutants);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		return 2;
	return tap_done();
}
