/*
 * program_path.h - which file a command's first word starts, found as execvp(3)
 * finds it, and which program runs in the end when that file is a script.
 */
#ifndef HEAPSPY_ANALYZER_PROGRAM_PATH_H
#define HEAPSPY_ANALYZER_PROGRAM_PATH_H

#include <limits.h>
#include <stdbool.h>

#include "analyzer/fail.h"

/* As env(1), nohup(1) and the shells have them. */
#define PROGRAM_EXIT_CANNOT         125 /* heapspy cannot do its work there */
#define PROGRAM_EXIT_NOT_EXECUTABLE 126
#define PROGRAM_EXIT_NOT_FOUND      127

struct program_path {
	char file[PATH_MAX];    /* what the name stands for */
	char program[PATH_MAX]; /* what runs: file, or the last interpreter behind it */
	unsigned n_scripts;     /* files between the two, file included */
	bool by_shell;          /* a format the kernel does not know: execvp() calls the shell */
};

/*
 * Resolves name: with a slash as it is, else along search_path (value of PATH;
 * NULL: unset, which means /bin:/usr/bin; an empty entry is the working
 * directory). Then follows "#!" lines, as many as the kernel does. "#!env NAME"
 * goes on with NAME.
 *
 * Returns 0, or -1 with f filled: PROGRAM_EXIT_NOT_FOUND where execvp() would
 * set ENOENT or ENOTDIR (a missing interpreter included), else
 * PROGRAM_EXIT_NOT_EXECUTABLE.
 */
int program_path_resolve(
	const char *name, const char *search_path, struct program_path *out, struct fail *f);

/* The part of path behind its last slash. */
const char *program_path_base(const char *path);

#endif
