/*
 * options.h - what HEAPSPY_* variables ask for, read once before any hook can
 * sample. No pointer into the environment is kept: programs overwrite it.
 */
#ifndef HEAPSPY_OPTIONS_H
#define HEAPSPY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum options_writer { WRITER_AUTO, WRITER_THREAD, WRITER_INLINE, WRITER_OFF };
enum options_children { CHILDREN_ALL, CHILDREN_EXEC, CHILDREN_NONE };

struct options {
	uint64_t sample_bytes; /* R0, 1 .. 2^40 */
	uint64_t interval_ns;  /* 0: no snapshots on time */
	uint64_t state_max_bytes;
	unsigned depth; /* frames, 1 .. 256 */
	enum options_writer writer;
	enum options_children children;
	bool frame_pointers; /* HEAPSPY_UNWIND=fp */
	bool start_off;
	bool state_anon;
	bool verbose;
	char state_dir[256]; /* of the state file */
	char dir[512];       /* expanded HEAPSPY_DIR, or "": choose */
	bool dir_has_pid;    /* it had a %p */
	char cwd[512];       /* working directory at start, "" if unknown */
	char tmpdir[256];    /* $TMPDIR or /tmp */
};

/* Who the process is, for the % sequences of HEAPSPY_DIR. */
struct options_names {
	const char *comm, *host;
	uint32_t pid;
};

/*
 * Fills options from environ (NULL-terminated "NAME=value" strings; may be
 * NULL). A value that cannot be used is one line on stderr, and the default
 * serves. No allocation; calls no libc function but getcwd's system call.
 */
void options_read(struct options *options, char **environ_at_start, struct options_names names);

#endif
