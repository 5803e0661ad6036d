/*
 * process.h - the process a snapshot tells of, while it lives: whether the
 * process with its number is still the same one, and files as that process
 * sees them.
 */
#ifndef HEAPSPY_SYMBOLS_PROCESS_H
#define HEAPSPY_SYMBOLS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a snapshot knows of its process. */
struct process_id {
	uint32_t pid;         /* as the process knows itself, in its own pid namespace */
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	uint8_t boot_id[16];  /* all 0: unknown */
};

struct process {
	int proc_fd; /* /proc/PID of that very process, also when PID is used again */
	int root_fd; /* its root directory; -1: we may not look at it */
	uid_t uid;   /* effective */
};

/* Whether id is of the running kernel; false when that is unknown. */
bool process_same_boot(const struct process_id *id);

/*
 * Finds the process, in whatever pid namespace, by start and number. True: the
 * caller closes. False: it is gone, of another boot or machine, or out of sight.
 */
bool process_open(struct process *process, const struct process_id *id);

/* Closing what process_open() refused is not needed, and fine on { -1, -1 }. */
void process_close(struct process *process);

/*
 * Opens the file the process calls path (absolute) for reading, without waiting
 * for a FIFO's writer. flags: 0 or O_NOFOLLOW. Links cannot lead out of the
 * root of the process. Returns a descriptor or -1. Linux 5.6.
 */
int process_open_file(const struct process *process, const char *path, int flags);

/* The same for the program it runs, whether or not that has a name any more. -1: not allowed. */
int process_open_exe(const struct process *process);

/*
 * Calls each with files that are mapped for execution and were called base_name,
 * deleted ones among them; at most PROCESS_MAPPED_MAX. each takes over the
 * descriptor and returns true to stop. Returns whether it did. Needs
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
 */
enum { PROCESS_MAPPED_MAX = 16 };
bool process_each_mapped(const struct process *process, const char *base_name,
	bool (*each)(void *data, int fd), void *data);

#endif
