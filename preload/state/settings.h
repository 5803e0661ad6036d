/*
 * settings.h - what HEAPSPY_* variables ask for, read once before any hook can
 * sample; the command judges values by the same code. No pointer into the
 * environment is kept: programs overwrite it.
 */
#ifndef HEAPSPY_SETTINGS_H
#define HEAPSPY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum settings_writer { WRITER_AUTO, WRITER_THREAD, WRITER_INLINE, WRITER_EXTERNAL, WRITER_OFF };
enum settings_unwind { SETTINGS_CFI, SETTINGS_FP, SETTINGS_LIBUNWIND, SETTINGS_COMPARE };
enum settings_children { CHILDREN_ALL, CHILDREN_EXEC, CHILDREN_NONE };

struct settings {
	uint64_t sample_bytes; /* R0, 1 .. 2^40 */
	uint64_t interval_ns;  /* 0: no snapshots on time */
	uint64_t state_max_bytes;
	uint64_t keep_bytes;  /* of the snapshots of a process on disk; 0: any amount */
	uint32_t cpu_max_ppm; /* own CPU, in millionths of a core; 0: no budget */
	bool cpu_max_is_set;
	uint32_t near_limit_ppm; /* of the memory limit, below a whole; 0: off */
	unsigned depth;          /* frames, 1 .. 256 */
	enum settings_writer writer;
	enum settings_children children;
	enum settings_unwind unwind;
	bool start_off;
	bool state_anon;
	bool verbose;
	char state_dir[256]; /* of the state file */
	char dir[512];       /* expanded HEAPSPY_DIR, or "": choose */
	bool dir_has_pid;    /* it had a %p */
	char cwd[512];       /* working directory at start, "" if unknown */
	char tmpdir[256];    /* $TMPDIR or /tmp */
	/* The process that offers to write the snapshots (heapspy run); pid 0: none. */
	uint32_t lease_pid;
	uint64_t lease_start_ticks;
};

/* Who the process is, for the % sequences of HEAPSPY_DIR. */
struct settings_names {
	const char *comm, *host;
	uint32_t pid;
};

/* A value that cannot be used, or (expected NULL) a name that is none of ours. */
typedef void settings_complain(
	void *context, const char *name, const char *value, const char *expected);

/*
 * Fills settings from environ (NULL-terminated "NAME=value" strings; may be
 * NULL). Where a value cannot be used the default serves. HEAPSPY_VERBOSE is
 * read first, so that it is in force when complain (may be NULL) is called. No allocation;
 * calls no libc function but getcwd's system call.
 */
void settings_read(struct settings *settings, char **environ_at_start, struct settings_names names,
	settings_complain *complain, void *context);

/* Name, what it may be, and its default as text, of setting number i; false past the last. */
bool settings_describe(
	unsigned i, const char **namep, const char **expectedp, const char **standardp);

/*
 * What a value of the setting called name must be, if this one cannot be used;
 * NULL if it can. name is known to settings_describe().
 */
const char *settings_refuse(const char *name, const char *value);

/* How heapspy run names itself to the library of its children: "PID.START_TICKS". */
#define SETTINGS_LEASE_NAME "HEAPSPY_LEASE"

#endif
