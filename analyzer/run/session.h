/*
 * session.h - the command that heapspy run starts, from its start to its end: its
 * environment, the signals passed on to it, and the watch over it and its
 * descendants.
 */
#ifndef HEAPSPY_ANALYZER_SESSION_H
#define HEAPSPY_ANALYZER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "analyzer/fail.h"
#include "analyzer/run/targets.h"

/* Exit codes of heapspy run beside those of the command. */
#define SESSION_EXIT_FAILED         125
#define SESSION_EXIT_NOT_EXECUTABLE 126
#define SESSION_EXIT_NOT_FOUND      127

struct session {
	/* What to run; the caller's. */
	char **argv;
	char **environment; /* "NAME=value", NULL at the end */
	/* Where not NULL: "HEAPSPY_DIR=PREFIX", to which "." and the command's pid are added. */
	const char *dir_prefix;
	char **dir_slot; /* its place in environment */
	const char *state_dir;
	bool state_is_private; /* HEAPSPY_STATE=anon: nobody outside sees it */
	bool nobody_writes;    /* HEAPSPY_WRITER=off */
	bool follows_forks;    /* HEAPSPY_CHILDREN: a forked child without a state may get one */
	bool quiet;
	/* How it went. */
	uint32_t pid;
	int wait_status;       /* of the command, as wait() has it */
	bool has_children;     /* adopted ones included; as reaping found it last */
	bool was_told_to_stop; /* SIGTSTP came, and no stop or SIGCONT since */
	uint64_t begin_ns, end_ns;
	uint64_t leave_ns; /* when to let go of those that go on; 0: not yet */
	size_t n_left;     /* those that go on, with a state or without */
	struct targets targets;
};

/*
 * Runs s->argv to its end, and on until no profiled descendant is left, writing
 * their snapshots. The caller's process becomes their subreaper, blocks and
 * forwards signals. Returns -1 with f filled when the command cannot be started.
 * session_deinit() is due either way.
 */
int session_run(struct session *s, struct fail *f);

void session_deinit(struct session *s);

/* The exit code that tells of the command: its own, or 128 + signal. */
int session_exit_code(const struct session *s);

#endif
