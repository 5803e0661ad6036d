/*
 * doctor_host.c - owns the checks of a machine and a user: what the kernel, libc,
 * file systems and limits allow.
 */
#include "analyzer/target/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "analyzer/target/library.h"
#include "analyzer/target/program.h"
#include "analyzer/target/program_preload.h"
#include "analyzer/units.h"
#include "preload/state/settings.h"

#define TMPFS_MAGIC     0x01021994
#define RAMFS_MAGIC     0x858458f6
#define STATE_BYTES_MIN (192u << 10) /* with less there is no state file */
#define LIMIT_SHARE     16           /* of the address space, that the state may reserve */
#define OWN_BYTES_MAX   (16u << 20)  /* and what heapspy takes of it besides, with room to spare */

#define VERSION(major, minor) ((major)*1000u + (minor))

static unsigned parse_version(const char *text)
{
	unsigned major = 0, minor = 0;

	sscanf(text, "%u.%u", &major, &minor);
	return VERSION(major, minor < 1000 ? minor : 999);
}

static void check_kernel(struct doctor_report *report)
{
	static const struct {
		unsigned since;
		const char *without;
	} wanted[] = {
		{ VERSION(5, 14), "the state cannot grow in steps, and its cap is 4 MiB (5.14)" },
		{ VERSION(5, 9), "the helper thread shares the program's descriptors (5.9)" },
		{ VERSION(5, 3),
			"a process that ends is noticed by looking again and again (5.3)" },
	};
	struct strbuf missing = { 0 };
	struct utsname names;
	unsigned version, i;

	uname(&names);
	version = parse_version(names.release);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (version < wanted[i].since)
			strbuf_addf(&missing, "%s%s", missing.bytes ? "; " : "", wanted[i].without);
	if (version < VERSION(4, 14))
		doctor_add(report, DOCTOR_BAD, "kernel",
			"Linux %s cannot wipe memory at a fork: heapspy needs 4.14", names.release);
	else if (missing.bytes)
		doctor_add(
			report, DOCTOR_NOTE, "kernel", "Linux %s: %s", names.release, missing.data);
	else
		doctor_add(report, DOCTOR_OK, "kernel", "Linux %s has all that heapspy uses",
			names.release);
	strbuf_deinit(&missing);
}

static void check_libc(struct doctor_report *report)
{
	const char *text = gnu_get_libc_version();
	unsigned version = parse_version(text);

	if (version < VERSION(2, 34))
		doctor_add(report, DOCTOR_BAD, "libc",
			"glibc %s: libheapspy.so needs 2.34, and programs would not start with it",
			text);
	else if (version < VERSION(2, 35))
		doctor_add(report, DOCTOR_NOTE, "libc",
			"glibc %s: stacks by frame pointers only (_dl_find_object comes with 2.35)",
			text);
	else
		doctor_add(report, DOCTOR_OK, "libc", "glibc %s", text);
}

/* Whether others than its owner can get at path; blocked: the part that is closed. */
static bool is_open_to_all(const char *path, char blocked[PATH_MAX])
{
	struct stat st;
	char *slash;

	snprintf(blocked, PATH_MAX, "%s", path);
	if (stat(blocked, &st) < 0 || !(st.st_mode & S_IROTH))
		return false;
	while ((slash = strrchr(blocked, '/')) && slash != blocked) {
		*slash = '\0';
		if (stat(blocked, &st) < 0 || !(st.st_mode & S_IXOTH))
			return false;
	}
	return true;
}

static void check_library(struct doctor_report *report)
{
	char path[PATH_MAX], blocked[PATH_MAX];
	struct program_elf elf = { 0 };
	struct statvfs fs;
	struct fail f;
	int fd;

	if (library_find(path, sizeof(path), &f) < 0) {
		doctor_add(report, DOCTOR_BAD, "library", "%s", f.text);
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		program_elf_read(fd, &elf);
		close(fd);
	}
	if (fd < 0)
		doctor_add(report, DOCTOR_BAD, "library", "%s cannot be read by this user", path);
	else if (elf.kind != PROGRAM_ELF_PROGRAM ||
		 !program_elf_has(elf.exported, PROGRAM_SYMBOL_MALLOC))
		doctor_add(report, DOCTOR_BAD, "library",
			"%s is no library of heapspy's: install heapspy anew", path);
	else if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC))
		doctor_add(report, DOCTOR_BAD, "library",
			"%s lies on a file system mounted noexec: the loader cannot map it", path);
	else if (!is_open_to_all(path, blocked))
		doctor_add(report, DOCTOR_NOTE, "library",
			"%s: programs of other users cannot load it, because %s is closed to them",
			path, blocked);
	else
		doctor_add(report, DOCTOR_OK, "library", "%s", path);
}

static const char *state_dir(void)
{
	const char *value = getenv("HEAPSPY_STATE");

	return value && !settings_refuse("HEAPSPY_STATE", value) ? value : "/dev/shm";
}

static void check_state_dir(struct doctor_report *report)
{
	static const char private[] = "private memory serves, which heapspy can read only while "
				      "the process lives";
	const char *dir = state_dir();
	struct strbuf space = { 0 };
	struct statfs fs;
	double bytes;

	if (!strcmp(dir, "anon")) {
		doctor_add(report, DOCTOR_NOTE, "state", "HEAPSPY_STATE=anon: %s", private);
		return;
	}
	if (statfs(dir, &fs) < 0) {
		doctor_add(report, DOCTOR_NOTE, "state", "%s: %s; %s", dir,
			errno == ENOENT ? "not there" : strerror(errno), private);
		return;
	}
	bytes = (double)fs.f_bavail * (double)fs.f_bsize;
	units_add_bytes(&space, bytes);
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
		doctor_add(report, DOCTOR_NOTE, "state", "%s is no tmpfs: %s", dir, private);
	else if (access(dir, W_OK | X_OK) < 0)
		doctor_add(report, DOCTOR_NOTE, "state", "%s cannot be written by this user: %s",
			dir, private);
	else if (bytes < STATE_BYTES_MIN)
		doctor_add(report, DOCTOR_NOTE, "state", "%s: only %s free; %s", dir, space.data,
			private);
	else if (bytes < 32 << 20)
		doctor_add(report, DOCTOR_NOTE, "state",
			"%s: tmpfs, writable, but only %s free: a large program is sampled more "
			"coarsely",
			dir, space.data);
	else
		doctor_add(report, DOCTOR_OK, "state", "%s: tmpfs, writable, %s free", dir,
			space.data);
	strbuf_deinit(&space);
}

static void check_ptrace(struct doctor_report *report)
{
	FILE *stream = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = 0;

	if (stream) {
		if (fscanf(stream, "%d", &scope) != 1)
			scope = 0;
		fclose(stream);
	}
	if (scope == 0 || (geteuid() == 0 && scope < 3))
		doctor_add(report, DOCTOR_OK, "ptrace",
			"memory of this user's processes can be read (yama %s%s)",
			!stream      ? "not there"
			: scope == 0 ? "0"
			: scope == 1 ? "1"
				     : "2",
			scope ? ", as root" : "");
	else
		doctor_add(report, DOCTOR_NOTE, "ptrace",
			"yama ptrace_scope is %d: snapshot and live read the state's file, but not "
			"what each thread has allocated since its last sample; totals are a little "
			"low%s",
			scope, scope < 3 ? ", unless root asks" : "");
}

static void check_environment(struct doctor_report *report)
{
	char object[PROGRAM_PRELOAD_NAME_BYTES];
	struct program_environment env;
	enum program_preload found;

	program_environment_init(&env);
	found = program_preload_check(&env, object);
	if (!env.preload || !*env.preload)
		doctor_add(report, DOCTOR_OK, "preload", "LD_PRELOAD is not set here");
	else if (found == PROGRAM_PRELOAD_MALLOC_BEFORE)
		doctor_add(report, DOCTOR_BAD, "preload",
			"LD_PRELOAD=%s: %s comes before heapspy and brings a malloc; name "
			"libheapspy.so first",
			env.preload, object);
	else if (found == PROGRAM_PRELOAD_MISSING)
		doctor_add(report, DOCTOR_NOTE, "preload",
			"LD_PRELOAD=%s: %s is not there, or no library of this machine",
			env.preload, object);
	else if (strstr(env.preload, "libheapspy.so"))
		doctor_add(report, DOCTOR_NOTE, "preload",
			"LD_PRELOAD=%s: all that is started from here is profiled already",
			env.preload);
	else
		doctor_add(report, DOCTOR_OK, "preload",
			"LD_PRELOAD=%s: heapspy run puts its library before it", env.preload);
	if (getenv("LD_AUDIT"))
		doctor_add(report, DOCTOR_NOTE, "preload",
			"LD_AUDIT=%s: some versions of glibc crash with it and any preloaded "
			"malloc",
			getenv("LD_AUDIT"));
}

static void check_directory(struct doctor_report *report)
{
	const char *value = getenv("HEAPSPY_DIR"), *tmpdir = getenv("TMPDIR");
	char path[PATH_MAX];
	size_t n;

	if (value && !settings_refuse("HEAPSPY_DIR", value)) {
		/* What stands before the first part that differs by process. */
		n = strcspn(value, "%");
		while (value[n] && n && value[n - 1] != '/')
			n--;
		snprintf(path, sizeof(path), "%.*s", (int)n, value);
		doctor_add_directory(report, "directory", n ? path : ".", NULL);
		return;
	}
	if (!getcwd(path, sizeof(path)))
		strcpy(path, ".");
	if (access(path, W_OK | X_OK) < 0) {
		doctor_add(report, DOCTOR_NOTE, "directory",
			"%s cannot be written by this user: snapshots go to %s", path,
			tmpdir ? tmpdir : "/tmp");
		snprintf(path, sizeof(path), "%s", tmpdir ? tmpdir : "/tmp");
	}
	doctor_add_directory(report, "directory", path, NULL);
}

static void check_limits(struct doctor_report *report)
{
	struct rlimit file, space, locked;
	struct strbuf text = { 0 };

	getrlimit(RLIMIT_FSIZE, &file);
	getrlimit(RLIMIT_AS, &space);
	getrlimit(RLIMIT_MEMLOCK, &locked);
	if (file.rlim_cur != RLIM_INFINITY) {
		strbuf_add_text(&text, "files of ");
		units_add_bytes(&text, (double)file.rlim_cur);
		strbuf_add_text(&text, " at most (ulimit -f): ");
		strbuf_add_text(&text, file.rlim_cur < STATE_BYTES_MIN
					       ? "no state file, and snapshots may not fit"
					       : "the cap of the state too");
	}
	if (space.rlim_cur != RLIM_INFINITY) {
		strbuf_add_text(&text, text.bytes ? "; address space of " : "address space of ");
		units_add_bytes(&text, (double)space.rlim_cur);
		strbuf_add_text(&text, " (ulimit -v): the state reserves ");
		units_add_bytes(&text, (double)(space.rlim_cur / LIMIT_SHARE));
		strbuf_add_text(&text, " of it at most");
		if (space.rlim_cur < OWN_BYTES_MAX)
			strbuf_add_text(&text, ", and what heapspy takes besides may be too much");
	}
	if (text.bytes) {
		doctor_add(report, DOCTOR_NOTE, "limits", "%s", text.data);
	} else if (locked.rlim_cur != RLIM_INFINITY) {
		units_add_bytes(&text, (double)locked.rlim_cur);
		doctor_add(report, DOCTOR_OK, "limits",
			"none on files and address space; %s of locked memory, which matters to a "
			"program that calls mlockall: some 4 MiB of heapspy's own count there",
			text.data);
	} else {
		doctor_add(report, DOCTOR_OK, "limits",
			"none on files, address space and locked memory");
	}
	strbuf_deinit(&text);
}

static void check_seccomp(struct doctor_report *report)
{
	FILE *stream = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	if (!stream) {
		doctor_add(report, DOCTOR_NOTE, "proc",
			"/proc cannot be read here: snapshots will not hold the memory use of "
			"their process nor its limit, and heapspy finds no running process");
		return;
	}
	while (fgets(line, sizeof(line), stream))
		sscanf(line, "Seccomp: %d", &mode);
	fclose(stream);
	doctor_add(report, DOCTOR_OK, "seccomp", "%s",
		mode ? "a filter is in force here and will be in what is started: taken for granted"
		     : "no filter");
}

static void check_symbols(struct doctor_report *report)
{
	const char *urls = getenv("DEBUGINFOD_URLS");

	if (urls && *urls)
		doctor_add(report, DOCTOR_OK, "symbols", "DEBUGINFOD_URLS=%s", urls);
	else
		doctor_add(report, DOCTOR_OK, "symbols",
			"names from files on this machine; DEBUGINFOD_URLS is not set");
}

void doctor_places(struct doctor_report *report)
{
	check_state_dir(report);
	check_directory(report);
	check_limits(report);
}

void doctor_host(struct doctor_report *report)
{
	report->subject = "host";
	check_kernel(report);
	check_libc(report);
	check_library(report);
	doctor_allocators(report);
	doctor_places(report);
	doctor_leftovers(report, state_dir());
	check_ptrace(report);
	check_environment(report);
	check_seccomp(report);
	check_symbols(report);
}
