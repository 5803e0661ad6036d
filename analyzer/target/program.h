/*
 * program.h - whether a program can be preloaded, said before it is started.
 *
 * `heapspy run` asks before it starts anything, `heapspy doctor` to explain.
 * The answer rests on the file alone; what only a running process shows (a
 * seccomp filter, memory limits) is doctor_process.c's.
 */
#ifndef HEAPSPY_ANALYZER_PROGRAM_H
#define HEAPSPY_ANALYZER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/target/program_elf.h"
#include "analyzer/target/program_path.h"

/* What the program will find when it starts. Strings are borrowed. */
struct program_environment {
	const char *search_path;  /* PATH; NULL: unset */
	const char *preload;      /* the LD_PRELOAD it will have, heapspy's library included;
				   * NULL: none */
	const char *library_path; /* LD_LIBRARY_PATH; NULL: unset */
	/* Who starts it: the rights that decide about secure execution. */
	uint32_t uid, euid, gid, egid;
	bool no_new_privs;
	uint64_t capabilities_bounding, capabilities_inheritable;
};

enum program_verdict {
	PROGRAM_FINE,
	PROGRAM_REMARK, /* works; the findings say what will not be seen */
	PROGRAM_CANNOT,
};

enum program_kind {
	/* PROGRAM_CANNOT */
	PROGRAM_IS_STATIC,
	PROGRAM_IS_GO_STATIC,
	PROGRAM_IS_FOREIGN,    /* 32-bit, or another machine's */
	PROGRAM_IS_OTHER_LIBC, /* musl and other loaders */
	PROGRAM_IS_PRIVILEGED, /* ld.so ignores LD_PRELOAD: AT_SECURE */
	PROGRAM_HAS_SANITIZER,
	PROGRAM_HAS_MALLOC,      /* exported: it stands before heapspy's */
	PROGRAM_PRELOADS_BEFORE, /* another malloc stands before heapspy's in LD_PRELOAD */
	PROGRAM_IS_DAMAGED,      /* the kernel will not take it */
	PROGRAM_LACKS_LOADER,
	/* PROGRAM_REMARK */
	PROGRAM_HAS_WRAPPER,   /* exports a malloc which may hand on to the next one */
	PROGRAM_HIDES_MALLOC,  /* its own calls were bound at link time */
	PROGRAM_HAS_ALLOCATOR, /* jemalloc and kin under names of their own */
	PROGRAM_IS_GO,
	PROGRAM_IS_LOADER,
	PROGRAM_IS_UNKNOWN_LOADER,
	PROGRAM_IS_UNREADABLE,
	PROGRAM_RESETS, /* sudo and kin: what they start gets no LD_PRELOAD */
	PROGRAM_IS_SCRIPT,
	PROGRAM_LACKS_PRELOAD, /* an object in LD_PRELOAD is not there */
};

struct program_finding {
	enum program_kind kind;
	enum program_verdict verdict; /* PROGRAM_REMARK or PROGRAM_CANNOT */
	int exit_code;                /* of heapspy run, with PROGRAM_CANNOT */
	char text[900];               /* one line: what, why, what to do; no prefix */
};

#define PROGRAM_FINDINGS_MAX 8

struct program_facts {
	struct program_path path;
	struct program_elf elf;
	enum program_verdict verdict; /* the worst of the findings */
	struct program_finding findings[PROGRAM_FINDINGS_MAX];
	unsigned n_findings;
};

/* The environment and the rights of the calling process. */
void program_environment_init(struct program_environment *env);

/*
 * Judges the command whose first word is name, started with env.
 *
 * Returns 0 with *facts filled: verdict PROGRAM_FINE or PROGRAM_REMARK. Returns
 * -1 with f filled when it cannot be started or not be profiled: exit code
 * PROGRAM_EXIT_CANNOT, _NOT_EXECUTABLE or _NOT_FOUND, and one line. *facts then
 * holds what was found until there; a program that cannot be started has no
 * finding.
 */
int program_check(const char *name, const struct program_environment *env,
	struct program_facts *facts, struct fail *f);

/*
 * The part of program_check() that needs the file only, for a process that
 * runs: adds to *facts, which is zeroed at first, what the file behind fd says.
 * shown is its name for the texts. fd stays the caller's.
 */
void program_judge_file(int fd, const char *shown, struct program_facts *facts);

/* The finding of a kind, or NULL. */
const struct program_finding *program_finding(
	const struct program_facts *facts, enum program_kind kind);

/* "static", "own-malloc": for JSON. */
const char *program_kind_name(enum program_kind kind);

#endif
