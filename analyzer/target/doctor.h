/*
 * doctor.h - the questions of `heapspy doctor`: can this machine, this command
 * or this process be profiled, and what is in force there. Answers are collected
 * in a report; printing it is out/doctor_*.c's.
 */
#ifndef HEAPSPY_ANALYZER_DOCTOR_H
#define HEAPSPY_ANALYZER_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/strbuf.h"
#include "state.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE, /* works; worth knowing */
	DOCTOR_BAD,  /* heapspy does not work, or not as asked for */
};

struct doctor_check {
	enum doctor_level level;
	const char *name; /* of what was looked at: "kernel"; constant */
	char *text;       /* one line */
};

struct doctor_report {
	const char *subject; /* "host", "command" or "process" */
	uint32_t pid;        /* of a process, else 0 */
	struct doctor_check *checks;
	size_t n_checks, capacity;
	enum doctor_level level; /* the worst of the checks */
	struct strbuf verdict;   /* one line, */
	struct strbuf next;      /* and the command that comes next */
};

void doctor_report_deinit(struct doctor_report *report);

/* Adds a check; name must be constant. */
void doctor_add(struct doctor_report *report, enum doctor_level level, const char *name,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* This machine and this user: kernel, libc, library, state directory, limits. */
void doctor_host(struct doctor_report *report);

/*
 * The HEAPSPY_* variables of an environment (NULL-terminated "NAME=value" strings): what
 * is in force, and what cannot be used. all: the ones at their default too.
 */
void doctor_settings(struct doctor_report *report, char **environment, bool all);

/* The value of a variable in such an environment, or NULL. */
const char *doctor_variable(char **environment, const char *name);

/* The command of n_words words, as `heapspy run` would start it. */
void doctor_command(struct doctor_report *report, char **words, int n_words);

/*
 * A running process: whether heapspy works in it, if not why not, and what is in
 * force. Returns -1 with f filled (EXIT_CODE_INPUT) when there is none of that number.
 */
int doctor_process(struct doctor_report *report, uint32_t pid, struct fail *f);

/* Where states and snapshots go, and the limits on both: what counts for a command as well. */
void doctor_places(struct doctor_report *report);

/* States of this user in directory dir (or "anon") that are of no use to anybody any more. */
void doctor_leftovers(struct doctor_report *report, const char *dir);

/* Which allocators are installed here for heapspy run --allocator. */
void doctor_allocators(struct doctor_report *report);

/*
 * The allocator behind heapspy in process pid, whose /proc/PID/maps and state these are: its
 * name, and which of its functions are not seen.
 */
void doctor_process_allocator(struct doctor_report *report, uint32_t pid, const char *maps,
	const struct state_header *state);

/*
 * As doctor_settings() for a process that has overwritten its environment: what its
 * state tells of what is in force, and what nobody can tell. state may be NULL.
 */
void doctor_state_settings(struct doctor_report *report, const struct state_header *state);

/* What the state of process pid says of the profiling. */
void doctor_state(struct doctor_report *report, uint32_t pid, const struct state_header *state);

/* Whose rights count; groups is the list of further ones as /proc/PID/status has it. */
struct doctor_user {
	uint32_t uid, gid;
	const char *groups;
};

/*
 * Adds a check of a directory that will hold snapshots: whether it, or the deepest part of it
 * that is there, can be written, and its free space. user: by whom, judged by mode bits alone;
 * NULL: by the caller.
 */
void doctor_add_directory(struct doctor_report *report, const char *name, const char *path,
	const struct doctor_user *user);

#endif
