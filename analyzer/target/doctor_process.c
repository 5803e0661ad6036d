/*
 * doctor_process.c - owns the checks of a running process: what /proc says of
 * its start, and why heapspy is not at work in it. Reading the state is
 * live_state.c's, judging it doctor_state.c's.
 */
#include "analyzer/target/doctor.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/alloc.h"
#include "analyzer/target/live_state.h"
#include "analyzer/target/proc.h"
#include "analyzer/target/program.h"

#define FILE_BYTES_MAX (16u << 20) /* of a /proc file; maps of 100 000 lines fit */

struct process {
	uint32_t pid;
	char exe[PATH_MAX];
	struct strbuf comm, cmdline, environ_text, maps, status;
	bool exe_deleted;
	bool maps_readable, environ_readable;
	bool environ_overwritten; /* by a title, as servers set it, or by zeros */
	char **environment;       /* pointers into environ_text, NULL-terminated */
	char library[PATH_MAX];   /* in maps, or "" */
	const char *preload;      /* LD_PRELOAD of its start, or NULL */
	int secure;               /* AT_SECURE; -1 unknown */
	int seccomp;              /* mode; -1 unknown */
};

static bool read_proc(uint32_t pid, const char *name, struct strbuf *out)
{
	char path[64], block[16384];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (out->bytes < FILE_BYTES_MAX && (n = read(fd, block, sizeof(block))) > 0)
		strbuf_add(out, block, (size_t)n);
	close(fd);
	strbuf_add(out, "", 0);
	return n >= 0;
}

/* From the auxiliary vector, which the kernel keeps as it was at exec: pairs of the program's
 * words. */
static int read_secure(uint32_t pid, size_t word_bytes)
{
	struct strbuf auxv = { 0 };
	int secure = -1;
	size_t at;

	if (read_proc(pid, "auxv", &auxv))
		for (at = 0; at + 2 * word_bytes <= auxv.bytes; at += 2 * word_bytes) {
			uint64_t type = 0, value = 0;

			memcpy(&type, auxv.data + at, word_bytes);
			memcpy(&value, auxv.data + at + word_bytes, word_bytes);
			if (type == AT_SECURE)
				secure = value != 0;
		}
	strbuf_deinit(&auxv);
	return secure;
}

static void split_environment(struct process *p)
{
	size_t at, n = 0, capacity = 0;
	char *data = p->environ_text.data;

	for (at = 0; at < p->environ_text.bytes; at += strlen(data + at) + 1) {
		p->environment =
			alloc_room(p->environment, n + 1, &capacity, sizeof(*p->environment));
		p->environment[n++] = data + at;
		p->environ_overwritten |= !strchr(data + at, '=');
	}
	p->environment = alloc_resize(p->environment, n + 1, sizeof(*p->environment));
	p->environment[n] = NULL;
	p->preload = doctor_variable(p->environment, "LD_PRELOAD");
}

/* The path of the mapped library, from its first line in maps; "" when it is not there. */
static void find_library(const struct strbuf *maps, char out[PATH_MAX])
{
	const char *name = maps->data ? strstr(maps->data, "/libheapspy.so") : NULL, *start;

	out[0] = '\0';
	if (!name)
		return;
	/* The path begins with the first slash of its line. */
	for (start = name; start > maps->data && start[-1] != '\n'; start--)
		;
	start = strchr(start, '/');
	snprintf(out, PATH_MAX, "%.*s", (int)strcspn(start, "\n"), start);
}

static void process_init(struct process *p, uint32_t pid)
{
	char link[64], mode[16] = "";
	const char *field;
	ssize_t n;

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	p->seccomp = -1;
	snprintf(link, sizeof(link), "/proc/%u/exe", pid);
	n = readlink(link, p->exe, sizeof(p->exe) - 1);
	p->exe[n > 0 ? n : 0] = '\0';
	p->exe_deleted = n > 10 && !strcmp(p->exe + n - 10, " (deleted)");
	read_proc(pid, "comm", &p->comm);
	if (p->comm.bytes)
		p->comm.data[strcspn(p->comm.data, "\n")] = '\0';
	read_proc(pid, "cmdline", &p->cmdline);
	p->maps_readable = read_proc(pid, "maps", &p->maps);
	p->environ_readable = read_proc(pid, "environ", &p->environ_text);
	split_environment(p);
	find_library(&p->maps, p->library);
	if (read_proc(pid, "status", &p->status)) {
		field = strstr(p->status.data, "\nSeccomp:");
		if (field && sscanf(field, "\nSeccomp: %15s", mode) == 1)
			p->seccomp = atoi(mode);
	}
}

static void process_deinit(struct process *p)
{
	strbuf_deinit(&p->comm);
	strbuf_deinit(&p->cmdline);
	strbuf_deinit(&p->environ_text);
	strbuf_deinit(&p->maps);
	strbuf_deinit(&p->status);
	free(p->environment);
}

static const char *comm_of(const struct process *p)
{
	return p->comm.bytes ? p->comm.data : "?";
}

/* Whether the command line is a title that the program has put there: "nginx: master process". */
static bool has_title(const struct process *p)
{
	return p->environ_overwritten || (p->cmdline.bytes && strchr(p->cmdline.data, ' ') &&
						 access(p->cmdline.data, F_OK) < 0);
}

/* Its file, by the name that it was started by where that lies beside it: a program of several. */
static void add_file(const struct process *p, struct strbuf *out)
{
	size_t bytes = strlen(p->exe) - (p->exe_deleted ? strlen(" (deleted)") : 0);
	char *exe = alloc_text(p->exe, bytes), *slash = strrchr(exe, '/');
	struct strbuf named = { 0 };
	struct stat file, other;

	strbuf_addf(&named, "%.*s/%s", (int)(slash ? slash - exe : 0), exe, comm_of(p));
	strbuf_add_char(out, ' ');
	strbuf_add_shell_word(out, stat(exe, &file) == 0 && stat(named.data, &other) == 0 &&
						   file.st_ino == other.st_ino &&
						   file.st_dev == other.st_dev
					   ? named.data
					   : exe);
	strbuf_deinit(&named);
	free(exe);
}

/* `heapspy run -- ` and its command line, as a shell would want it. */
static void add_restart(const struct process *p, struct strbuf *out)
{
	size_t at;

	strbuf_add_text(out, "heapspy run --");
	if (has_title(p) && p->exe[0]) {
		add_file(p, out);
		strbuf_add_text(out, " ...");
		return;
	}
	for (at = 0; at < p->cmdline.bytes && out->bytes < 400;
		at += strlen(p->cmdline.data + at) + 1) {
		strbuf_add_char(out, ' ');
		strbuf_add_shell_word(out, p->cmdline.data + at);
	}
	if (at < p->cmdline.bytes)
		strbuf_add_text(out, " ...");
	if (!p->cmdline.bytes)
		strbuf_add_text(out, " COMMAND");
}

static bool maps_name(const struct process *p, const char *name)
{
	return p->maps.data && strstr(p->maps.data, name);
}

/* The findings of its file, whatever its name is by now. */
static void judge_program(const struct process *p, struct program_facts *facts)
{
	char path[64];
	int fd;

	memset(facts, 0, sizeof(*facts));
	if (maps_name(p, "/vgpreload_core-"))
		return; /* the file is valgrind's, which has loaded the program by itself */
	snprintf(path, sizeof(path), "/proc/%u/exe", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	program_judge_file(fd, comm_of(p), facts);
	close(fd);
}

static void check_program(
	struct doctor_report *report, const struct process *p, const struct program_facts *facts)
{
	unsigned i;

	if (p->exe_deleted)
		doctor_add(report, DOCTOR_NOTE, "program",
			"%s: its file was replaced or removed since the start; names come from "
			"debug files by build id",
			p->exe);
	else if (p->exe[0])
		doctor_add(report, DOCTOR_OK, "program", "%s", p->exe);
	for (i = 0; i < facts->n_findings; i++)
		doctor_add(report,
			facts->findings[i].verdict == PROGRAM_CANNOT ? DOCTOR_BAD : DOCTOR_NOTE,
			program_kind_name(facts->findings[i].kind), "%s", facts->findings[i].text);
}

/* Why the library is not there although somebody may have wanted it. */
static void explain_absence(
	struct doctor_report *report, const struct process *p, const struct program_facts *facts)
{
	const char *named = p->preload ? strstr(p->preload, "libheapspy.so") : NULL;
	struct program_environment env = { .preload = p->preload };
	char path[PATH_MAX];
	const char *start;
	size_t n;

	if (p->secure == 1) {
		doctor_add(report, DOCTOR_BAD, "privileged",
			"it was started with raised rights (AT_SECURE), and the loader ignored "
			"LD_PRELOAD: see heapspy help privileges");
		return;
	}
	if (facts->verdict == PROGRAM_CANNOT)
		return; /* its file says enough */
	if (!p->environ_readable) {
		doctor_add(report, DOCTOR_BAD, "library",
			"libheapspy.so is not loaded, and its environment cannot be read by this "
			"user");
		return;
	}
	if (!named && p->environ_overwritten) {
		doctor_add(report, DOCTOR_BAD, "library",
			"libheapspy.so is not loaded, and whether LD_PRELOAD named it cannot be "
			"read: the program has overwritten its environment");
		return;
	}
	if (!named) {
		doctor_add(report, DOCTOR_BAD, "library",
			"libheapspy.so is not loaded: it was started without heapspy, and "
			"preloading works at a start only");
		return;
	}
	for (start = named; start > env.preload && start[-1] != ':' && start[-1] != ' '; start--)
		;
	n = strcspn(start, ": ");
	snprintf(path, sizeof(path), "/proc/%u/root/%.*s", p->pid, (int)n, start);
	if (*start != '/')
		doctor_add(report, DOCTOR_BAD, "library",
			"libheapspy.so is not loaded, although LD_PRELOAD names it (%.*s): without "
			"a whole path it must lie where the loader looks, or $LIB means another "
			"directory",
			(int)n, start);
	else if (access(path, F_OK) < 0)
		doctor_add(report, DOCTOR_BAD, "library",
			"libheapspy.so is not loaded: %.*s of its LD_PRELOAD is not there%s",
			(int)n, start, proc_shares_files(p->pid) ? "" : " in its container");
	else
		doctor_add(report, DOCTOR_BAD, "library",
			"libheapspy.so is not loaded, although LD_PRELOAD names %.*s: it could not "
			"be read by the process's user, or was put there later",
			(int)n, start);
}

static void check_environment(
	struct doctor_report *report, const struct process *p, const struct state_header *state)
{
	/* One that was seen coming is in the state, and has been told. */
	if (p->seccomp > 0 && !(state && state->flags & HEAPSPY_INFO_SECCOMP))
		doctor_add(report, DOCTOR_OK, "seccomp",
			"mode %d, set before its start or in a way that is not seen: taken for "
			"granted",
			p->seccomp);
	else if (p->seccomp == 0)
		doctor_add(report, DOCTOR_OK, "seccomp", "no filter");
	if (p->environ_readable && p->environ_overwritten)
		doctor_state_settings(report, state);
	else if (p->environ_readable)
		doctor_settings(report, p->environment, false);
	else
		doctor_add(report, DOCTOR_NOTE, "settings",
			"its environment cannot be read by this user");
}

/* Why a loaded library has no state. */
static void explain_passing(struct doctor_report *report, const struct process *p,
	const struct program_facts *facts, const struct fail *f)
{
	const char *children = doctor_variable(p->environment, "HEAPSPY_CHILDREN");

	if (p->secure == 1)
		doctor_add(report, DOCTOR_BAD, "privileged",
			"loaded but passing through: the program runs with raised rights");
	else if (program_finding(facts, PROGRAM_IS_OTHER_LIBC))
		doctor_add(report, DOCTOR_BAD, "state",
			"loaded but passing through: the C library is not glibc");
	else if (maps_name(p, "/vgpreload_core-"))
		doctor_add(report, DOCTOR_BAD, "state",
			"loaded but passing through: valgrind's memcheck, massif, dhat, helgrind "
			"and drd replace malloc; callgrind and others do not");
	else if (program_finding(facts, PROGRAM_HAS_SANITIZER) || maps_name(p, "/libasan.so") ||
		 maps_name(p, "/libtsan.so"))
		doctor_add(report, DOCTOR_BAD, "state",
			"loaded but passing through: a sanitizer replaces malloc");
	else if (children && !strcmp(children, "none"))
		doctor_add(report, DOCTOR_BAD, "state",
			"loaded but passing through: HEAPSPY_CHILDREN=none, and its parent is the "
			"one that is profiled");
	else if (strstr(f->text, "heapspy doctor"))
		doctor_add(report, DOCTOR_BAD, "state",
			"loaded but passing through: HEAPSPY_VERBOSE=1 says why at the next start");
	else
		doctor_add(report, DOCTOR_BAD, "state", "%s", f->text);
}

/* *livep: its state, the caller's; NULL where it has none. */
static void check_state(struct doctor_report *report, const struct process *p,
	const struct program_facts *facts, struct live_state **livep)
{
	const struct state_header *state;
	struct fail f;

	if (live_state_open(p->pid, livep, &f) < 0) {
		explain_passing(report, p, facts, &f);
		return;
	}
	state = live_state_header(*livep);
	doctor_state(report, p->pid, state);
	if (!(state->flags & HEAPSPY_INFO_NOT_INTERPOSED) && state->next_malloc[0])
		doctor_process_allocator(report, p->pid, p->maps.data, state);
}

/* can_run: another start of it, under heapspy, would do. */
static void conclude(struct doctor_report *report, const struct process *p, bool can_run)
{
	strbuf_addf(&report->verdict, "process %u (%s) is ", p->pid, comm_of(p));
	if (!p->library[0] && p->maps_readable) {
		strbuf_add_text(&report->verdict, "not under heapspy");
		if (can_run)
			add_restart(p, &report->next);
	} else if (report->level == DOCTOR_BAD) {
		strbuf_add_text(&report->verdict,
			p->maps_readable ? "not profiled as it should be" : "closed to this user");
	} else {
		strbuf_add_text(&report->verdict, "profiled");
		strbuf_addf(&report->next, "heapspy snapshot %u", p->pid);
	}
}

int doctor_process(struct doctor_report *report, uint32_t pid, struct fail *f)
{
	struct live_state *live = NULL;
	struct program_facts facts;
	struct proc_stat stat;
	struct process p;

	if (!proc_read_stat(pid, &stat) || stat.state == 'Z' || stat.state == 'X')
		return fail_set(f, EXIT_CODE_INPUT, "no process %u is running", pid);
	report->subject = "process";
	report->pid = pid;
	process_init(&p, pid);
	judge_program(&p, &facts);
	p.secure = read_secure(pid, facts.elf.bits == 32 ? 4 : 8);
	if (!p.maps_readable) {
		doctor_add(report, DOCTOR_BAD, "process", "cannot look into process %u (%s): %s",
			pid, comm_of(&p),
			geteuid() ? "it belongs to another user; become that user, or root"
				  : "not even root may here (another container or namespace)");
	} else if (!p.maps.bytes) {
		doctor_add(report, DOCTOR_BAD, "process",
			"process %u (%s) has no memory of its own: a thread of the kernel", pid,
			comm_of(&p));
	} else {
		check_program(report, &p, &facts);
		if (p.library[0]) {
			doctor_add(report,
				strstr(p.library, " (deleted)") ? DOCTOR_NOTE : DOCTOR_OK,
				"library", "%s", p.library);
			check_state(report, &p, &facts, &live);
		} else {
			explain_absence(report, &p, &facts);
		}
		check_environment(report, &p, live ? live_state_header(live) : NULL);
		live_state_close(live);
	}
	conclude(report, &p, p.maps.bytes && p.secure != 1 && facts.verdict != PROGRAM_CANNOT);
	process_deinit(&p);
	return 0;
}
